// What the application learns of nodes and tells its server of itself.
#include "core/lpr/fleet_calls.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/lpr/device_status.h"
#include "core/lpr/testing/application_fixture.h"
#include "core/lpr/testing/wrapped_store.h"

namespace viaduct {
namespace {

// Answers commands with their arguments.
class EchoControl final : public CallHandler {
 public:
  void Handle(CallRequest request, ReplyFn reply) override {
    last = request;
    reply({status, {}, request.body});
  }
  CallRequest last;
  int status = 200;
};

class FleetCallsTest : public ApplicationTest {
 protected:
  FleetCallsTest() : timers_(&clock_) {
    fleet_ = std::make_unique<Fleet>(
        &clock_, &timers_, [](std::string_view, CallRequest, absl::Duration, ReplyFn reply) {
          reply({503, {}, "nobody"});
        });
    ApplicationParts parts;
    parts.clock = &clock_;
    parts.log = &log_;
    parts.sink = sink_.get();
    parts.store = store_.get();
    parts.publisher = &publisher_;
    parts.control = &control_;
    application_ = std::make_unique<Application>(ApplicationOptions(), parts);
    FleetCalls::Parts calls;
    calls.clock = &clock_;
    calls.store = store_.get();
    calls.fleet = fleet_.get();
    calls.application = application_.get();
    calls.node_id = "EDGE1";
    calls.facts = {"pi", "9.9"};
    calls_ = std::make_unique<FleetCalls>(calls);
  }

  // The store may tell the fleet until it has ended.
  ~FleetCallsTest() override {
    calls_.reset();
    application_.reset();
    sink_.reset();
    store_.reset();
  }

  Reply Tell(const std::string& protocol, const std::string& method, const std::string& path,
             const std::string& body, const std::string& session = "s1") {
    CallRequest request;
    request.protocol = protocol;
    request.method = method;
    request.path = path;
    request.body = body;
    request.attributes = {{"session", session}, {"path", "/socket.io/"}};
    request.peer.instance = "sockets";
    request.peer.address = "10.0.0.7:50000";
    absl::Notification done;
    Reply out;
    calls_->Handle(std::move(request), [&](CallReply reply) {
      out = Reply{reply.status, reply.attributes, reply.body};
      done.Notify();
    });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kDeadline)) << path;
    return out;
  }
  std::string RoadOf(const std::string& device) {
    const auto state = fleet_->roads().Find(device, clock_.Now());
    if (!state.has_value() || state->roads.empty()) return "";
    const DeviceRoad& road = state->roads.front();
    return road.session.empty() ? road.topic : road.session;
  }

  DeviceFacts FactsOf(const std::string& device) {
    const auto state = fleet_->roads().Find(device, clock_.Now());
    return state.has_value() ? state->facts : DeviceFacts{"none", "none"};
  }

  TimerQueue timers_;
  EchoControl control_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<FleetCalls> calls_;
};

TEST_F(FleetCallsTest, ANodeThatRegistersCanBeReachedUntilItsSessionEnds) {
  Tell("socketio", "OPEN", "", "");
  const Json node = {{"device_id", "NODE7"}, {"hostname", "cam-7"}, {"version", "1.2"}};
  const Reply reply = Tell("socketio", "EVENT", "node_register", node.dump());
  EXPECT_EQ(reply.attribute("event"), "node_registered") << reply.body;
  EXPECT_EQ(reply.json()["device_id"], "NODE7");
  EXPECT_EQ(RoadOf("NODE7"), "s1");
  EXPECT_EQ(fleet_->roads().Find("NODE7", clock_.Now())->facts.version, "1.2");
  const Json device = Get("/api/devices/NODE7").json()["device"];
  EXPECT_EQ(device["hostname"], "cam-7");
  EXPECT_EQ(device["ip_address"], "10.0.0.7");
  EXPECT_EQ(device["status"], "online");
  // A camera behind it does not take its session away.
  Tell("socketio", "EVENT", "camera_register", R"({"camera_id":"CAM1","checkpoint_id":"CP1"})");
  EXPECT_EQ(RoadOf("NODE7"), "s1");
  EXPECT_EQ(RoadOf("CAM1"), "");
  Tell("socketio", "CLOSE", "", "");
  EXPECT_EQ(RoadOf("NODE7"), "");
}

TEST_F(FleetCallsTest, ACameraThatRegistersIsReachedByItsSession) {
  Tell("socketio", "OPEN", "", "");
  Tell("socketio", "EVENT", "camera_register", R"({"camera_id":"CAM1","checkpoint_id":"CP1"})");
  EXPECT_EQ(RoadOf("CAM1"), "s1");
  calls_->OnListenerGone("sockets");
  EXPECT_EQ(RoadOf("CAM1"), "");
}

TEST_F(FleetCallsTest, PlainSessionsRegisterAndAnswerByMessages) {
  Tell("websocket", "OPEN", "", "");
  const Reply reply =
      Tell("websocket", "MESSAGE", "", R"({"type":"node_register","device_id":"NODE7"})");
  EXPECT_EQ(reply.json()["type"], "node_registered");
  EXPECT_EQ(reply.json()["status"], "success");
  EXPECT_EQ(RoadOf("NODE7"), "s1");
  const Reply answer = Tell("websocket", "MESSAGE", "",
                            R"({"type":"control_response","message_id":"x","success":true})");
  EXPECT_EQ(answer.body, "") << "an answer is not answered";
  EXPECT_EQ(fleet_->stats().strays, 1u);
}

TEST_F(FleetCallsTest, BadRegistrationsAreRefusedAndOpenNoRoad) {
  Tell("socketio", "OPEN", "", "");
  for (const char* body : {"{", "[]", "{}", R"({"device_id":"a\u0001b"})", R"({"device_id":7})"}) {
    const Reply reply = Tell("socketio", "EVENT", "node_register", body);
    EXPECT_EQ(reply.attribute("event"), "error") << body;
    EXPECT_EQ(reply.status, 400) << body;
  }
  const std::string huge = Json{{"device_id", "X"}, {"note", std::string(20'000, 'x')}}.dump();
  EXPECT_EQ(Tell("socketio", "EVENT", "node_register", huge).attribute("event"), "error");
}

// Takes nothing.
class FullStore final : public WrappedStore {
 public:
  using WrappedStore::WrappedStore;
  void Append(std::vector<StoreRecord> records, AppendFn done) override {
    std::vector<AppendResult> results(records.size());
    for (AppendResult& result : results) result.status = absl::UnavailableError("store: full");
    done(results);
  }
};

TEST_F(FleetCallsTest, ANodeThatCannotBeRegisteredNowIsToldWhenToSayItAgain) {
  FullStore store(store_.get());
  FleetCalls::Parts parts;
  parts.clock = &clock_;
  parts.store = &store;
  parts.fleet = fleet_.get();
  parts.application = application_.get();
  calls_ = std::make_unique<FleetCalls>(parts);
  const Reply event = Tell("socketio", "EVENT", "node_register", R"({"device_id":"NODE7"})");
  EXPECT_EQ(event.attribute("event"), "error");
  EXPECT_EQ(event.json()["success"], false);
  EXPECT_EQ(event.json()["message"], "store: full");
  EXPECT_EQ(event.json()["retry_after"], 5);
  const Reply message =
      Tell("websocket", "MESSAGE", "", R"({"type":"node_register","device_id":"NODE7"})");
  EXPECT_EQ(message.json()["status"], "error");
  EXPECT_EQ(message.json()["type"], "node_registered");
  EXPECT_EQ(message.json()["retry_after"], 5);
  const Reply bad = Tell("socketio", "EVENT", "node_register", "{}");
  EXPECT_FALSE(bad.json().contains("retry_after")) << "it would be refused again";
}

TEST_F(FleetCallsTest, StatusTopicsOpenAndCloseTheRoadByTopic) {
  Tell("mqtt", "PUBLISH", "system/status/EDGE9", R"({"status":"online"})");
  EXPECT_EQ(RoadOf("EDGE9"), "system/control/EDGE9");
  Tell("mqtt", "PUBLISH", "system/status/EDGE9", R"({"status":"offline"})");
  EXPECT_EQ(RoadOf("EDGE9"), "");
  EXPECT_EQ(Get("/api/devices/EDGE9").json()["device"]["status"], "offline");
  Tell(
      "mqtt", "PUBLISH", "lprserver/cameras/7/health",
      R"({"checkpoint_id":"CP","component":"c","status":"PASS","timestamp":"2024-01-15T10:30:00Z"})");
  EXPECT_EQ(RoadOf("7"), "lprserver/cameras/7/control");
  EXPECT_EQ(fleet_->roads().Find("7", clock_.Now())->roads[0].qos, 2);
  clock_.Advance(kHeardWindow + absl::Seconds(1));
  EXPECT_EQ(RoadOf("7"), "");
}

TEST_F(FleetCallsTest, AStatusAtItsTopicTellsWhatTheNodeIs) {
  const Json online = {{"status", "online"}, {"hostname", "pi-9"}, {"version", "1.2"}};
  Tell("mqtt", "PUBLISH", "system/status/EDGE9", online.dump());
  EXPECT_EQ(FactsOf("EDGE9").hostname, "pi-9");
  EXPECT_EQ(FactsOf("EDGE9").version, "1.2");
  Tell("mqtt", "PUBLISH", "system/status/EDGE9", R"({"status":"online","version":"1.3"})");
  EXPECT_EQ(FactsOf("EDGE9").hostname, "pi-9") << "what is not said is not changed";
  EXPECT_EQ(FactsOf("EDGE9").version, "1.3");
  Tell("mqtt", "PUBLISH", "system/status/EDGE9", R"({"status":"offline"})");
  EXPECT_EQ(Get("/api/devices/EDGE9").json()["device"]["hostname"], "pi-9") << "it is kept";
}

// Devices that are no nodes have their own ideas of these fields.
TEST_F(FleetCallsTest, AStatusCountsWithoutFactsThatAreNone) {
  Json online = {{"status", "online"}, {"hostname", {"pi"}}, {"version", 7}};
  Tell("mqtt", "PUBLISH", "system/status/EDGE9", online.dump());
  EXPECT_EQ(RoadOf("EDGE9"), "system/control/EDGE9");
  online = {{"status", "online"}, {"hostname", std::string(kMaxFactBytes + 1, 'x')}};
  Tell("mqtt", "PUBLISH", "system/status/EDGE9", online.dump());
  EXPECT_EQ(FactsOf("EDGE9").hostname, "");
  EXPECT_EQ(FactsOf("EDGE9").version, "");
  EXPECT_EQ(Get("/api/devices/EDGE9").json()["device"]["hostname"], "");
}

TEST_F(FleetCallsTest, ALongStatusIsUnderstoodAsWell) {
  Tell("mqtt", "PUBLISH", "system/status/EDGE9", "online");
  const Json offline = {{"note", std::string(8000, 'x')}, {"status", "offline"}};
  Tell("mqtt", "PUBLISH", "system/status/EDGE9", offline.dump());
  EXPECT_EQ(RoadOf("EDGE9"), "");
}

TEST_F(FleetCallsTest, WhatIsRefusedByTopicOpensNoRoad) {
  int told = 0;
  fleet_->roads().SetOnNews([&told] { ++told; });
  Tell("mqtt", "PUBLISH", absl::StrCat("system/status/", std::string(5000, 'x')), "online");
  Tell("mqtt", "PUBLISH", "system/status/EDGE9", R"({"state":1})");
  Tell("mqtt", "PUBLISH", "system/status/a\nb", "online");
  Tell("mqtt", "PUBLISH", "lprserver/cameras/7/health", "x");
  Tell("mqtt", "PUBLISH", "lprserver/cameras/7/detection", "{}");
  Tell("mqtt", "PUBLISH", "lprserver/cameras/7/health", "");
  EXPECT_EQ(told, 0);
  EXPECT_TRUE(fleet_->roads().List(clock_.Now()).empty());
}

TEST_F(FleetCallsTest, AStatusThatIsStoredWhenItsListenerHasGoneOpensNoRoad) {
  CallRequest request;
  request.protocol = "mqtt";
  request.method = "PUBLISH";
  request.path = "system/status/EDGE9";
  request.body = "online";
  request.peer.instance = "sockets";
  class Late final : public CallHandler {
   public:
    void Handle(CallRequest, ReplyFn reply) override { held = std::move(reply); }
    ReplyFn held;
  } late;
  FleetCalls::Parts parts;
  parts.clock = &clock_;
  parts.fleet = fleet_.get();
  parts.application = &late;
  FleetCalls calls(parts);
  int answers = 0;
  const ReplyFn count = [&answers](CallReply) { ++answers; };
  calls.Handle(request, count);
  EXPECT_EQ(RoadOf("EDGE9"), "");
  calls.OnListenerGone("sockets");
  late.held({200, {}, ""});
  EXPECT_EQ(RoadOf("EDGE9"), "");
  calls.Handle(request, count);
  late.held({200, {}, ""});
  EXPECT_EQ(RoadOf("EDGE9"), "system/control/EDGE9") << "it is there again";
  EXPECT_EQ(answers, 2);
}

TEST_F(FleetCallsTest, ANodeWithoutAStoreKnowsTheWaysByTopic) {
  ApplicationParts parts;
  parts.clock = &clock_;
  parts.log = &log_;
  parts.sink = sink_.get();
  parts.publisher = &publisher_;
  Application application(ApplicationOptions(), parts);
  FleetCalls::Parts calls;
  calls.clock = &clock_;
  calls.fleet = fleet_.get();
  calls.application = &application;
  calls_ = std::make_unique<FleetCalls>(calls);
  Tell("mqtt", "PUBLISH", "system/status/EDGE9", "online");
  EXPECT_EQ(RoadOf("EDGE9"), "system/control/EDGE9");
  Tell("mqtt", "PUBLISH", "system/status/EDGE9", "offline");
  EXPECT_EQ(RoadOf("EDGE9"), "");
}

TEST_F(FleetCallsTest, ARoadSaysWhoItsNodeIs) {
  for (const char* protocol : {"socketio", "websocket", "mqtt"}) {
    const Reply up = Tell(protocol, "UP", "", "", "");
    EXPECT_EQ(up.attribute("event"), "node_register") << protocol;
    EXPECT_EQ(up.json()["device_id"], "EDGE1");
    EXPECT_EQ(up.json()["hostname"], "pi");
    EXPECT_EQ(up.json()["version"], "9.9");
  }
  EXPECT_NE(Tell("http", "UP", "/", "").status, 200) << "the method is its peer's word";
}

TEST_F(FleetCallsTest, CommandsReachTheNodeAndAreAnsweredInOneForm) {
  const Json command = {{"type", "control"},
                        {"message_id", "m1"},
                        {"device_id", "EDGE1"},
                        {"command", "restart_instance"},
                        {"arguments", {{"instance", "uplink"}}}};
  const Json answer = Tell("socketio", "COMMAND", "control", command.dump(), "").json();
  EXPECT_EQ(control_.last.path, "restart_instance");
  EXPECT_EQ(control_.last.peer.instance, "sockets");
  EXPECT_EQ(Json::parse(control_.last.body), (Json{{"instance", "uplink"}}));
  EXPECT_EQ(answer["type"], "control_response");
  EXPECT_EQ(answer["message_id"], "m1");
  EXPECT_EQ(answer["device_id"], "EDGE1");
  EXPECT_EQ(answer["success"], true);
  EXPECT_EQ(answer["result"]["instance"], "uplink");
  control_.status = 403;
  EXPECT_EQ(Tell("socketio", "COMMAND", "control", command.dump(), "").json()["success"], false);
  const Json bad = Tell("socketio", "COMMAND", "control", "{", "").json();
  EXPECT_EQ(bad["success"], false);
  EXPECT_EQ(bad["status"], 400);
}

TEST_F(FleetCallsTest, NobodyGivesCommandsOverHttp) {
  EXPECT_EQ(Tell("http", "PUBLISH", "system/control/EDGE1", R"({"command":"get_status"})").status,
            405);
  EXPECT_EQ(control_.last.path, "");
}

// Two server nodes with one store: the node has come here while the other one still had its
// session.
TEST_F(FleetCallsTest, ANodeThatTheOtherServerHasLostIsOnlineAgain) {
  FleetCalls::Parts parts;
  Fleet fleet(&clock_, &timers_, [](std::string_view, CallRequest, absl::Duration, ReplyFn) {});
  parts.clock = &clock_;
  parts.store = store_.get();
  parts.fleet = &fleet;
  parts.application = application_.get();
  FleetCalls other(parts);
  CallRequest request;
  request.protocol = "socketio";
  request.method = "EVENT";
  request.path = "node_register";
  request.body = R"({"device_id":"NODE7"})";
  request.attributes = {{"session", "o1"}};
  request.peer.instance = "sockets";
  absl::Notification known;
  other.Handle(request, [&known](CallReply) { known.Notify(); });
  ASSERT_TRUE(known.WaitForNotificationWithTimeout(kDeadline));
  clock_.Advance(absl::Seconds(10));
  Tell("socketio", "EVENT", "node_register", request.body);
  clock_.Advance(absl::Seconds(20));
  other.KeepSeen();  // It has not found out yet.
  clock_.Advance(absl::Seconds(20));
  other.OnListenerGone("sockets");
  const auto status = [this] {
    // The store works in order: what it is told next is answered after it.
    Tell("socketio", "EVENT", "node_register", R"({"device_id":"NODE8"})", "s2");
    return Get("/api/devices/NODE7").json()["device"]["status"];
  };
  EXPECT_EQ(status(), "offline") << "the last that is known there";
  calls_->KeepSeen();
  EXPECT_EQ(status(), "online");
}

TEST_F(FleetCallsTest, ANodeThatIsConnectedCountsAsSeen) {
  Tell("socketio", "OPEN", "", "");
  Tell("socketio", "EVENT", "node_register", R"({"device_id":"NODE7"})");
  const std::string before = Get("/api/devices/NODE7").json()["device"]["last_seen"];
  clock_.Advance(absl::Minutes(1));
  calls_->KeepSeen();
  // The store works in order: what it is told next is answered after it.
  Tell("socketio", "OPEN", "", "", "s2");
  Tell("socketio", "EVENT", "node_register", R"({"device_id":"NODE8"})", "s2");
  EXPECT_NE(Get("/api/devices/NODE7").json()["device"]["last_seen"], before);
  Tell("socketio", "CLOSE", "", "");
  Tell("socketio", "EVENT", "node_register", R"({"device_id":"NODE8"})", "s2");
  EXPECT_EQ(Get("/api/devices/NODE7").json()["device"]["status"], "offline");
  EXPECT_EQ(Get("/api/devices/NODE8").json()["device"]["status"], "online");
}

// Counts what the store is told of each device that it knows, and how much at once.
class CountingStore final : public WrappedStore {
 public:
  using WrappedStore::WrappedStore;
  void Append(std::vector<StoreRecord> records, AppendFn done) override {
    const size_t count = records.size();
    for (const StoreRecord& record : records) {
      const auto& device = std::get<DeviceRecord>(record);
      if (device.mode == DeviceRecord::Mode::kUpdate) ++told[device.device_id];
    }
    most_at_once = std::max(most_at_once, count);
    done(std::vector<AppendResult>(count));
  }
  std::map<std::string, int> told;
  size_t most_at_once = 0;
};

// More than the store takes in one call.
TEST_F(FleetCallsTest, HoweverManyNodesAreConnectedEachIsSeenAndEachIsGone) {
  static constexpr size_t kNodes = 20'500;
  constexpr int kLooks = 3;  // For so many nodes.
  static_assert(kNodes > kMaxAppendRecords && kNodes <= kLooks * FleetCalls::kMaxToldAtOnce);
  CountingStore store(store_.get());
  FleetCalls::Parts parts;
  parts.clock = &clock_;
  parts.store = &store;
  parts.fleet = fleet_.get();
  parts.application = application_.get();
  FleetCalls calls(parts);
  CallRequest request;
  request.protocol = "socketio";
  request.method = "EVENT";
  request.path = "node_register";
  request.peer.instance = "many";
  for (size_t i = 0; i < kNodes; ++i) {
    const std::string id = std::to_string(i);
    request.body = Json{{"device_id", id}}.dump();
    request.attributes = {{"session", id}};
    calls.Handle(request, [](CallReply) {});
  }
  const auto expect_each_once = [&store](const char* what) {
    EXPECT_EQ(store.told.size(), kNodes) << what;
    for (const auto& [id, times] : store.told) EXPECT_EQ(times, 1) << what << " " << id;
    EXPECT_LE(store.most_at_once, FleetCalls::kMaxToldAtOnce) << what;
    store.told.clear();
  };
  for (int look = 1; look < kLooks; ++look) EXPECT_TRUE(calls.KeepSeen());
  EXPECT_FALSE(calls.KeepSeen()) << "those were all";
  expect_each_once("seen");
  calls.OnListenerGone("many");
  EXPECT_EQ(store.told.size(), FleetCalls::kMaxToldAtOnce) << "messages find room beside them";
  for (int look = 0; look < kLooks; ++look) calls.TellGone();
  expect_each_once("gone");
}

}  // namespace
}  // namespace viaduct
