#include "plugins/rest/http_reply.h"

#include <gtest/gtest.h>

namespace viaduct::rest {
namespace {

TEST(JudgeStatus, OnlyTheMessageItselfIsEverRejected) {
  for (const int status : {400, 413, 422}) {
    EXPECT_EQ(JudgeStatus(status, "", "{}", 1).result.outcome, DeliveryOutcome::kReject) << status;
    EXPECT_EQ(JudgeStatus(status, "", "{}", 2).kind, Judgement::Kind::kSplit) << status;
  }
  for (const int status : {301, 302, 401, 403, 404, 405, 408, 429, 500, 502, 503, 507}) {
    EXPECT_EQ(JudgeStatus(status, "", "<html>", 1).result.outcome, DeliveryOutcome::kRetry)
        << status;
    EXPECT_EQ(JudgeStatus(status, "", "<html>", 9).kind, Judgement::Kind::kAll) << status;
  }
}

TEST(JudgeStatus, KeepsTheServersWishAndWords) {
  const Judgement busy = JudgeStatus(503, "7", R"({"message":"disk full"})", 1);
  EXPECT_EQ(busy.result.retry_after, absl::Seconds(7));
  EXPECT_EQ(busy.result.status.message(), "HTTP 503: disk full");
  EXPECT_EQ(JudgeStatus(503, "99999999", "", 1).result.retry_after, absl::Hours(1));
  EXPECT_EQ(JudgeStatus(503, "-5", "", 1).result.retry_after, absl::ZeroDuration());
  EXPECT_EQ(JudgeStatus(503, "tomorrow", "", 1).result.retry_after, absl::ZeroDuration());
}

TEST(ReadEnvelopeAnswer, TakesEachItemForItself) {
  const auto results = ReadEnvelopeAnswer(
      R"({"results":[{"message_id":"a","status":"stored"},{"message_id":"b","status":"duplicate"},
          {"message_id":"c","status":"rejected","error":"no camera"},{"message_id":"d","status":"error"}]})",
      {"a", "b", "c", "d"});
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0].outcome, DeliveryOutcome::kDurable);
  EXPECT_FALSE(results[0].duplicate);
  EXPECT_EQ(results[1].outcome, DeliveryOutcome::kDurable);
  EXPECT_TRUE(results[1].duplicate);
  EXPECT_EQ(results[2].outcome, DeliveryOutcome::kReject);
  EXPECT_EQ(results[2].status.message(), "rejected: no camera");
  EXPECT_EQ(results[3].outcome, DeliveryOutcome::kRetry);
}

// A captive portal, an old server, an answer cut short or out of order: nothing may count as
// stored.
TEST(ReadEnvelopeAnswer, WhatIsNotAClearYesIsARetry) {
  for (const char* body :
       {"", "<html>Welcome to the hotel</html>", "{}", "[]", "true", "{\"success\":true}", "[1]",
        R"([{"message_id":"other","status":"stored"}])", R"([{"status":"stored"}])",
        R"([{"message_id":7,"status":"stored"}])", R"({"results":{"message_id":"a"}})",
        R"([{"message_id":"a","status":["stored"]}])", R"([{"message_id":"a","status":"stored")"}) {
    const auto results = ReadEnvelopeAnswer(body, {"a"});
    ASSERT_EQ(results.size(), 1u);
    EXPECT_EQ(results[0].outcome, DeliveryOutcome::kRetry) << body;
    EXPECT_FALSE(results[0].status.ok()) << body;
  }
}

TEST(ReadEnvelopeAnswer, AShortListLeavesTheRestToBeSentAgain) {
  const auto results = ReadEnvelopeAnswer(R"([{"message_id":"a","status":"stored"}])", {"a", "b"});
  EXPECT_EQ(results[0].outcome, DeliveryOutcome::kDurable);
  EXPECT_EQ(results[1].outcome, DeliveryOutcome::kRetry);
}

TEST(ReadFlatAnswer, NeedsSuccessInSoManyWords) {
  EXPECT_EQ(ReadFlatAnswer(R"({"success":true})").outcome, DeliveryOutcome::kDurable);
  for (const char* body :
       {"", "<html>", "{}", R"({"success":"true"})", R"({"success":false})", "[true]"})
    EXPECT_EQ(ReadFlatAnswer(body).outcome, DeliveryOutcome::kRetry) << body;
}

}  // namespace
}  // namespace viaduct::rest
