// Every interface of the ABI through a real library, from the host's side.
#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "core/plugin/file_road.h"
#include "core/plugin/frames.h"
#include "core/plugin/road_prober.h"
#include "core/plugin/testing/instances_fixture.h"

namespace viaduct {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class InterfacesTest : public InstancesFixture {
 protected:
  std::shared_ptr<Link> BootLink(const std::string& json) {
    Boot({Spec("a", json)});
    return instances_->links()[0];
  }
  InstanceCounters Counters() { return instances_->Get("a")->counters; }
};

// ---- deliver
// -------------------------------------------------------------------------------------

TEST_F(InterfacesTest, DeliveredMessagesEndOnceEach) {
  Recorder recorder(BootLink("{}"));
  EXPECT_EQ(recorder.Deliver(32), 32u);
  EXPECT_EQ(recorder.Await(32), std::string(32, 'D'));
  EXPECT_EQ(recorder.tokens().front(), 100u);
  EXPECT_EQ(recorder.tokens().back(), 131u);
  EXPECT_EQ(Counters().delivered, 32u);
  EXPECT_EQ(Counters().durable, 32u);
  EXPECT_EQ(Counters().in_flight, 0u);
  EXPECT_EQ(Counters().delivered_bytes, 32u * 14);
}

TEST_F(InterfacesTest, CompletionsThatComeTwiceAreCountedAndDropped) {
  Recorder recorder(BootLink(R"({"deliver":"twice"})"));
  EXPECT_EQ(recorder.Deliver(5), 5u);
  EXPECT_EQ(recorder.Await(5), "DDDDD");
  EXPECT_EQ(Counters().unknown_tokens, 5u);
}

TEST_F(InterfacesTest, ACompletionOfWhatWasNotTakenDoesNotCount) {
  Recorder recorder(BootLink(R"({"deliver":"untaken"})"));
  EXPECT_EQ(recorder.Deliver(8), 4u);
  EXPECT_EQ(recorder.Await(4), "DDDD");
  EXPECT_EQ(Counters().unknown_tokens, 4u);
  EXPECT_EQ(Counters().in_flight, 0u);
}

TEST_F(InterfacesTest, APluginThatSaysItTookMoreThanItWasGivenTookWhatItWasGiven) {
  Recorder recorder(BootLink(R"({"deliver":"too_many"})"));
  EXPECT_EQ(recorder.Deliver(3), 3u);
  EXPECT_EQ(Counters().in_flight, 3u);
  EXPECT_EQ(Counters().refused, 1u);
  ASSERT_TRUE(instances_->Stop("a").ok());
  EXPECT_EQ(recorder.Await(3), "CCC") << "never completed, so ended by the host";
}

TEST_F(InterfacesTest, OutcomesCarryReasonAndDelay) {
  Recorder recorder(BootLink(R"({"deliver":"hold"})"));
  EXPECT_EQ(recorder.Deliver(2), 2u);
  Order("a", "finish", VD_OUTCOME_RETRY);
  EXPECT_EQ(recorder.Await(2), "RR");
  EXPECT_EQ(recorder.last().status, absl::UnavailableError("said the testbed"));
  EXPECT_EQ(recorder.last().retry_after, absl::Seconds(5));
  EXPECT_EQ(recorder.Deliver(1), 1u);
  Order("a", "finish", 4711);
  EXPECT_EQ(recorder.Await(3), "RRR") << "an outcome that does not exist is tried again";
}

TEST_F(InterfacesTest, ARoadThatIsDownTakesNothing) {
  Recorder recorder(BootLink(R"({"deliver":"refuse"})"));
  EXPECT_EQ(recorder.Deliver(3), 0u);
  EXPECT_EQ(Counters().in_flight, 0u);
}

TEST_F(InterfacesTest, AnExceptionInDeliverTakesNothingAndRestartsTheInstance) {
  Recorder recorder(BootLink(R"({"deliver":"throw"})"));
  EXPECT_EQ(recorder.Deliver(3), 0u);
  EXPECT_TRUE(Await("a", [](const InstanceInfo& i) { return i.counters.starts == 2; }));
  EXPECT_EQ(recorder.Await(0), "");
}

TEST_F(InterfacesTest, CreditBoundsWhatIsTakenAndRoomIsTold) {
  const auto link = BootLink(R"({"credit":2,"deliver":"hold"})");
  Recorder recorder(link);
  EXPECT_EQ(link->credit(), 4u) << "two lanes with two each";
  EXPECT_EQ(recorder.Deliver(5), 2u);
  const int before = recorder.ready();
  Order("a", "room", 50);
  EXPECT_TRUE(recorder.AwaitReady(before + 1));
  EXPECT_EQ(recorder.Deliver(5), 5u);
}

TEST_F(InterfacesTest, TheHostsOwnLimitBoundsWhatIsInFlight) {
  limits_.max_in_flight = 3;
  Remake();
  const auto link = BootLink(R"({"deliver":"hold"})");
  Recorder recorder(link);
  EXPECT_EQ(link->credit(), 3u);
  EXPECT_EQ(recorder.Deliver(10), 3u);
  EXPECT_EQ(recorder.Deliver(10), 0u);
  Order("a", "finish", VD_OUTCOME_DURABLE);
  EXPECT_EQ(recorder.Await(3), "DDD");
  EXPECT_EQ(recorder.Deliver(10), 3u);
}

TEST_F(InterfacesTest, StoppingCancelsWhatThePluginKept) {
  Recorder recorder(BootLink(R"({"deliver":"hold","stop":"keep"})"));
  EXPECT_EQ(recorder.Deliver(4), 4u);
  ASSERT_TRUE(instances_->Stop("a").ok());
  EXPECT_EQ(recorder.Await(4), "CCCC");
  EXPECT_EQ(recorder.Deliver(1), 0u);
}

TEST_F(InterfacesTest, DeliveringFromInsideACompletionDoesNotEnterThePluginOnThatStack) {
  const auto link = BootLink(R"({"deliver":"hold"})");
  size_t taken_inside = 99;
  absl::Notification ready;
  std::atomic<bool> told{false};
  OutboundMessage message;
  link->SetHandlers(
      [&](absl::Span<const Completion>) {
        taken_inside = link->Deliver({&message, 1});
      },
      [&] {
        if (!told.exchange(true)) ready.Notify();
      });
  EXPECT_EQ(link->Deliver({&message, 1}), 1u);
  Order("a", "finish", VD_OUTCOME_DURABLE);
  EXPECT_TRUE(ready.WaitForNotificationWithTimeout(kLong)) << "told when it may try again";
  link->SetHandlers(nullptr, nullptr);
  EXPECT_EQ(taken_inside, 0u);
}

// ---- submit and call
// -----------------------------------------------------------------------------

TEST_F(InterfacesTest, SubmittedMessagesReachTheApplicationAndEndWithItsAnswer) {
  Boot({Spec("a", "{}")});
  EXPECT_EQ(Order("a", "submit", 3), "3");
  EXPECT_TRUE(AwaitSeen("a", "done 1 outcome 1"));
  EXPECT_TRUE(AwaitSeen("a", "done 3 outcome 1"));
  const auto requests = application_.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].path, "/api/detection");
  EXPECT_EQ(requests[0].body, "{}");
  EXPECT_EQ(requests[0].peer.instance, "a");
  EXPECT_EQ(requests[0].peer.address, "192.0.2.7:51234");
}

TEST_F(InterfacesTest, SubmitsAreBoundedAndRoomIsToldOnceThereIsSome) {
  limits_.max_submits = 4;
  Remake();
  Boot({Spec("a", "{}")});
  application_.Hold(true);
  EXPECT_EQ(Order("a", "submit", 10), "4");
  auto held = application_.TakeHeld();
  ASSERT_EQ(held.size(), 4u);
  held[0]({200, {}, ""});
  held[0]({200, {}, ""});  // A handler that answers twice is heard once.
  held[1]({503, {{"retry-after", "7"}}, "later"});
  held[2]({400, {}, "no"});
  EXPECT_TRUE(AwaitSeen("a", "done 1 outcome 1"));
  EXPECT_TRUE(AwaitSeen("a", "done 2 outcome 2"));
  EXPECT_TRUE(AwaitSeen("a", "done 3 outcome 3"));
  EXPECT_TRUE(AwaitSeen("a", "room 0"));
  const std::string seen = Order("a", "seen", 0);
  EXPECT_EQ(seen.find("done 1"), seen.rfind("done 1"));
}

TEST_F(InterfacesTest, ACallIsAnsweredOnAnotherStackThanItsOwn) {
  Boot({Spec("a", "{}")});
  EXPECT_EQ(Order("a", "call", 5), "0");  // The testbed holds a lock in call and in on_reply.
  EXPECT_TRUE(AwaitSeen("a", "reply 5 status 200 body answer to /hello"));
  const auto requests = application_.requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].protocol, "http");
  EXPECT_THAT(requests[0].peer.credentials, ElementsAre(testing::Pair("api_key", "s3cret")));
}

TEST_F(InterfacesTest, AnswersThatAreThereAtOnceComeInTheOrderOfTheirCalls) {
  constexpr int kCalls = 100;
  Boot({Spec("a", "{}")});
  for (int i = 1; i <= kCalls; ++i) EXPECT_EQ(Order("a", "call", i), "0");
  ASSERT_TRUE(AwaitSeen("a", absl::StrCat("reply ", kCalls, " ")));
  const std::string seen = Order("a", "seen", 0);
  size_t last = 0;
  for (int i = 1; i <= kCalls; ++i) {
    const size_t at = seen.find(absl::StrCat("reply ", i, " status 200"));
    ASSERT_NE(at, std::string::npos) << i;
    EXPECT_GE(at, last) << i;
    last = at;
  }
}

TEST_F(InterfacesTest, CallsAreBoundedAndATokenInFlightIsNotTakenTwice) {
  limits_.max_calls = 2;
  Remake();
  Boot({Spec("a", "{}")});
  application_.Hold(true);
  EXPECT_EQ(Order("a", "call", 1), "0");
  EXPECT_EQ(Order("a", "call", 1), absl::StrCat(VD_ALREADY_EXISTS));
  EXPECT_EQ(Order("a", "call", 2), "0");
  EXPECT_EQ(Order("a", "call", 3), absl::StrCat(VD_RESOURCE_EXHAUSTED));
}

TEST_F(InterfacesTest, RoomIsToldAlsoWhenItWasACallThatHeldIt) {
  limits_.max_inbound_bytes = 10;
  Remake();
  Boot({Spec("a", "{}")});
  application_.Hold(true);
  EXPECT_EQ(Order("a", "call_with_body", 10), "0");
  EXPECT_EQ(Order("a", "submit", 1), "0") << "no room for it";
  auto held = application_.TakeHeld();
  ASSERT_EQ(held.size(), 1u);
  held[0]({200, {}, ""});
  EXPECT_TRUE(AwaitSeen("a", "room 0"));
  EXPECT_EQ(Order("a", "submit", 1), "1");
}

TEST_F(InterfacesTest, AnswersThatComeAfterTheStopAreDropped) {
  Boot({Spec("a", "{}")});
  application_.Hold(true);
  EXPECT_EQ(Order("a", "call", 1), "0");
  EXPECT_EQ(Order("a", "submit", 2), "2");
  auto held = application_.TakeHeld();
  ASSERT_TRUE(instances_->Restart("a").ok());
  EXPECT_EQ(Order("a", "call", 1), "0") << "the same token in the next life";
  for (const ReplyFn& reply : held) reply({200, {}, "too late"});
  EXPECT_THAT(Order("a", "seen", 0), Not(HasSubstr("too late")));
  instances_.reset();
  for (const ReplyFn& reply : application_.TakeHeld()) reply({200, {}, "far too late"});
}

TEST_F(InterfacesTest, ACallToAPeerEndsOnceInEveryCase) {
  InstanceSpec spec = Spec("a", "{}");
  spec.lanes = 1;  // Calls reach the plugin in their order.
  Boot({spec});
  EXPECT_EQ(OrderReply("a", "nobody", 0).status, 404);
  EXPECT_EQ(OrderReply("a", "answer_twice", 0).status, 200);
  EXPECT_EQ(OrderReply("a", "silence", 0, absl::Milliseconds(20)).status, 504);
  EXPECT_TRUE(AwaitSeen("a", "cancel"));
  EXPECT_EQ(OrderReply("absent", "x", 0).status, 503);
  CallReply cancelled;
  absl::Notification done;
  CallRequest request;
  request.path = "silence";
  instances_->Call("a", request, kLong, [&](CallReply reply) {
    cancelled = std::move(reply);
    done.Notify();
  });
  Order("a", "seen", 0);  // The plugin has the one before.
  ASSERT_TRUE(instances_->Stop("a").ok());
  done.WaitForNotification();
  EXPECT_EQ(cancelled.status, 502) << "the peer may have got it";
  EXPECT_GE(Counters().unknown_tokens, 1u) << "the testbed answered twice";
}

// ---- file, probe, frames
// -------------------------------------------------------------------------

struct FileEnd {
  FileDoneFn fn() {
    return [this](FileResult r) {
      result = std::move(r);
      done.Notify();
    };
  }
  FileResult result;
  absl::Notification done;
};

FileJob Job(const std::string& name) {
  FileJob job;
  job.local_path = "/var/lib/picture.jpg";
  job.remote_name = name;
  job.size = 1000;
  job.sha256 = std::string(64, 'a');
  return job;
}

TEST_F(InterfacesTest, FilesEndOnceWithTheirOffsets) {
  Boot({Spec("a", "{}")});
  const auto road = *instances_->file_road("a");
  EXPECT_TRUE(road->ready());
  EXPECT_EQ(road->credit(), 2u);
  uint64_t moved = 0;
  FileEnd good;
  ASSERT_TRUE(road->Begin(
                      Job("day/1.jpg"), [&moved](uint64_t m, uint64_t) { moved = m; }, good.fn())
                  .ok());
  good.done.WaitForNotification();
  EXPECT_EQ(good.result.outcome, Outcome::kDurable);
  EXPECT_EQ(good.result.durable_offset, 1000u);
  EXPECT_EQ(good.result.sha256, std::string(64, 'a'));
  EXPECT_EQ(moved, 1000u);
  FileEnd refused;
  ASSERT_TRUE(road->Begin(Job("refused"), nullptr, refused.fn()).ok());
  refused.done.WaitForNotification();
  EXPECT_EQ(refused.result.outcome, Outcome::kReject);
  EXPECT_EQ(refused.result.status.message(), "begin: not a name for this server");
  ASSERT_TRUE(instances_->Stop("a").ok());  // Its lanes have come to rest.
  EXPECT_EQ(Counters().unknown_tokens, 1u) << "the testbed said done twice";
}

TEST_F(InterfacesTest, AFileCanBeCancelledAndAStopCancelsIt) {
  Boot({Spec("a", "{}")});
  const auto road = *instances_->file_road("a");
  FileEnd first, second;
  const auto ticket = road->Begin(Job("held"), nullptr, first.fn());
  ASSERT_TRUE(ticket.ok());
  road->Cancel(*ticket);
  first.done.WaitForNotification();
  EXPECT_EQ(first.result.outcome, Outcome::kCancelled);
  absl::Notification under_way;
  ASSERT_TRUE(road->Begin(
                      Job("held"), [&](uint64_t, uint64_t) { under_way.Notify(); }, second.fn())
                  .ok());
  under_way.WaitForNotification();
  ASSERT_TRUE(instances_->Stop("a").ok());
  second.done.WaitForNotification();
  EXPECT_EQ(second.result.outcome, Outcome::kCancelled);
  EXPECT_EQ(second.result.durable_offset, 7u) << "where it may resume";
  EXPECT_FALSE(road->ready());
  EXPECT_EQ(road->Begin(Job("x"), nullptr, nullptr).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(InterfacesTest, FileNamesThatLeaveTheirFolderAreRefused) {
  Boot({Spec("a", "{}")});
  const auto road = *instances_->file_road("a");
  for (const char* name : {"", "/etc/passwd", "a/../../b", "a//b", "..", "a/."}) {
    EXPECT_EQ(road->Begin(Job(name), nullptr, nullptr).status().code(),
              absl::StatusCode::kInvalidArgument)
        << name;
  }
}

TEST_F(InterfacesTest, ProbesMeasureOrRunOut) {
  Boot({Spec("a", "{}")});
  const auto prober = *instances_->prober("a");
  const auto probe = [&prober](uint32_t payload, absl::Duration limit) {
    ProbeResult result;
    absl::Notification done;
    prober->Probe(limit, payload, [&](ProbeResult r) {
      result = std::move(r);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  };
  EXPECT_EQ(probe(64, kLong).round_trip, absl::Microseconds(1500));
  EXPECT_EQ(probe(64, kLong).bytes_sent, 64u);
  EXPECT_EQ(probe(13, absl::Milliseconds(20)).status.code(), absl::StatusCode::kDeadlineExceeded);
  ASSERT_TRUE(instances_->Stop("a").ok());
  EXPECT_EQ(probe(64, kLong).status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(InterfacesTest, AProbeRunsOutAlsoWhenPluginsHaveUsedUpTheirTimers) {
  limits_.max_tasks = 100000;
  limits_.lane_timeout = kLong;  // So many take a while in a sanitizer's build.
  Remake();
  Boot({Spec("a", "{}")});
  int armed = 0;
  ASSERT_TRUE(absl::SimpleAtoi(Order("a", "timers", 100000), &armed));
  EXPECT_LT(armed, 100000) << "there is an end of them";
  const auto prober = *instances_->prober("a");
  // The few timers that have become free meanwhile, such as that of the order.
  for (int i = 0; i < 8; ++i) prober->Probe(kLong, 13, [](ProbeResult) {});
  absl::Notification done;
  absl::Status status;
  prober->Probe(absl::Milliseconds(20), 13, [&](ProbeResult result) {
    status = result.status;
    done.Notify();
  });
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kLong));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(InterfacesTest, FramesFlowWhileThereIsRoomAndAreChecked) {
  limits_.max_frames = 2;
  Remake();
  Boot({Spec("a", "{}")});
  EXPECT_EQ(Order("a", "push", 1), absl::StrCat(VD_RESOURCE_EXHAUSTED)) << "nobody takes frames";
  const auto source = *instances_->frame_source("a");
  absl::Mutex mutex;
  std::vector<std::pair<Frame, FrameDoneFn>> taken;
  source->SetConsumer([&](Frame frame, FrameDoneFn done) {
    absl::MutexLock lock(&mutex);
    taken.emplace_back(std::move(frame), std::move(done));
  });
  EXPECT_TRUE(AwaitSeen("a", "frames 2"));
  EXPECT_EQ(Order("a", "push_bad", 9), absl::StrCat(VD_INVALID_ARGUMENT)) << "plane out of buffer";
  EXPECT_EQ(Order("a", "push", 1), "0");
  EXPECT_EQ(Order("a", "push", 1), absl::StrCat(VD_ALREADY_EXISTS));
  EXPECT_EQ(Order("a", "push", 2), "0");
  EXPECT_EQ(Order("a", "push", 3), absl::StrCat(VD_RESOURCE_EXHAUSTED));
  absl::MutexLock lock(&mutex);
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(taken[0].first.buffer.octets(), std::string(64, 'p'));
  EXPECT_EQ(taken[0].first.source, "front");
  taken[0].second(Outcome::kDurable);
  taken[0].second(Outcome::kDurable);  // Told once.
  EXPECT_TRUE(AwaitSeen("a", "frame 1 outcome 1"));
  EXPECT_TRUE(AwaitSeen("a", "frames 1"));
}

TEST_F(InterfacesTest, CreditForFramesIsLessWhatIsOnItsWay) {
  limits_.lane_timeout = kLong;
  Remake();
  const std::string fifo = MakeFifo("lane");
  InstanceSpec spec = Hanging("task", fifo);
  spec.lanes = 1;
  Boot({spec});
  Order("h", "post", 1);
  AwaitHang(fifo);  // Nothing that is posted to its lane arrives.
  const auto inferer = *instances_->inferer("h");
  absl::BlockingCounter ended(2);
  for (size_t left = 2; left > 0; --left) {
    EXPECT_EQ(inferer->credit(), left);
    EXPECT_TRUE(inferer
                    ->Infer(*MakeFrame(VD_FOURCC_JPEG, 8, 8, "jpegjpeg", 1000), "{}",
                            [&](const InferResult&) { ended.DecrementCount(); })
                    .ok());
  }
  EXPECT_EQ(inferer->credit(), 0u);
  Release(fifo);
  ended.Wait();
  const absl::Time limit = absl::Now() + kLong;
  while (inferer->credit() != 2 && absl::Now() < limit) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(inferer->credit(), 2u);
}

TEST_F(InterfacesTest, InferenceEndsOnceWithResultRefusalOrLateness) {
  Boot({Spec("a", "{}")});
  const auto inferer = *instances_->inferer("a");
  EXPECT_EQ(inferer->credit(), 2u);
  const auto infer = [&](uint32_t width, const std::string& options, absl::Duration limit) {
    Frame frame = *MakeFrame(VD_FOURCC_JPEG, width, 8, "jpegjpeg", 1000);
    frame.deadline_ns = clock_.MonotonicNanos() + absl::ToInt64Nanoseconds(limit);
    InferResult result;
    absl::Notification done;
    EXPECT_TRUE(inferer
                    ->Infer(std::move(frame), options,
                            [&](InferResult r) {
                              result = std::move(r);
                              done.Notify();
                            })
                    .ok());
    done.WaitForNotification();
    return result;
  };
  const InferResult good = infer(8, "{}", kLong);
  EXPECT_EQ(good.outcome, Outcome::kDurable);
  EXPECT_EQ(good.result_json, "{\"octets\":8}");
  ASSERT_EQ(good.crops.size(), 1u);
  EXPECT_EQ(good.crops[0].name, "plate_0");
  EXPECT_EQ(good.crops[0].buffer.octets(), "jpegjpeg");
  EXPECT_EQ(infer(1, "{}", kLong).outcome, Outcome::kReject);
  EXPECT_EQ(infer(8, "silence", absl::Milliseconds(20)).outcome, Outcome::kExpired);
  EXPECT_FALSE(MakeFrame(VD_FOURCC_JPEG, 8, 8, "too large", 3).ok());
}

TEST_F(InterfacesTest, WhatWaitsOnALaneWhenTheInstanceStopsDoesNotReachThePlugin) {
  limits_.lane_timeout = kLong;
  Remake();
  const std::string fifo = MakeFifo("hang");
  InstanceSpec spec = Hanging("task", fifo);
  spec.lanes = 1;
  Boot({spec});
  EXPECT_EQ(Order("h", "post", 1), "0");
  AwaitHang(fifo);
  absl::Mutex mutex;
  std::vector<std::string> ends;
  const auto end = [&](const std::string& how) {
    absl::MutexLock lock(&mutex);
    ends.push_back(how);
  };
  CallRequest call;
  call.path = "log";
  instances_->Call("h", call, kLong, [&](CallReply r) { end(absl::StrCat("call ", r.status)); });
  (*instances_->prober("h"))->Probe(kLong, 64, [&](ProbeResult r) {
    end(absl::StrCat("probe ", r.status.code() == absl::StatusCode::kCancelled));
  });
  const auto ended = [](Outcome outcome) { return outcome == Outcome::kCancelled; };
  ASSERT_TRUE((*instances_->file_road("h"))
                  ->Begin(Job("day/1.jpg"), nullptr,
                          [&](FileResult r) { end(absl::StrCat("file ", ended(r.outcome))); })
                  .ok());
  ASSERT_TRUE((*instances_->inferer("h"))
                  ->Infer(*MakeFrame(VD_FOURCC_JPEG, 8, 8, "jpegjpeg", 1000), "{}",
                          [&](InferResult r) { end(absl::StrCat("infer ", ended(r.outcome))); })
                  .ok());
  std::thread stopper([&] { instances_->Stop("h").IgnoreError(); });
  EXPECT_TRUE(
      Await("h", [](const InstanceInfo& i) { return i.state == InstanceState::kStopping; }));
  while (instances_->prober("h").value()->ready()) std::this_thread::yield();
  Release(fifo);
  stopper.join();
  absl::MutexLock lock(&mutex);
  EXPECT_THAT(ends, testing::UnorderedElementsAre("call 503", "probe 1", "file 1", "infer 1"));
}

TEST_F(InterfacesTest, ACallThatHasBeenAnsweredDoesNotReachThePlugin) {
  limits_.lane_timeout = kLong;
  Remake();
  const std::string fifo = MakeFifo("hang");
  Boot({Hanging("task", fifo)});
  EXPECT_EQ(Order("h", "post", 1), "0");
  AwaitHang(fifo);
  // Calls take the lanes in turn, so that one of them waits behind the task.
  int answered = 0;
  while (OrderReply("h", "log", 0, absl::Seconds(1)).status == 200) ASSERT_LT(++answered, 10);
  Release(fifo);
  EXPECT_TRUE(AwaitSeen("h", "cancel"));
  EXPECT_EQ(instances_->Get("h")->counters.unknown_tokens, 0u) << "answers that nobody waits for";
}

TEST_F(InterfacesTest, AnInterfaceThatIsNotOfferedIsSaidSo) {
  Boot({Spec("a", R"({"deliver":"none"})")});
  EXPECT_EQ(instances_->links().size(), 0u);
  EXPECT_EQ(instances_->file_road("nobody").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace viaduct
