#include "plugins/mqtt/acks.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace viaduct::mqtt {
namespace {

TEST(Acks, ReadsOneAndMany) {
  std::vector<Ack> acks;
  ASSERT_TRUE(ReadAcks(R"({"message_id":"a","status":"stored","id":"x"})", &acks));
  ASSERT_EQ(acks.size(), 1u);
  EXPECT_EQ(acks[0].message_id, "a");
  EXPECT_EQ(acks[0].word, AckWord::kStored);
  ASSERT_TRUE(ReadAcks(R"([{"message_id":"a","status":"duplicate"},
      {"message_id":"b","status":"rejected","error":"no"},{"message_id":"c","status":"processed"}])",
                       &acks));
  ASSERT_EQ(acks.size(), 3u);
  EXPECT_EQ(acks[0].word, AckWord::kDuplicate);
  EXPECT_EQ(acks[1].word, AckWord::kRejected);
  EXPECT_EQ(acks[1].error, "no");
  EXPECT_EQ(acks[2].word, AckWord::kStored);
}

// Only what says so is proof; everything else leaves the message where it is.
TEST(Acks, TakesNothingElseForProof) {
  std::vector<Ack> acks;
  ASSERT_TRUE(ReadAcks(R"([{"message_id":"a"},{"message_id":"b","status":"STORED"},
      {"message_id":"c","status":1},{"message_id":"d","status":"error"}])",
                       &acks));
  for (const Ack& ack : acks) EXPECT_EQ(ack.word, AckWord::kLater) << ack.message_id;
  EXPECT_EQ(acks.size(), 4u);
}

TEST(Acks, APauseThatTheServerAsksForIsRead) {
  std::vector<Ack> acks;
  ASSERT_TRUE(ReadAcks(R"([{"message_id":"a","status":"retry","retry_after":12},
      {"message_id":"b","status":"retry"},{"message_id":"c","status":"stored","retry_after":5}])",
                       &acks));
  EXPECT_EQ(acks[0].retry_after, absl::Seconds(12));
  EXPECT_EQ(acks[1].retry_after, absl::ZeroDuration());
  EXPECT_EQ(acks[2].retry_after, absl::ZeroDuration());
}

TEST(Acks, LeavesGarbageOut) {
  std::vector<Ack> acks;
  for (const char* garbage :
       {"", "stored", "[", "{}", "[]", "null", "[1,null,[]]", R"({"message_id":7})", "\xff\xfe",
        R"({"message_id":"","status":"stored"})"}) {
    EXPECT_FALSE(ReadAcks(garbage, &acks)) << garbage;
    EXPECT_TRUE(acks.empty()) << garbage;
  }
}

TEST(Acks, BoundsWhatItKeepsOfAServersWords) {
  std::vector<Ack> acks;
  const std::string large(1 << 20, 'x');
  ASSERT_TRUE(
      ReadAcks(R"({"message_id":"a","status":"rejected","error":")" + large + "\"}", &acks));
  EXPECT_EQ(acks[0].error.size(), 512u);
}

TEST(Acks, FindsTheIdOfAnAnswer) {
  EXPECT_EQ(ReadMessageId(R"({"message_id":"m1","success":true})"), "m1");
  EXPECT_EQ(ReadMessageId("[]"), "");
  EXPECT_EQ(ReadMessageId("x"), "");
}

TEST(JoinEnvelopes, OneIsItselfAndManyAreAnArray) {
  EXPECT_EQ(JoinEnvelopes({"{\"a\":1}"}), "{\"a\":1}");
  EXPECT_EQ(JoinEnvelopes({"{\"a\":1}", "{\"b\":2}", "{}"}), "[{\"a\":1},{\"b\":2},{}]");
}

TEST(StatusPayload, SaysWhoHowAndWhen) {
  const auto json = nlohmann::json::parse(StatusPayload("CAM\"1", "online", 1705314600000000000));
  EXPECT_EQ(json["device_id"], "CAM\"1");
  EXPECT_EQ(json["status"], "online");
  EXPECT_EQ(json["timestamp"], "2024-01-15T10:30:00.000Z");
  const auto will = nlohmann::json::parse(StatusPayload("C", "offline", 0));
  EXPECT_EQ(will.size(), 2u) << will;
}

TEST(StatusPayload, SaysWhatTheNodeIs) {
  const NodeFacts facts = ReadFacts(R"({"device_id":"N","hostname":"pi","version":"1.2"})");
  const auto json = nlohmann::json::parse(StatusPayload("C", "online", 1, facts));
  EXPECT_EQ(json["device_id"], "C");
  EXPECT_EQ(json["hostname"], "pi");
  EXPECT_EQ(json["version"], "1.2");
}

TEST(ReadFacts, LeavesOutWhatIsNone) {
  for (const char* garbage : {"", "[", "[]", "pi", R"({"hostname":7,"version":["1"]})", "{}"}) {
    const NodeFacts facts = ReadFacts(garbage);
    EXPECT_EQ(facts.hostname + facts.version, "") << garbage;
  }
  const std::string large(1 << 20, 'x');
  EXPECT_EQ(ReadFacts(R"({"hostname":")" + large + "\"}").hostname.size(), 255u);
}

}  // namespace
}  // namespace viaduct::mqtt
