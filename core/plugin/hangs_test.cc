// What the host makes of calls into a plugin that do not come back.
#include <string>
#include <thread>
#include <utility>

#include "core/plugin/call_watch.h"
#include "core/plugin/testing/instances_fixture.h"

namespace viaduct {
namespace {

TEST(CallWatchTest, FindsWhatIsUnderWayForTooLongAndALentThreadFirst) {
  CallWatch watch;
  EXPECT_FALSE(watch.Look(1000, 10));
  {
    const CallWatch::Call own(&watch, "own", false);
    EXPECT_FALSE(watch.Look(2000, 10)) << "seen for the first time";
    EXPECT_FALSE(watch.Look(2009, 10));
    EXPECT_STREQ(watch.Look(2010, 10).what, "own");
    const CallWatch::Call lent(&watch, "lent", true);
    EXPECT_FALSE(watch.Look(2020, 10).lent);
    EXPECT_STREQ(watch.Look(2030, 10).what, "lent");
    EXPECT_TRUE(watch.Look(2030, 10).lent);
  }
  EXPECT_FALSE(watch.Look(3000, 10));
  const CallWatch::Call again(&watch, "again", false);
  EXPECT_FALSE(watch.Look(4000, 10)) << "another call in the same place";
}

TEST(CallWatchTest, WhatFindsNoPlaceIsNotWatched) {
  CallWatch watch;
  std::vector<std::unique_ptr<CallWatch::Call>> calls;
  for (size_t i = 0; i <= CallWatch::kMaxCalls; ++i) {
    calls.push_back(std::make_unique<CallWatch::Call>(&watch, "call", false));
  }
  watch.Look(1000, 10);
  EXPECT_TRUE(watch.Look(2000, 10));
  calls.clear();
  EXPECT_FALSE(watch.Look(3000, 10));
}

class HangsTest : public InstancesFixture {
 protected:
  // Lets the plugin fail by its own word, on whatever lane is free.
  void OrderToFailOnAnyLane(const std::string& name) {
    CallRequest request;
    request.path = "fail";
    for (int lane = 0; lane < 2; ++lane) instances_->Call(name, request, kLong, [](CallReply) {});
  }
  bool AwaitGivenUp(const std::string& name) {
    return Await(name, [](const InstanceInfo& i) { return i.counters.quarantined == 1; });
  }
};

// A message of a start that fails is answered while it fails.
TEST_F(HangsTest, ACallThatOutlivesAFailedStartKeepsTheInstanceFromBeingDestroyed) {
  limits_.start_timeout = kLong;
  Remake();
  const std::string fifo = MakeFifo("hang");
  application_.Hold(true);
  InstanceSpec spec =
      Spec("h", absl::StrCat(R"({"start":"submit_and_fail","done":"hang","fifo":")", fifo, "\"}"));
  std::thread writer([&] {
    std::vector<ReplyFn> held;
    while (held.empty()) held = application_.TakeHeld();
    held[0]({200, {}, ""});
  });
  Boot({spec});
  instances_->Stop("h").IgnoreError();  // Once is enough.
  EXPECT_EQ(instances_->Get("h")->counters.quarantined, 1u) << "not destroyed with a call inside";
  Release(fifo);
  writer.join();
}

TEST_F(HangsTest, APluginThatDoesNotReturnIsNotTriedForEver) {
  limits_.configure_timeout = absl::Milliseconds(50);
  limits_.max_quarantined = 2;
  Remake();
  const std::string fifo = MakeFifo("hang");
  const auto apply = [&](const std::string& name) {
    InstanceSpec spec = Hanging("configure", fifo);
    spec.name = name;
    return std::string(instances_->Apply({spec}, ApplyMode::kAllOrNothing).status.message());
  };
  EXPECT_EQ(apply("one"), "configure: did not return within 50ms");
  EXPECT_EQ(apply("two"), "configure: did not return within 50ms");
  EXPECT_EQ(apply("three"),
            "given up, it did not return 2 times; only a restart of the node can help");
  Release(fifo);
}

TEST_F(HangsTest, ATaskThatHangsOnItsLaneIsFoundByTheWatchdog) {
  const std::string fifo = MakeFifo("hang");
  Boot({Hanging("task", fifo)});
  EXPECT_EQ(Order("h", "post", 1), "0");
  EXPECT_TRUE(Await("h", [](const InstanceInfo& i) {
    return i.reason.message() == "posted task: did not return within 500ms";
  }));
  EXPECT_TRUE(Await("h", [](const InstanceInfo& i) { return i.state == InstanceState::kStarted; }))
      << "made anew after the back-off";
  EXPECT_FALSE(fatal_.HasBeenNotified());
  Release(fifo);
}

TEST_F(HangsTest, AHangInDeliverKeepsTheCallersThreadSoTheNodeIsToldToEnd) {
  const std::string fifo = MakeFifo("hang");
  Boot({Hanging("deliver", fifo)});
  Recorder recorder(instances_->links()[0]);
  size_t taken = 99;
  std::thread dispatcher([&] { taken = recorder.Deliver(3); });
  EXPECT_TRUE(fatal_.WaitForNotificationWithTimeout(kLong));
  EXPECT_EQ(instances_->Get("h")->counters.quarantined, 1u);
  Release(fifo);
  dispatcher.join();
  EXPECT_EQ(taken, 0u) << "what the hung one still took counts for nothing";
  EXPECT_EQ(recorder.Await(0), "");
}

TEST_F(HangsTest, AHangInDeliverIsToldAlsoWhenThePluginFailsMeanwhile) {
  const std::string fifo = MakeFifo("hang");
  Boot({Hanging("deliver", fifo)});
  Recorder recorder(instances_->links()[0]);
  std::thread dispatcher([&] { recorder.Deliver(3); });
  AwaitHang(fifo);
  OrderToFailOnAnyLane("h");
  EXPECT_TRUE(fatal_.WaitForNotificationWithTimeout(kLong));
  Release(fifo);
  dispatcher.join();
}

TEST_F(HangsTest, AHangInDeliverIsToldAlsoWhenTheInstanceIsRemovedMeanwhile) {
  const std::string fifo = MakeFifo("hang");
  Boot({Hanging("deliver", fifo)});
  Recorder recorder(instances_->links()[0]);
  std::thread dispatcher([&] { recorder.Deliver(3); });
  AwaitHang(fifo);
  instances_->Apply({}, ApplyMode::kAllOrNothing);
  EXPECT_TRUE(fatal_.WaitForNotificationWithTimeout(kLong));
  Release(fifo);
  dispatcher.join();
}

TEST_F(HangsTest, AHangInCreditKeepsTheCallersThread) {
  const std::string fifo = MakeFifo("hang");
  Boot({Hanging("credit", fifo)});
  const auto link = instances_->links()[0];
  std::thread dispatcher([&] { link->credit(); });
  EXPECT_TRUE(fatal_.WaitForNotificationWithTimeout(kLong));
  EXPECT_EQ(instances_->Get("h")->counters.quarantined, 1u);
  Release(fifo);
  dispatcher.join();
}

TEST_F(HangsTest, AHangInOnDoneKeepsTheThreadOfWhoeverAnswers) {
  const std::string fifo = MakeFifo("hang");
  Boot({Hanging("done", fifo)});
  application_.Hold(true);
  EXPECT_EQ(Order("h", "submit", 1), "1");
  auto held = application_.TakeHeld();
  std::thread writer([&] { held[0]({200, {}, ""}); });
  EXPECT_TRUE(fatal_.WaitForNotificationWithTimeout(kLong));
  EXPECT_EQ(instances_->Get("h")->counters.quarantined, 1u);
  Release(fifo);
  writer.join();
}

TEST_F(HangsTest, AHangInOnDoneOnAThreadOfTheInstanceEndsOnlyTheInstance) {
  const std::string fifo = MakeFifo("hang");
  Boot({Hanging("done", fifo)});
  EXPECT_EQ(Order("h", "submit", 1), "1") << "answered on this stack, so on_done comes by another";
  EXPECT_TRUE(AwaitGivenUp("h"));
  EXPECT_TRUE(Await("h", [](const InstanceInfo& i) { return i.state == InstanceState::kStarted; }));
  EXPECT_FALSE(fatal_.HasBeenNotified());
  Release(fifo);
}

}  // namespace
}  // namespace viaduct
