// Orders to devices: which road, whose answer, and what is bounded.
#include "core/lpr/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/lpr/testing/application_fixture.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FleetTest : public ::testing::Test {
 protected:
  struct Called {
    std::string instance;
    CallRequest request;
    ReplyFn reply;
    Json body() const { return Json::parse(request.body); }
  };

  FleetTest()
      : timers_(&clock_),
        fleet_(
            &clock_, &timers_,
            [this](std::string_view instance, CallRequest request, absl::Duration, ReplyFn reply) {
              calls_.push_back({std::string(instance), std::move(request), std::move(reply)});
            }) {}

  DeviceRoad Session(const std::string& instance, const std::string& session,
                     const std::string& protocol = "socketio") {
    DeviceRoad road;
    road.instance = instance;
    road.protocol = protocol;
    road.session = session;
    road.since = clock_.Now();
    return road;
  }
  DeviceRoad Topic(const std::string& instance, const std::string& topic) {
    DeviceRoad road;
    road.instance = instance;
    road.protocol = "mqtt";
    road.topic = topic;
    road.since = clock_.Now();
    return road;
  }
  void Open(const std::string& device, DeviceRoad road) {
    EXPECT_TRUE(fleet_.roads().Open(device, DeviceFacts(), std::move(road)));
  }
  // Results of orders come here.
  void Send(const std::string& device, const std::string& command = "get_status",
            const std::string& road = "") {
    Order order;
    order.device_id = device;
    order.command = command;
    order.road = road;
    fleet_.Send(std::move(order), [this](OrderResult r) { results_.push_back(std::move(r)); });
  }
  static CallReply Answer(const Called& call, const Json& more = Json::object()) {
    Json body = {{"message_id", call.body()["message_id"]}, {"success", true}, {"status", 200}};
    body.update(more);
    return {200, {}, body.dump()};
  }
  std::vector<std::string> RoadsOf(const std::string& device) {
    std::vector<std::string> names;
    const auto state = fleet_.roads().Find(device, clock_.Now());
    if (!state.has_value()) return names;
    for (const DeviceRoad& road : state->roads) {
      names.push_back(road.session.empty() ? road.topic : road.session);
    }
    return names;
  }

  FakeClock clock_;
  TimerQueue timers_;
  std::vector<Called> calls_;
  std::vector<OrderResult> results_;
  Fleet fleet_;
};

TEST_F(FleetTest, AnOrderGoesDownAndItsAnswerComesBack) {
  Open("EDGE1", Session("sockets", "s1"));
  Send("EDGE1");
  ASSERT_THAT(calls_, SizeIs(1));
  EXPECT_EQ(calls_[0].instance, "sockets");
  EXPECT_EQ(calls_[0].request.path, "control");
  EXPECT_EQ(calls_[0].body()["command"], "get_status");
  EXPECT_EQ(calls_[0].body()["device_id"], "EDGE1");
  EXPECT_EQ(calls_[0].body()["arguments"], Json::object());
  clock_.Advance(absl::Milliseconds(7));
  calls_[0].reply(Answer(calls_[0], {{"result", {{"spool", 3}}}}));
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_TRUE(results_[0].status.ok()) << results_[0].status;
  EXPECT_TRUE(results_[0].answer.success);
  EXPECT_EQ(results_[0].answer.result_json, R"({"spool":3})");
  EXPECT_EQ(results_[0].road, "sockets");
  EXPECT_EQ(results_[0].round_trip, absl::Milliseconds(7));
  EXPECT_EQ(fleet_.stats().answered, 1u);
  EXPECT_EQ(fleet_.stats().in_flight, 0u);
}

// A broker may keep what lies at a topic.
TEST_F(FleetTest, AnOrderAtATopicSaysWhenItIsTooLate) {
  Open("EDGE1", Topic("broker", "system/control/EDGE1"));
  Open("EDGE2", Session("sockets", "s1"));
  Send("EDGE1");
  Send("EDGE2");
  ASSERT_THAT(calls_, SizeIs(2));
  const absl::Time expires = clock_.Now() + Order().timeout;
  EXPECT_EQ(calls_[0].body()["expires"],
            absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", expires, absl::UTCTimeZone()));
  EXPECT_EQ(calls_[0].body()["command"], "get_status");
  EXPECT_FALSE(calls_[1].body().contains("expires"));
}

TEST_F(FleetTest, ARefusalOfTheDeviceIsAnAnswer) {
  Open("EDGE1", Session("sockets", "s1"));
  Send("EDGE1", "restart_instance");
  calls_[0].reply(Answer(
      calls_[0],
      {{"success", false}, {"status", 403}, {"result", {{"message", "fleet.accept says no"}}}}));
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_TRUE(results_[0].status.ok());
  EXPECT_FALSE(results_[0].answer.success);
  EXPECT_EQ(results_[0].answer.status, 403);
  EXPECT_EQ(results_[0].answer.error, "fleet.accept says no");
}

TEST_F(FleetTest, TakesTheFastestRoadThatIsLive) {
  Open("EDGE1", Topic("mqtt", "system/control/EDGE1"));
  Open("EDGE1", Session("sockets", "s1"));
  EXPECT_THAT(RoadsOf("EDGE1"), ElementsAre("s1", "system/control/EDGE1"));
  Send("EDGE1");
  clock_.Advance(absl::Seconds(1));  // It turns out to be slow.
  calls_[0].reply(Answer(calls_[0]));
  EXPECT_THAT(RoadsOf("EDGE1"), ElementsAre("system/control/EDGE1", "s1"));
  Send("EDGE1");
  EXPECT_EQ(calls_[1].instance, "mqtt");
  EXPECT_EQ(calls_[1].request.path, "system/control/EDGE1");
  EXPECT_EQ(calls_[1].request.attributes, (Attributes{{"qos", "1"}}));
  Send("EDGE1", "get_status", "sockets");
  EXPECT_EQ(calls_[2].instance, "sockets");
  Send("EDGE1", "get_status", "mqtt");
  EXPECT_EQ(calls_[3].instance, "mqtt");
}

TEST_F(FleetTest, ANewerSessionGoesBeforeTheOneThatAConnectionHasLeft) {
  Open("EDGE1", Topic("mqtt", "system/control/EDGE1"));
  Open("EDGE1", Session("sockets", "s1"));
  Send("EDGE1");
  clock_.Advance(absl::Milliseconds(3));
  calls_[0].reply(Answer(calls_[0]));
  Open("EDGE1", Session("sockets", "s2"));  // Nobody has told yet that s1 is dead.
  EXPECT_THAT(RoadsOf("EDGE1"), ElementsAre("s2", "s1", "system/control/EDGE1"));
  Send("EDGE1", "get_status", "sockets");
  clock_.Advance(absl::Seconds(1));
  calls_[1].reply(Answer(calls_[1]));
  EXPECT_THAT(RoadsOf("EDGE1"), ElementsAre("s2", "s1", "system/control/EDGE1"))
      << "s2 has taken over the 3 ms, and a slow command says nothing of a road";
}

TEST_F(FleetTest, ARoadIsMeasuredByItsShortestAnswerOfLate) {
  const auto send = [this](absl::Duration took) {
    Send("EDGE1", "get_status", "sockets");
    clock_.Advance(took);
    calls_.back().reply(Answer(calls_.back()));
    return fleet_.roads().Find("EDGE1", clock_.Now())->roads;
  };
  Open("EDGE1", Session("sockets", "s1"));
  Open("EDGE1", Topic("mqtt", "system/control/EDGE1"));
  EXPECT_EQ(send(absl::Seconds(4)).front().protocol, "mqtt");
  EXPECT_EQ(send(absl::Milliseconds(8)).front().round_trip, absl::Milliseconds(8));
  EXPECT_EQ(send(absl::Seconds(4)).front().round_trip, absl::Milliseconds(8));
  clock_.Advance(kMeasuredWindow);
  EXPECT_EQ(RoadsOf("EDGE1").front(), "s1");
  const auto later = send(absl::Seconds(4));
  EXPECT_EQ(later.front().protocol, "mqtt");
  EXPECT_EQ(later.back().round_trip, absl::Seconds(4)) << "the 8 ms are too long ago";
  clock_.Advance(kMeasuredWindow + absl::Seconds(1));
  EXPECT_EQ(RoadsOf("EDGE1").front(), "s1") << "it may be fast again";
}

TEST_F(FleetTest, WhatARoadBeforeHasTakenIsNotItsTime) {
  Open("EDGE1", Topic("mqtt", "system/control/EDGE1"));
  Open("EDGE1", Session("sockets", "s1"));
  Send("EDGE1");
  clock_.Advance(absl::Seconds(5));
  calls_[0].reply({503, {}, "busy"});
  clock_.Advance(absl::Milliseconds(4));
  calls_[1].reply(Answer(calls_[1]));
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_EQ(results_[0].round_trip, absl::Milliseconds(4));
  EXPECT_THAT(RoadsOf("EDGE1"), ElementsAre("system/control/EDGE1", "s1"));
}

TEST_F(FleetTest, AnOrderThatNobodyWaitsForEnds) {
  Open("EDGE1", Session("sockets", "s1"));
  Order order;
  order.device_id = "EDGE1";
  order.command = "get_status";
  const std::string id =
      fleet_.Send(order, [this](OrderResult r) { results_.push_back(std::move(r)); });
  fleet_.Cancel("another");
  EXPECT_THAT(results_, IsEmpty());
  fleet_.Cancel(id);
  fleet_.Cancel(id);
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_EQ(results_[0].status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(results_[0].message_id, id);
  EXPECT_EQ(fleet_.stats().in_flight, 0u);
  EXPECT_EQ(timers_.size(), 0u);
}

TEST_F(FleetTest, OrdersThatAreGivenWhileTheNodeStopsEndOnce) {
  constexpr int kRounds = 300;
  constexpr int kOrders = 16;
  for (int round = 0; round < kRounds; ++round) {
    Fleet fleet(&clock_, &timers_, [](std::string_view, CallRequest, absl::Duration, ReplyFn) {});
    ASSERT_TRUE(fleet.roads().Open("EDGE1", DeviceFacts(), Session("sockets", "s1")));
    std::atomic<int> ended{0};
    std::atomic<bool> begun{false};
    std::thread giver([&] {
      Order order;
      order.device_id = "EDGE1";
      order.command = "get_status";
      for (int i = 0; i < kOrders; ++i) {
        fleet.Send(order, [&ended](const OrderResult&) { ++ended; });
        begun = true;
      }
    });
    while (!begun) std::this_thread::yield();
    fleet.Close();
    giver.join();
    ASSERT_EQ(ended, kOrders);
    ASSERT_EQ(timers_.size(), 0u) << "a timer that outlives its fleet";
  }
}

TEST_F(FleetTest, WithoutATimerNoOrderIsGiven) {
  timers_.Stop();
  Open("EDGE1", Session("sockets", "s1"));
  Send("EDGE1");
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_EQ(results_[0].status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(calls_, IsEmpty());
}

TEST_F(FleetTest, TriesTheNextRoadOnlyWhereTheFirstHasNotDelivered) {
  Open("EDGE1", Topic("mqtt", "system/control/EDGE1"));
  Open("EDGE1", Session("sockets", "s1"));
  Send("EDGE1");
  calls_[0].reply({404, {}, "no such session"});
  ASSERT_THAT(calls_, SizeIs(2));
  EXPECT_EQ(calls_[1].instance, "mqtt");
  EXPECT_EQ(calls_[0].body()["message_id"], calls_[1].body()["message_id"]);
  calls_[0].reply(Answer(calls_[0]));  // The first one after all: nobody asked it.
  EXPECT_THAT(results_, IsEmpty());
  EXPECT_EQ(fleet_.stats().strays, 1u);
  calls_[1].reply({503, {}, "the broker is away"});
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_EQ(results_[0].status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(results_[0].status.message()), HasSubstr("the broker is away"));

  Send("EDGE1");
  calls_[2].reply({502, {}, "gone"});
  ASSERT_THAT(results_, SizeIs(2)) << "it may have been delivered, so no other road has it";
  EXPECT_EQ(results_[1].status.code(), absl::StatusCode::kUnknown);
  EXPECT_THAT(calls_, SizeIs(3));
}

TEST_F(FleetTest, SaysWhatKeepsAnOrderFromLeaving) {
  Send("EDGE1");
  EXPECT_EQ(results_.back().status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(results_.back().status.message()), HasSubstr("no live road"));
  Open("EDGE1", Session("sockets", "s1"));
  Send("EDGE1", "get_status", "pigeon");
  EXPECT_THAT(std::string(results_.back().status.message()), HasSubstr("sockets (socketio)"));
  Send("EDGE1", "");
  EXPECT_EQ(results_.back().status.code(), absl::StatusCode::kInvalidArgument);
  Send("EDGE1", std::string(Fleet::kMaxCommandBytes + 1, 'x'));
  EXPECT_EQ(results_.back().status.code(), absl::StatusCode::kInvalidArgument);
  Order order;
  order.device_id = "EDGE1";
  order.command = "get_status";
  order.arguments_json = "[1]";
  fleet_.Send(order, [this](OrderResult r) { results_.push_back(std::move(r)); });
  EXPECT_THAT(std::string(results_.back().status.message()), HasSubstr("arguments"));
  order.arguments_json =
      absl::StrCat("{\"a\":\"", std::string(Fleet::kMaxArgumentBytes, 'x'), "\"}");
  fleet_.Send(order, [this](OrderResult r) { results_.push_back(std::move(r)); });
  EXPECT_EQ(results_.back().status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(calls_, IsEmpty());
}

TEST_F(FleetTest, ADeviceThatNeverAnswersEndsAtItsTimeOut) {
  Open("EDGE1", Session("sockets", "s1"));
  absl::Notification done;
  Order order;
  order.device_id = "EDGE1";
  order.command = "get_status";
  order.timeout = absl::Seconds(2);
  OrderResult result;
  fleet_.Send(order, [&](OrderResult r) {
    result = std::move(r);
    done.Notify();
  });
  clock_.Advance(absl::Seconds(2));
  timers_.Wake();
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
  EXPECT_EQ(result.status.code(), absl::StatusCode::kDeadlineExceeded);
  calls_[0].reply(Answer(calls_[0]));
  EXPECT_EQ(fleet_.stats().timed_out, 1u);
  EXPECT_EQ(fleet_.stats().strays, 1u) << "a late answer is dropped and counted";
}

TEST_F(FleetTest, AnswersOfPlainSessionsMustBeThoseOfTheirOrder) {
  Open("EDGE1", Session("sockets", "s1", "websocket"));
  Open("OTHER", Session("sockets", "s2", "websocket"));
  Send("EDGE1");
  calls_[0].reply({202, {}, ""});
  const std::string right = Answer(calls_[0]).body;
  fleet_.TakeAnswer("sockets", "s2", right);    // Another device.
  fleet_.TakeAnswer("elsewhere", "s1", right);  // Another listener.
  fleet_.TakeAnswer("sockets", "s1", R"({"message_id":"never sent","success":true})");
  fleet_.TakeAnswer("sockets", "s1", "garbage");
  EXPECT_THAT(results_, IsEmpty());
  EXPECT_EQ(fleet_.stats().strays, 4u);
  fleet_.TakeAnswer("sockets", "s1", right);
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_TRUE(results_[0].answer.success);
  fleet_.TakeAnswer("sockets", "s1", right);
  EXPECT_EQ(fleet_.stats().strays, 5u) << "once is enough";
}

TEST_F(FleetTest, AnAnswerThatIsNoneIsNotBelieved) {
  Open("EDGE1", Session("sockets", "s1"));
  const Json bodies[] = {{{"success", true}},
                         {{"message_id", "other"}, {"success", true}},
                         {{"device_id", "OTHER"}},
                         {{"success", "yes"}}};
  for (const Json& body : bodies) {
    Send("EDGE1");
    CallReply reply{200, {}, body.dump()};
    if (body.contains("device_id") || body["success"].is_string()) {
      reply = Answer(calls_.back(), body);
    }
    calls_.back().reply(reply);
    EXPECT_EQ(results_.back().status.code(), absl::StatusCode::kUnknown) << body;
  }
  Send("EDGE1");
  calls_.back().reply(
      Answer(calls_.back(), {{"result", std::string(Fleet::kMaxAnswerBytes, 'x')}}));
  EXPECT_EQ(results_.back().status.code(), absl::StatusCode::kUnknown) << "too large";
  EXPECT_EQ(fleet_.stats().broken, 5u);
}

TEST_F(FleetTest, TheEndOfASessionEndsItsOrders) {
  Open("EDGE1", Session("sockets", "s1"));
  Open("EDGE2", Session("sockets", "s2"));
  Send("EDGE1");
  Send("EDGE2");
  fleet_.CloseWay("sockets", "s1");
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_EQ(results_[0].status.code(), absl::StatusCode::kUnknown);
  EXPECT_THAT(RoadsOf("EDGE1"), IsEmpty());
  fleet_.CloseListener("sockets");
  EXPECT_THAT(results_, SizeIs(2));
  Open("EDGE1", Session("sockets", "s3"));
  Send("EDGE1");
  fleet_.Close();
  EXPECT_EQ(results_[2].status.code(), absl::StatusCode::kUnavailable);
  Send("EDGE1");
  EXPECT_EQ(results_[3].status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(FleetTest, OrdersUnderWayAreBounded) {
  Open("EDGE1", Session("sockets", "s1"));
  for (size_t i = 0; i < Fleet::kMaxOrdersOfDevice; ++i) Send("EDGE1");
  EXPECT_THAT(results_, IsEmpty());
  Send("EDGE1");
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_EQ(results_[0].status.code(), absl::StatusCode::kResourceExhausted);
  calls_[0].reply(Answer(calls_[0]));
  Send("EDGE1");
  EXPECT_THAT(calls_, SizeIs(Fleet::kMaxOrdersOfDevice + 1));
  for (size_t i = fleet_.stats().in_flight; i < Fleet::kMaxOrders; ++i) {
    const std::string device = absl::StrCat("D", i / 8);
    Open(device, Session("sockets", device));
    Send(device);
  }
  EXPECT_EQ(fleet_.stats().in_flight, Fleet::kMaxOrders);
  Open("LAST", Session("sockets", "last"));
  Send("LAST");
  EXPECT_EQ(results_.back().status.code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(FleetTest, ASessionLeadsToOneDeviceAndADeviceHasFewRoads) {
  Open("EDGE1", Session("sockets", "s1"));
  Open("EDGE2", Session("sockets", "s1"));
  EXPECT_THAT(RoadsOf("EDGE1"), IsEmpty());
  EXPECT_EQ(fleet_.roads().DeviceOf("sockets", "s1"), "EDGE2");
  for (int i = 0; i < 20; ++i) Open("EDGE3", Session("sockets", absl::StrCat("t", i)));
  EXPECT_THAT(RoadsOf("EDGE3"), SizeIs(DeviceRoads::kMaxRoadsOfDevice));
  EXPECT_EQ(RoadsOf("EDGE3").front(), "t19") << "what a lost connection has left comes last";
  EXPECT_EQ(fleet_.roads().DeviceOf("sockets", "t0"), "");
}

TEST_F(FleetTest, DevicesThatCanBeReachedAreBounded) {
  for (size_t i = 0; i < DeviceRoads::kMaxTopics; ++i) {
    const std::string name = absl::StrCat("T", i);
    ASSERT_TRUE(fleet_.roads().Open(name, DeviceFacts(), Topic("mqtt", name)));
  }
  EXPECT_FALSE(fleet_.roads().Open("ONE-MORE", DeviceFacts(), Topic("mqtt", "more")));
  EXPECT_TRUE(fleet_.roads().Open("T7", DeviceFacts(), Topic("mqtt", "T7"))) << "not a new one";
  for (size_t i = 0; i < DeviceRoads::kMaxSessions; ++i) {  // Topics take no room of theirs.
    const std::string name = absl::StrCat("D", i);
    ASSERT_TRUE(fleet_.roads().Open(name, DeviceFacts(), Session("sockets", name)));
  }
  EXPECT_FALSE(fleet_.roads().Open("ONE-MORE", DeviceFacts(), Session("sockets", "more")));
  EXPECT_EQ(fleet_.roads().DeviceOf("sockets", "more"), "");
  EXPECT_THAT(fleet_.roads().TakeNews(), SizeIs(DeviceRoads::kMaxNews));
  fleet_.CloseWay("sockets", "D7");
  EXPECT_TRUE(fleet_.roads().Open("ONE-MORE", DeviceFacts(), Session("sockets", "more")));
  fleet_.CloseListener("mqtt");
  EXPECT_TRUE(fleet_.roads().Open("ONE-MORE", DeviceFacts(), Topic("mqtt", "more")));
}

TEST_F(FleetTest, ARoadOfATopicThatIsSilentEnds) {
  int told = 0;
  fleet_.roads().SetOnNews([&told] { ++told; });
  DeviceRoad road = Topic("mqtt", "lprserver/cameras/7/control");
  road.until = clock_.Now() + kHeardWindow;
  Open("7", road);
  EXPECT_EQ(told, 1);
  EXPECT_THAT(fleet_.roads().TakeNews(), ElementsAre("7"));
  clock_.Advance(kHeardWindow - absl::Seconds(1));
  road.until = clock_.Now() + kHeardWindow;
  Open("7", road);
  EXPECT_EQ(told, 1) << "no news";
  clock_.Advance(absl::Seconds(2));
  EXPECT_TRUE(fleet_.roads().IsReachable("7", clock_.Now()));
  clock_.Advance(kHeardWindow);
  EXPECT_FALSE(fleet_.roads().IsReachable("7", clock_.Now()));
  fleet_.roads().Sweep(clock_.Now());
  EXPECT_EQ(told, 2);
  EXPECT_THAT(fleet_.roads().List(clock_.Now()), IsEmpty());
}

// Whoever closes takes apart next what `call` uses.
TEST(FleetCloseTest, NothingIsCalledOnceItIsClosed) {
  FakeClock clock;
  TimerQueue timers(&clock);
  absl::Notification calling, go_on, ended, closed;
  std::atomic<bool> in_call{false};
  Fleet fleet(&clock, &timers,
              [&](std::string_view, CallRequest, absl::Duration, const ReplyFn& reply) {
                in_call = true;
                calling.Notify();
                go_on.WaitForNotification();
                in_call = false;
                reply({503, {}, "late"});  // The next road must not be tried any more.
              });
  for (const char* session : {"s1", "s2"}) {
    DeviceRoad road;
    road.instance = "sockets";
    road.protocol = "socketio";
    road.session = session;
    ASSERT_TRUE(fleet.roads().Open("CAM1", DeviceFacts(), std::move(road)));
  }
  std::thread sender([&] {
    Order order;
    order.device_id = "CAM1";
    order.command = "get_status";
    fleet.Send(std::move(order), [&ended](const OrderResult& result) {
      EXPECT_EQ(result.status.code(), absl::StatusCode::kUnavailable);
      ended.Notify();
    });
  });
  ASSERT_TRUE(calling.WaitForNotificationWithTimeout(kDeadline));
  std::thread closer([&] {
    fleet.Close();
    EXPECT_FALSE(in_call) << "closed while a call was being made";
    closed.Notify();
  });
  EXPECT_TRUE(ended.WaitForNotificationWithTimeout(kDeadline));
  // Long enough for one that does not wait.
  EXPECT_FALSE(closed.WaitForNotificationWithTimeout(absl::Milliseconds(200)));
  go_on.Notify();
  EXPECT_TRUE(closed.WaitForNotificationWithTimeout(kDeadline));
  sender.join();
  closer.join();
  timers.Stop();
}

}  // namespace
}  // namespace viaduct
