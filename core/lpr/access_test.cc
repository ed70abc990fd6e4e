// A guarded application: what it allows to whom, where the wire does not reach in one step. Every
// row of the table is asked over the wire by tests/integration/permission_matrix.py.
#include <memory>
#include <string>
#include <utility>

#include "core/lpr/testing/application_fixture.h"
#include "core/security/permissions.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class AccessTest : public ApplicationTest {
 protected:
  AccessTest() {
    guarded_ = true;
    MakeApplication(sink_.get(), store_.get());
  }

  static std::shared_ptr<const security::Principal> Person(security::Role role) {
    auto principal = std::make_shared<security::Principal>();
    principal->id = "anna";
    principal->role = role;
    return principal;
  }
  static std::shared_ptr<const security::Principal> Device(const std::string& id) {
    auto principal = std::make_shared<security::Principal>();
    principal->kind = security::PrincipalKind::kDevice;
    principal->role = security::Role::kDevice;
    principal->id = id;
    return principal;
  }
  Reply As(const std::shared_ptr<const security::Principal>& who, const std::string& method,
           const std::string& path, const std::string& body = "",
           const std::string& protocol = "http", const std::string& query = "") {
    CallRequest request;
    request.protocol = protocol;
    request.method = method;
    request.path = path;
    request.query = query;
    request.body = body;
    request.attributes = {{"session", "s1"}};
    request.peer.instance = "sockets";
    request.principal = who;
    absl::Notification done;
    Reply out;
    application_->Handle(std::move(request), [&](CallReply reply) {
      out = Reply{reply.status, reply.attributes, reply.body};
      done.Notify();
    });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kDeadline)) << path;
    return out;
  }
  std::string Published(const Reply& reply) {
    std::string all;
    for (const auto& [name, value] : reply.attributes) {
      if (name == "publish" || name == "publish-body") all += value + "\n";
    }
    return all;
  }
};

TEST_F(AccessTest, CommandsByTopicAreForOperators) {
  const std::string body = R"({"command":"get_status","message_id":"c-1"})";
  const Reply refused = As(Device("server-1"), "PUBLISH", "system/control/server-1", body, "mqtt");
  EXPECT_THAT(Published(refused), HasSubstr("not allowed"));
  const Reply done =
      As(Person(security::Role::kOperator), "PUBLISH", "system/control/server-1", body, "mqtt");
  EXPECT_THAT(done.body, HasSubstr("\"success\":true"));
  const Reply nobody = As(nullptr, "PUBLISH", "system/control/server-1", body, "mqtt");
  EXPECT_THAT(Published(nobody), HasSubstr("credentials: missing"));
}

TEST_F(AccessTest, ADeviceJoinsNoRoomOfAnother) {
  As(Device("CAM002"), "OPEN", "", "", "socketio");
  const std::string body = Json{{"camera_id", "CAM001"}, {"checkpoint_id", "CP01"}}.dump();
  const Reply reply = As(Device("CAM002"), "EVENT", "camera_register", body, "socketio");
  EXPECT_EQ(reply.status, 403);
  EXPECT_EQ(reply.attribute("join-room"), "");
  EXPECT_FALSE(application_->HasRoom("camera_CAM001_CP01"));
}

TEST_F(AccessTest, AnotherDevicesEventIsNotThere) {
  ASSERT_EQ(As(Device("CAM001"), "POST", "/api/detection", Detection().dump()).status, 200);
  const Json events = As(Device("CAM001"), "GET", "/api/lpr/events").json()["events"];
  ASSERT_EQ(events.size(), 1u);
  const std::string path = "/api/lpr/events/" + events[0]["event_id"].get<std::string>();
  EXPECT_EQ(As(Device("CAM001"), "GET", path).status, 200);
  const Reply other = As(Device("CAM002"), "GET", path);
  const Reply none = As(Device("CAM002"), "GET", "/api/lpr/events/nothing");
  EXPECT_EQ(other.status, 404);
  EXPECT_EQ(none.status, 404);
  EXPECT_THAT(other.body, Not(HasSubstr("1AB2345")));
}

TEST_F(AccessTest, AHubSpeaksForItsCameras) {
  auto hub = std::make_shared<security::Principal>(*Device("HUB1"));
  hub->devices = {"CAM*"};
  EXPECT_EQ(As(hub, "POST", "/api/detection", Detection().dump()).status, 200);
  EXPECT_EQ(As(hub, "GET", "/api/records", "", "http", "camera_id=CAM001").json()["returned_count"],
            1);
  EXPECT_EQ(As(hub, "GET", "/api/records").json()["returned_count"], 0);  // Of HUB1 itself.
  EXPECT_EQ(As(hub, "GET", "/api/records", "", "http", "camera_id=EDGE9").status, 403);
}

TEST_F(AccessTest, AnExpiredPrincipalIsNobody) {
  auto late = std::make_shared<security::Principal>(*Device("CAM001"));
  late->expires = clock_.Now();
  EXPECT_EQ(As(late, "POST", "/api/detection", Detection().dump()).status, 401);
}

TEST_F(AccessTest, OneOfABatchIsRefusedByItself) {
  const auto envelope = [](const char* device, const char* id) {
    return Json{{"message_id", id},
                {"timestamp", "2024-01-15T10:30:00.000Z"},
                {"protocol", "rest"},
                {"edge_device_id", device},
                {"data_type", "detection"},
                {"payload", {{"checkpoint_id", "CP1"}, {"ocr_results", {"X"}}}},
                {"metadata", Json::object()}};
  };
  const Json batch = {envelope("CAM001", "a"), envelope("CAM002", "b"), envelope("CAM001", "c")};
  const Json results =
      As(Device("CAM001"), "POST", "/api/lpr/data", batch.dump()).json()["results"];
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0]["status"], "stored");
  EXPECT_EQ(results[1]["status"], "rejected");
  EXPECT_EQ(results[1]["message_id"], "b");
  EXPECT_EQ(results[2]["status"], "stored");
}

TEST_F(AccessTest, WhatChangesIsWrittenDownWithItsEnd) {
  const auto operator_ = Person(security::Role::kOperator);
  As(operator_, "POST", "/api/blacklist", R"({"license_plate":"BAD1","reason":"x"})");
  As(Person(security::Role::kViewer), "DELETE", "/api/blacklist/BAD1");
  As(operator_, "GET", "/api/blacklist");
  absl::MutexLock lock(&audit_mutex_);
  ASSERT_EQ(audited_.size(), 2u);
  EXPECT_EQ(audited_[0].what, "POST /api/blacklist");
  EXPECT_EQ(audited_[0].result, "ok");
  EXPECT_THAT(audited_[0].who, HasSubstr("anna"));
  EXPECT_EQ(audited_[1].subject, "BAD1");
  EXPECT_THAT(audited_[1].result, HasSubstr("403"));
}

}  // namespace
}  // namespace viaduct
