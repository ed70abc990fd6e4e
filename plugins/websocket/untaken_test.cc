// What the listener says itself is what docs/WIRE.md says that the node says.
#include "plugins/websocket/untaken.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "plugins/websocket/client.h"

namespace viaduct::websocket {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

constexpr char kMessage[] = R"({"message_id":"m1"})";

TEST(UntakenEvents, AreThoseOfTheEvent) {
  const std::string failure = R"({"success":false,"error":"the server is busy"})";
  EXPECT_THAT(UntakenEvents(Untaken::kBusy, "message"),
              ElementsAre(Pair("message_error", failure)));
  EXPECT_THAT(UntakenEvents(Untaken::kBusy, "image"), ElementsAre(Pair("image_error", failure)));
  const std::string large = R"({"message":"message: larger than this server accepts"})";
  EXPECT_THAT(UntakenEvents(Untaken::kTooLarge, "lpr_data"),
              ElementsAre(Pair("error", large), Pair("lpr_event_error", large)));
}

TEST(UntakenAck, NamesTheEnvelopeAndRepeatsTheEventElsewhere) {
  EXPECT_EQ(UntakenAck(Untaken::kBusy, "envelope", kMessage),
            R"({"message_id":"m1","status":"retry","error":"the server is busy"})");
  EXPECT_EQ(UntakenAck(Untaken::kBusy, "envelope", "7"),
            R"({"message_id":"","status":"retry","error":"the server is busy"})");
  EXPECT_EQ(UntakenAck(Untaken::kBusy, "message", kMessage),
            R"({"success":false,"error":"the server is busy"})");
  EXPECT_EQ(UntakenAck(Untaken::kBusy, "health_status", kMessage),
            R"({"message":"the server is busy"})");
  const std::string rejected = UntakenAck(Untaken::kTooLarge, "envelope", kMessage);
  EXPECT_EQ(JudgeAnswer(rejected, "m1", false).outcome, DeliveryOutcome::kReject);
}

TEST(UntakenAnswer, NamesTheMessage) {
  EXPECT_EQ(JudgeAnswer(UntakenAnswer(Untaken::kTooLarge, kMessage), "m1", true).outcome,
            DeliveryOutcome::kReject);
  EXPECT_EQ(UntakenAnswer(Untaken::kBusy, R"({"message_id":7})"),
            UntakenAnswer(Untaken::kBusy, "no JSON"));
  EXPECT_NE(UntakenAnswer(Untaken::kBusy, kMessage), UntakenAnswer(Untaken::kBusy, "no JSON"));
}

std::string AnswerOfType(const std::string& type, const std::string& id) {
  return R"({"status":"error","type":")" + type + R"(","message_id":)" + id +
         R"(,"result":"retry","message":"the server is busy"})";
}

TEST(UntakenAnswer, IsOfTheTypeOfTheMessage) {
  const auto answer = [](const char* message) { return UntakenAnswer(Untaken::kBusy, message); };
  EXPECT_EQ(answer("no JSON"), AnswerOfType("detection_response", "null"));
  EXPECT_EQ(answer(R"({"type":"detection_result"})"), AnswerOfType("detection_response", "null"));
  EXPECT_EQ(answer(R"({"type":"health_check","message_id":"h"})"),
            AnswerOfType("health_response", "\"h\""));
  EXPECT_EQ(answer(R"({"type":"node_register","device_id":"N"})"),
            AnswerOfType("node_registered", "null"));
  EXPECT_EQ(answer(R"({"message_id":"e","data_type":"health","payload":{}})"),
            AnswerOfType("health_response", "\"e\""));
  EXPECT_EQ(answer(R"({"message_id":"e","data_type":"detection","payload":{}})"),
            AnswerOfType("detection_response", "\"e\""));
  EXPECT_EQ(answer(R"({"message_id":"e","data_type":"config","payload":{}})"),
            AnswerOfType("message_response", "\"e\""));
}

TEST(UntakenAnswer, NamesTheTable) {
  EXPECT_EQ(UntakenAnswer(Untaken::kBusy,
                          R"({"table":"lpr_detection","action":"insert","data":{"type":"x"}})"),
            R"({"status":"error","message":"the server is busy","record_id":null,)"
            R"("table":"lpr_detection","action":"insert"})");
  EXPECT_EQ(UntakenAnswer(Untaken::kBusy, "{\"table\":\"" + std::string(300, 't') + "\"}"),
            R"({"status":"error","message":"the server is busy","record_id":null,)"
            R"("table":"","action":""})");
}

}  // namespace
}  // namespace viaduct::websocket
