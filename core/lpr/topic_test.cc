#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/lpr/application.h"
#include "core/lpr/testing/application_fixture.h"
#include "core/lpr/topic_names.h"
#include "core/store/message_key.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(MatchTopic, KnowsEveryTopicAndItsDevice) {
  const struct {
    const char* topic;
    TopicKind kind;
    const char* device;
  } kCases[] = {
      {"lpr/data", TopicKind::kData, ""},
      {"lpr/data/edge/CAM001", TopicKind::kData, "CAM001"},
      {"system/status/CAM001", TopicKind::kStatus, "CAM001"},
      {"system/control/CAM001", TopicKind::kControl, "CAM001"},
      {"file/transfer/request", TopicKind::kFile, ""},
      {"file/transfer/status", TopicKind::kFile, ""},
      {"lprserver/cameras/7/detection", TopicKind::kDetection, "7"},
      {"lprserver/cameras/7/health", TopicKind::kHealth, "7"},
      {"lprserver/cameras/7/config", TopicKind::kConfig, "7"},
      {"lprserver/cameras/7/control", TopicKind::kControl, "7"},
      {"camera/c-1/status", TopicKind::kStatus, "c-1"},
      {"camera/c-1/health", TopicKind::kHealth, "c-1"},
      {"camera/c-1/detections", TopicKind::kDetection, "c-1"},
      {"aicamera/device/d/health", TopicKind::kHealth, "d"},
      {"aicamera/edge/device/d/health", TopicKind::kHealth, "d"},
  };
  for (const auto& c : kCases) {
    const TopicMatch match = MatchTopic(c.topic);
    EXPECT_EQ(match.kind, c.kind) << c.topic;
    EXPECT_EQ(match.device, c.device) << c.topic;
  }
}

TEST(MatchTopic, TakesNoOther) {
  for (const char* topic :
       {"", "/", "lpr", "lpr/data/", "lpr/data/edge/", "lpr/data/edge/a/b", "lpr/ack/CAM001",
        "lpr/data/processed", "system/control/a/response", "lprserver/cameras//detection",
        "lprserver/cameras/7/detection/ack", "camera/c/other", "camera/a/b/status", "xlpr/data"}) {
    EXPECT_EQ(MatchTopic(topic).kind, TopicKind::kNone) << topic;
  }
}

class TopicTest : public ApplicationTest {
 protected:
  Reply PublishText(const std::string& topic, const std::string& body, bool retain = false) {
    CallRequest request;
    request.protocol = "mqtt";
    request.method = "PUBLISH";
    request.path = topic;
    request.body = body;
    if (retain) request.attributes = {{"retain", "1"}};
    request.peer.address = "mqtt:broker:1883";
    absl::Notification done;
    Reply out;
    application_->Handle(std::move(request), [&](CallReply reply) {
      out = Reply{reply.status, reply.attributes, reply.body};
      done.Notify();
    });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kDeadline)) << topic;
    return out;
  }
  Reply Publish(const std::string& topic, const Json& body) {
    return PublishText(topic, body.dump());
  }

  // Topic and payload of everything that a reply wants published, as a listener reads it.
  static std::vector<std::pair<std::string, Json>> Publications(const Reply& reply) {
    std::vector<std::pair<std::string, Json>> out;
    for (const auto& [name, value] : reply.attributes) {
      if (name == "publish") out.emplace_back(value, Json::parse(reply.body, nullptr, false));
      if (name == "publish-body") out.back().second = Json::parse(value);
    }
    return out;
  }
  static std::vector<std::string> Topics(const Reply& reply) {
    std::vector<std::string> out;
    for (const auto& [topic, body] : Publications(reply)) out.push_back(topic);
    return out;
  }
  static Json BodyFor(const Reply& reply, const std::string& topic) {
    for (const auto& [name, body] : Publications(reply)) {
      if (name == topic) return body;
    }
    return Json();
  }
  int64_t Count(const std::string& what) {
    return Get("/api/statistics").json()["data"][what].get<int64_t>();
  }
};

TEST_F(TopicTest, AnEnvelopeIsAnsweredToItsSenderOnceItIsStored) {
  const Json envelope =
      EnvelopeOf("0190a6f0-1234-7abc-8def-0123456789ab", Detection(), "detection");
  const Reply reply = Publish("lpr/data/edge/EDGE7", envelope);
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(Topics(reply), ElementsAre("lpr/ack/EDGE7", "lpr/data/processed"));
  const Json ack = BodyFor(reply, "lpr/ack/EDGE7");
  EXPECT_EQ(ack["message_id"], envelope["message_id"]);
  EXPECT_EQ(ack["status"], "stored");
  EXPECT_EQ(BodyFor(reply, "lpr/data/processed")["status"], "stored");
  EXPECT_EQ(FirstRecord()["detection_id"], ack["id"]);
  const Reply again = Publish("lpr/data/edge/EDGE7", envelope);
  EXPECT_EQ(BodyFor(again, "lpr/ack/EDGE7")["status"], "duplicate");
  EXPECT_EQ(Count("total_detections"), 1);
}

TEST_F(TopicTest, AnArrayIsAnsweredAsAnArrayWithEachInItsPlace) {
  const Json bad = {{"message_id", "bad"}, {"data_type", "detection"}};
  const Reply reply =
      Publish("lpr/data", Json::array({EnvelopeOf("m-1", Detection(), "detection"), bad,
                                       EnvelopeOf("m-2", Health(), "health")}));
  EXPECT_THAT(Topics(reply), ElementsAre("lpr/ack/CAM001", "lpr/data/processed", "lpr/data/error"));
  const Json acks = BodyFor(reply, "lpr/ack/CAM001");
  ASSERT_THAT(acks, SizeIs(3));
  EXPECT_EQ(acks[0]["status"], "stored");
  EXPECT_EQ(acks[1]["status"], "rejected");
  EXPECT_EQ(acks[1]["message_id"], "bad");
  EXPECT_EQ(acks[2]["status"], "stored");
  EXPECT_THAT(BodyFor(reply, "lpr/data/processed"), SizeIs(2));
  EXPECT_THAT(BodyFor(reply, "lpr/data/error"), SizeIs(1));
}

TEST_F(TopicTest, FlatDataIsSortedByItsType) {
  EXPECT_THAT(Topics(Publish("lpr/data/edge/CAM001", Detection())),
              ElementsAre("lpr/ack/CAM001", "lpr/data/processed"));
  Publish("lpr/data", Health());
  Publish("lpr/data",
          Json{{"type", "camera_register"}, {"camera_id", "CAM009"}, {"checkpoint_id", "CP9"}});
  EXPECT_EQ(Count("total_detections"), 1);
  EXPECT_EQ(Count("total_health_checks"), 1);
  EXPECT_THAT(Get("/api/cameras").body, HasSubstr("CAM009"));
  const Reply other = Publish("lpr/data/edge/CAM001", Json{{"type", "weather"}});
  EXPECT_EQ(other.status, 200);
  EXPECT_EQ(BodyFor(other, "lpr/ack/CAM001")["status"], "rejected");
  EXPECT_THAT(BodyFor(other, "lpr/data/error")["error"], HasSubstr("weather"));
}

TEST_F(TopicTest, ADetectionOfTheServersFormIsAcknowledgedOnItsTopic) {
  const Json body = {
      {"message_id", "msg-7"},
      {"timestamp", "2024-01-15T10:30:00Z"},
      {"camera_id", "7"},
      {"checkpoint_id", "CP1"},
      {"detection_data",
       {{"vehicles_count", 1},
        {"plates_count", 1},
        {"processing_time_ms", 12},
        {"vehicles", Json::array({Json::object()})},
        {"plates", Json::array({{{"plate_number", "1AB234"}, {"confidence", 93}}})}}},
      {"metadata", Json::object()}};
  const Reply reply = Publish("lprserver/cameras/7/detection", body);
  EXPECT_THAT(Topics(reply), ElementsAre("lprserver/cameras/7/detection/ack"));
  const Json ack = BodyFor(reply, "lprserver/cameras/7/detection/ack");
  EXPECT_EQ(ack["original_message_id"], "msg-7");
  EXPECT_NE(ack["message_id"], "msg-7");
  EXPECT_EQ(ack["status"], "processed");
  EXPECT_EQ(ack["camera_id"], "7");
  EXPECT_TRUE(ack.contains("timestamp"));
  const Json event = Get("/api/lpr/events").json()["events"][0];
  EXPECT_EQ(event["license_plate"], "1AB234");
  EXPECT_EQ(event["edge_device_id"], "7");
}

TEST_F(TopicTest, FieldDevicesNeedNotRepeatWhatTheTopicSays) {
  EXPECT_THAT(Topics(Publish("camera/C5/detections", Json{{"checkpoint_id", "CP1"},
                                                          {"timestamp", "2024-01-15T10:30:00Z"},
                                                          {"ocr_results", Json::array({"X1"})}})),
              IsEmpty());
  for (const char* topic : {"camera/C5/health", "aicamera/device/C5/health",
                            "aicamera/edge/device/C5/health", "lprserver/cameras/C5/health"}) {
    EXPECT_EQ(Publish(topic, Json{{"status", "PASS"}, {"component", topic}}).status, 200);
  }
  EXPECT_EQ(Count("total_detections"), 1);
  EXPECT_EQ(Count("total_health_checks"), 4);
  EXPECT_EQ(FirstRecord()["camera_id"], "C5");
}

TEST_F(TopicTest, BadPayloadsAreAnsweredAndNotAskedForAgain) {
  for (const char* body : {"x", "[", "{\"data_type\":1}", "\xff", "{\"type\":\"detection_result\"}",
                           "7", "[7]", "{\"payload\":{}}"}) {
    const Reply reply = PublishText("lpr/data/edge/CAM001", body);
    EXPECT_EQ(reply.status, 200) << body;
    EXPECT_NE(BodyFor(reply, "lpr/data/error"), Json()) << body;
  }
  const Reply detection = PublishText("lprserver/cameras/7/detection", "{}");
  EXPECT_EQ(BodyFor(detection, "lprserver/cameras/7/detection/ack")["status"], "error");
  EXPECT_THAT(BodyFor(detection, "lpr/data/error")["error"], HasSubstr("timestamp"));
  EXPECT_EQ(BodyFor(PublishText("camera/C/health", "{}"), "lpr/data/error")["status"], "rejected");
  const Reply large = PublishText("lpr/data/edge/CAM001", std::string(2 << 20, ' '));
  EXPECT_THAT(BodyFor(large, "lpr/data/error")["error"], HasSubstr("too large"));
  EXPECT_EQ(PublishText("some/other/topic", "{}").status, 404);
}

// Found by fuzz_topics: the answers stood beside each other, which is no JSON.
TEST_F(TopicTest, SeveralMessagesWithoutAnArrayAroundThemAreAnsweredAsOne) {
  const Reply reply =
      PublishText("lpr/data/edge/CAM001", R"({"message_id": "m1"}, {"message_id": "m2"})");
  const Json answers = Json::parse(reply.body);
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0]["message_id"], "m1");
  EXPECT_EQ(answers[1]["message_id"], "m2");
  EXPECT_EQ(BodyFor(reply, "lpr/data/error"), answers);
}

// A sender that is not told which messages were refused sends them again for ever.
TEST_F(TopicTest, EachMessageOfARefusedPayloadIsNamed) {
  const auto id_and_word = [](const Json& ack) {
    return ack["message_id"].get<std::string>() + " " + ack["status"].get<std::string>();
  };
  const Json large = {{"message_id", "m-1"},
                      {"edge_device_id", "EDGE7"},
                      {"data_type", "detection"},
                      {"payload", {{"message_id", "inner"}, {"x", std::string(2 << 20, ' ')}}}};
  const Reply one = PublishText("lpr/data/edge/EDGE7", large.dump());
  EXPECT_EQ(id_and_word(BodyFor(one, "lpr/ack/EDGE7")), "m-1 rejected");
  Json second = large;
  second["message_id"] = "m-2";
  const Reply two = PublishText("lpr/data", Json::array({large, second}).dump());
  const Json acks = BodyFor(two, "lpr/ack/EDGE7");
  ASSERT_THAT(acks, SizeIs(2));
  EXPECT_EQ(id_and_word(acks[0]), "m-1 rejected");
  EXPECT_EQ(id_and_word(acks[1]), "m-2 rejected");
  const Reply broken = PublishText("lpr/data/edge/EDGE7",
                                   R"([{"message_id" : "m-3","a":"\"}","data_type":"x"},{"q)");
  ASSERT_THAT(BodyFor(broken, "lpr/ack/EDGE7"), SizeIs(1));
  EXPECT_EQ(id_and_word(BodyFor(broken, "lpr/ack/EDGE7")[0]), "m-3 rejected");
}

// The listener acknowledges nothing then, and the broker keeps it.
TEST_F(TopicTest, WhatCanNotBeStoredNowIsNeitherAnsweredNorRefused) {
  RefusingSink full(absl::ResourceExhaustedError("disk full"));
  MakeApplication(&full, store_.get());
  for (const Json& body : {EnvelopeOf("m-1", Detection(), "detection"), Detection(),
                           Json::array({EnvelopeOf("m-1", Detection(), "detection")})}) {
    const Reply reply = Publish("lpr/data/edge/CAM001", body);
    EXPECT_EQ(reply.status, 507);
    EXPECT_THAT(Topics(reply), IsEmpty());
  }
  const Json detection = {{"checkpoint_id", "CP1"}, {"timestamp", "2024-01-15T10:30:00Z"}};
  EXPECT_EQ(Publish("lprserver/cameras/7/detection", detection).status, 507);
}

TEST_F(TopicTest, StatusIsThatOfTheDevice) {
  const auto status_of = [this](const std::string& id) {
    return Get("/api/devices/" + id).json()["device"]["status"];
  };
  EXPECT_EQ(Publish("system/status/CAM1", Json{{"status", "online"}}).status, 200);
  EXPECT_EQ(status_of("CAM1"), "online");
  EXPECT_EQ(PublishText("system/status/CAM1", R"({"status":"offline"})", true).status, 200);
  EXPECT_EQ(status_of("CAM1"), "offline");
  EXPECT_EQ(PublishText("camera/CAM2/status", "online").status, 200);
  EXPECT_EQ(status_of("CAM2"), "online");
  EXPECT_EQ(PublishText("camera/CAM2/status", "").status, 200);  // A retained one is taken away.
  EXPECT_EQ(status_of("CAM2"), "online");
  const Reply bad = PublishText("system/status/CAM1", "{\"state\":1}");
  EXPECT_THAT(BodyFor(bad, "lpr/data/error")["error"], HasSubstr("status"));
}

TEST_F(TopicTest, AFlatPayloadIsOfTheDeviceInItsTopic) {
  for (const char* topic :
       {"lpr/data/edge/CAM002", "lprserver/cameras/CAM002/detection", "camera/CAM002/detections"}) {
    const Reply reply = Publish(topic, Detection());
    EXPECT_EQ(reply.status, 200) << topic;
    EXPECT_THAT(BodyFor(reply, "lpr/data/error")["error"], HasSubstr("CAM002")) << topic;
  }
  for (const char* topic : {"camera/CAM002/health", "aicamera/device/CAM002/health"}) {
    EXPECT_NE(BodyFor(Publish(topic, Health()), "lpr/data/error"), Json()) << topic;
  }
  EXPECT_EQ(Count("total_detections"), 0);
  EXPECT_EQ(Count("total_health_checks"), 0);
}

TEST_F(TopicTest, ANameThatIsNoneIsRefused) {
  const std::string name(ParseLimits().max_id_bytes + 1, 'x');
  for (const std::string& topic :
       {absl::StrCat("system/status/", name), absl::StrCat("lpr/data/edge/", name),
        absl::StrCat("camera/", name, "/health"), std::string("system/status/a\nb")}) {
    const Reply reply = PublishText(topic, R"({"status":"online"})");
    EXPECT_EQ(reply.status, 200) << topic;
    EXPECT_THAT(BodyFor(reply, "lpr/data/error")["error"], HasSubstr("topic: ")) << topic;
  }
}

// Passes everything on and keeps the names of it.
class NamingSink final : public Sink {
 public:
  explicit NamingSink(Sink* next) : next_(next) {}
  void Accept(std::vector<Arrival> batch, AcceptFn done) override {
    for (const Arrival& arrival : batch) ids.push_back(arrival.envelope.message_id);
    next_->Accept(std::move(batch), std::move(done));
  }
  std::vector<std::string> ids;

 private:
  Sink* const next_;
};

// A retained message comes at every subscription.
TEST_F(TopicTest, AConfigurationThatComesAgainIsOneMessage) {
  NamingSink sink(sink_.get());
  MakeApplication(&sink, store_.get());
  const Json config = {{"resolution", "1080p"}};
  EXPECT_EQ(Publish("lprserver/cameras/7/config", config).status, 200);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Publish("lprserver/cameras/7/config", config).status, 200);
  EXPECT_EQ(Publish("lprserver/cameras/7/config", Json{{"resolution", "4k"}}).status, 200);
  ASSERT_THAT(sink.ids, SizeIs(3));
  EXPECT_EQ(sink.ids[0], sink.ids[1]);
  EXPECT_NE(sink.ids[0], sink.ids[2]);
  MessageKey key;
  EXPECT_TRUE(ParseKey(sink.ids[0], &key)) << sink.ids[0];
  application_.reset();
}

// A text counts together with the time, and there is none.
TEST_F(TopicTest, AConfigurationWithANameOfItsOwnIsOneMessageToo) {
  NamingSink sink(sink_.get());
  MakeApplication(&sink, store_.get());
  const Json config = {{"message_id", "cfg-1"}, {"resolution", "1080p"}};
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(PublishText("lprserver/cameras/7/config", config.dump(), i > 0).status, 200);
    clock_.Advance(absl::Hours(1));
  }
  EXPECT_EQ(PublishText("lprserver/cameras/8/config", config.dump(), true).status, 200);
  ASSERT_THAT(sink.ids, SizeIs(3));
  EXPECT_EQ(sink.ids[0], sink.ids[1]);
  EXPECT_NE(sink.ids[0], sink.ids[2]) << "of another topic";
  const Reply file = Publish("file/transfer/request",
                             Json{{"device_id", "CAM001"}, {"message_id", "f-2"}, {"file", "a"}});
  EXPECT_EQ(BodyFor(file, "lpr/ack/CAM001")["message_id"], "f-2") << "the sender's own name for it";
  application_.reset();
}

TEST_F(TopicTest, ARetainedHealthReportWithoutATimeIsStoredOnce) {
  const std::string topic = "lprserver/cameras/CAM001/health";
  const std::string report = R"({"component":"disk","status":"PASS"})";
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(PublishText(topic, report, /*retain=*/true).status, 200);
    clock_.Advance(absl::Minutes(1));
  }
  EXPECT_EQ(Count("total_health_checks"), 1);
  // As they are published they are reports of different moments.
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(PublishText(topic, report).status, 200);
    clock_.Advance(absl::Minutes(1));
  }
  EXPECT_EQ(Count("total_health_checks"), 3);
  EXPECT_EQ(PublishText("aicamera/device/CAM001/health", report, /*retain=*/true).status, 200);
  EXPECT_EQ(Count("total_health_checks"), 4);
}

TEST_F(TopicTest, FileTransfersAreAnsweredToTheirDevice) {
  const Reply reply = Publish("file/transfer/request", Json{{"device_id", "CAM001"},
                                                            {"message_id", "f-1"},
                                                            {"timestamp", "2024-01-15T10:30:00Z"},
                                                            {"file", "a.jpg"}});
  EXPECT_EQ(BodyFor(reply, "lpr/ack/CAM001")["status"], "stored");
  EXPECT_EQ(BodyFor(reply, "lpr/ack/CAM001")["message_id"], "f-1");
}

TEST_F(TopicTest, WhoTellsOfAFileHearsHowItStands) {
  const std::string id = "00000000-0000-7000-8000-000000000001";
  const Json request = {{"type", "file_transfer_request"},
                        {"transfer_id", id},
                        {"camera_id", "CAM001"},
                        {"name", "CAM001/a.jpg"},
                        {"size", 5},
                        {"sha256", std::string(64, 'a')},
                        {"timestamp", "2024-01-15T10:30:00Z"}};
  Json status = BodyFor(Publish("file/transfer/request", request), "file/transfer/status");
  EXPECT_EQ(status["type"], "file_transfer_status");
  EXPECT_EQ(status["transfer_id"], id);
  EXPECT_EQ(status["camera_id"], "CAM001");
  EXPECT_EQ(status["status"], "waiting");
  FileTransferRecord settled;
  settled.action = FileTransferRecord::Action::kSettle;
  settled.transfer_id = id;
  settled.sha256 = std::string(64, 'a');
  settled.state = FileState::kFailed;
  settled.detail = "size: another";
  absl::Notification done;
  std::vector<StoreRecord> records;
  records.emplace_back(settled);
  store_->Append(std::move(records), [&](const std::vector<AppendResult>&) { done.Notify(); });
  done.WaitForNotification();
  // Told of again it waits again.
  const Reply again = Publish("file/transfer/request", request);
  EXPECT_EQ(BodyFor(again, "lpr/ack/CAM001")["status"], "duplicate");
  EXPECT_EQ(BodyFor(again, "file/transfer/status")["status"], "waiting");
  const auto listed = [this](const std::string& query) {
    return Get("/api/file_transfers" + query).json()["files"];
  };
  ASSERT_EQ(listed("?device=CAM001&status=waiting").size(), 1u);
  EXPECT_EQ(listed("?device=CAM001")[0]["transfer_id"], id);
  EXPECT_EQ(listed("?device=CAM001")[0]["name"], "CAM001/a.jpg");
  EXPECT_EQ(listed("?device=CAM009").size(), 0u);
  EXPECT_EQ(listed("?status=stored").size(), 0u);
  const Json page = Get("/api/file_transfers?limit=1").json();
  EXPECT_EQ(listed("?cursor=" + page["next_cursor"].get<std::string>()).size(), 0u);
  EXPECT_EQ(Get("/api/file_transfers?status=lost").status, 400);
  EXPECT_EQ(Get("/api/file_transfers?cursor=x").status, 400);
  EXPECT_EQ(Get("/api/file_transfers/unannounced").status, 501);  // It takes none in.
  Json bad = request;
  bad["name"] = "CAM002/a.jpg";
  EXPECT_EQ(BodyFor(Publish("file/transfer/request", bad), "lpr/data/error")["status"], "rejected");
}

TEST_F(TopicTest, WhatAServerSaysOfAFileIsNotKeptAsAMessage) {
  const Json status = {{"type", "file_transfer_status"},
                       {"transfer_id", "00000000-0000-7000-8000-000000000001"},
                       {"camera_id", "CAM009"},
                       {"status", "stored"}};
  const Reply reply = Publish("file/transfer/status", status);
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(Topics(reply), IsEmpty());
  EXPECT_EQ(store_->GetDevice("CAM009").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(TopicTest, CommandsAreAnsweredOnTheirTopic) {
  const Reply health =
      Publish("system/control/EDGE1", Json{{"message_id", "c-1"}, {"command", "get_health"}});
  EXPECT_THAT(Topics(health), ElementsAre("system/control/EDGE1/response"));
  const Json answer = BodyFor(health, "system/control/EDGE1/response");
  EXPECT_EQ(answer["message_id"], "c-1");
  EXPECT_EQ(answer["command"], "get_health");
  EXPECT_EQ(answer["success"], true);
  EXPECT_EQ(answer["result"]["status"], "degraded");
  const Reply enveloped = Publish("lprserver/cameras/EDGE1/control",
                                  EnvelopeOf("c-2", Json{{"command", "get_status"}}, "control"));
  EXPECT_EQ(BodyFor(enveloped, "lprserver/cameras/EDGE1/control/response")["success"], true);
  const Reply unknown = Publish("system/control/EDGE1", Json{{"command", "dance"}});
  EXPECT_EQ(BodyFor(unknown, "system/control/EDGE1/response")["status"], 501);
  const Reply bad = PublishText("system/control/EDGE1", "{");
  EXPECT_EQ(BodyFor(bad, "system/control/EDGE1/response")["status"], 400);
}

TEST_F(TopicTest, ACommandThatABrokerHadKeptTooLongIsNotCarriedOut) {
  const auto give = [&](const std::string& expires) {
    const Reply reply =
        Publish("system/control/EDGE1",
                Json{{"message_id", "c-1"}, {"command", "get_health"}, {"expires", expires}});
    return BodyFor(reply, "system/control/EDGE1/response");
  };
  const auto at = [&](absl::Duration from_now) {
    return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", clock_.Now() + from_now, absl::UTCTimeZone());
  };
  EXPECT_EQ(give(at(absl::Seconds(1)))["success"], true);
  EXPECT_EQ(give(at(-absl::Seconds(10)))["success"], true) << "clocks differ a little";
  const Json late = give(at(-absl::Minutes(5)));
  EXPECT_EQ(late["status"], 410);
  EXPECT_EQ(late["message_id"], "c-1");
  EXPECT_EQ(give("tomorrow")["status"], 400);
}

}  // namespace
}  // namespace viaduct
