#include "plugins/rest/http_reply.h"

#include <gtest/gtest.h>

namespace viaduct::rest {
namespace {

using Ids = std::vector<std::string_view>;

HttpAnswer Answer(int status, std::string_view body, std::string_view retry_after = "") {
  return HttpAnswer{status, retry_after, body};
}

std::vector<DeliveryResult> Read(std::string_view body, const Ids& ids) {
  return JudgeEnvelopes(Answer(200, body), ids).results;
}

TEST(JudgeEnvelopes, APauseForOneMessageIsKept) {
  const auto results = JudgeEnvelopes(Answer(200, R"({"results":[
      {"message_id":"a","status":"stored"},
      {"message_id":"b","status":"retry","error":"busy","retry_after":9},
      {"message_id":"c","status":"retry","error":"busy"},
      {"message_id":"d","status":"retry","retry_after":"soon"},
      {"message_id":"e","status":"retry","retry_after":1e300}]})",
                                             "4"),
                                      {"a", "b", "c", "d", "e"})
                           .results;
  ASSERT_EQ(results.size(), 5u);
  EXPECT_EQ(results[0].retry_after, absl::ZeroDuration());
  EXPECT_EQ(results[1].retry_after, absl::Seconds(9));
  EXPECT_EQ(results[2].retry_after, absl::Seconds(4)) << "the header's";
  EXPECT_EQ(results[3].retry_after, absl::Seconds(4));
  EXPECT_EQ(results[4].retry_after, absl::Hours(1));
}

// nginx on the wrong port answers 400 with a page, a proxy 413: no message may die of that.
TEST(JudgeEnvelopes, AStatusAloneRefusesNothing) {
  for (const int status :
       {301, 302, 400, 401, 403, 404, 405, 408, 413, 422, 429, 500, 502, 503, 507}) {
    for (const char* body : {"", "<html>", "{}", "[]", R"({"message":"no"})"}) {
      const Verdict one = JudgeEnvelopes(Answer(status, body), {"a"});
      ASSERT_EQ(one.results.size(), 1u);
      EXPECT_EQ(one.results[0].outcome, DeliveryOutcome::kRetry) << status << body;
      EXPECT_NE(one.problem, "") << status << body;
      const Verdict many = JudgeEnvelopes(Answer(status, body), {"a", "b"});
      EXPECT_FALSE(many.split) << status << body;
      EXPECT_EQ(many.results.size(), 2u);
    }
  }
}

TEST(JudgeEnvelopes, ARefusalNamesItsMessage) {
  const char* body = R"({"success":false,"message":"type: no","results":[
      {"message_id":"a","status":"rejected","error":"type: no"}]})";
  for (const int status : {400, 422}) {
    const Verdict refused = JudgeEnvelopes(Answer(status, body), {"a"});
    EXPECT_EQ(refused.results[0].outcome, DeliveryOutcome::kReject) << status;
    EXPECT_EQ(refused.results[0].status.message(), "rejected: type: no");
    EXPECT_NE(refused.problem, "");
    EXPECT_EQ(JudgeEnvelopes(Answer(status, body), {"b"}).results[0].outcome,
              DeliveryOutcome::kRetry);
  }
  EXPECT_EQ(JudgeEnvelopes(Answer(503, body), {"a"}).results[0].outcome, DeliveryOutcome::kRetry);
}

TEST(JudgeEnvelopes, AListenerOfOursRefusesWhatIsTooLarge) {
  const HttpAnswer too_large = Answer(413, R"({"success":false,"message":"too large"})");
  EXPECT_EQ(JudgeEnvelopes(too_large, {"a"}).results[0].outcome, DeliveryOutcome::kReject);
  EXPECT_TRUE(JudgeEnvelopes(too_large, {"a", "b"}).split);
  EXPECT_TRUE(JudgeEnvelopes(Answer(400, R"({"success":false})"), {"a", "b"}).split);
  EXPECT_EQ(JudgeEnvelopes(Answer(400, R"({"success":false})"), {"a"}).results[0].outcome,
            DeliveryOutcome::kRetry);
}

TEST(JudgeEnvelopes, KeepsTheServersWishAndWords) {
  const auto judge = [](const char* retry_after) {
    return JudgeEnvelopes(Answer(503, R"({"message":"disk full"})", retry_after), {"a"}).results[0];
  };
  EXPECT_EQ(judge("7").retry_after, absl::Seconds(7));
  EXPECT_EQ(judge("7").status.message(), "HTTP 503: disk full");
  EXPECT_EQ(judge("99999999").retry_after, absl::Hours(1));
  EXPECT_EQ(judge("-5").retry_after, absl::ZeroDuration());
  EXPECT_EQ(judge("tomorrow").retry_after, absl::ZeroDuration());
  EXPECT_EQ(judge("Wed, 21 Oct 2015 07:28:00 GMT").retry_after, absl::ZeroDuration()) << "over";
  EXPECT_EQ(judge("Fri, 31 Dec 9999 23:59:59 GMT").retry_after, absl::Hours(1));
  HttpAnswer dated = Answer(503, "", "Wed, 21 Oct 2015 07:28:00 GMT");
  dated.date = "Wed, 21 Oct 2015 07:26:30 GMT";
  EXPECT_EQ(JudgeEnvelopes(dated, {"a"}).results[0].retry_after, absl::Seconds(90))
      << "by the server's clock";
}

TEST(JudgeEnvelopes, TakesEachItemForItself) {
  const Verdict verdict = JudgeEnvelopes(
      Answer(
          200,
          R"({"results":[{"message_id":"a","status":"stored"},{"message_id":"b","status":"duplicate"},
          {"message_id":"c","status":"rejected","error":"no camera"},{"message_id":"d","status":"error"}]})"),
      {"a", "b", "c", "d"});
  const auto& results = verdict.results;
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0].outcome, DeliveryOutcome::kDurable);
  EXPECT_FALSE(results[0].duplicate);
  EXPECT_EQ(results[1].outcome, DeliveryOutcome::kDurable);
  EXPECT_TRUE(results[1].duplicate);
  EXPECT_EQ(results[2].outcome, DeliveryOutcome::kReject);
  EXPECT_EQ(results[2].status.message(), "rejected: no camera");
  EXPECT_EQ(results[3].outcome, DeliveryOutcome::kRetry);
  EXPECT_EQ(verdict.problem, "");
}

// A captive portal, an old server, an answer cut short or out of order: nothing may count as
// stored.
TEST(JudgeEnvelopes, WhatIsNotAClearYesIsARetry) {
  for (const char* body :
       {"", "<html>Welcome to the hotel</html>", "{}", "[]", "true", "{\"success\":true}", "[1]",
        R"([{"message_id":"other","status":"stored"}])", R"([{"status":"stored"}])",
        R"([{"message_id":7,"status":"stored"}])", R"({"results":{"message_id":"a"}})",
        R"([{"message_id":"a","status":["stored"]}])", R"([{"message_id":"a","status":"stored")"}) {
    const auto results = Read(body, {"a"});
    ASSERT_EQ(results.size(), 1u);
    EXPECT_EQ(results[0].outcome, DeliveryOutcome::kRetry) << body;
    EXPECT_FALSE(results[0].status.ok()) << body;
  }
}

TEST(JudgeEnvelopes, AShortListLeavesTheRestToBeSentAgain) {
  const auto results = Read(R"([{"message_id":"a","status":"stored"}])", {"a", "b"});
  EXPECT_EQ(results[0].outcome, DeliveryOutcome::kDurable);
  EXPECT_EQ(results[1].outcome, DeliveryOutcome::kRetry);
}

TEST(JudgeFlat, NeedsSuccessInSoManyWords) {
  EXPECT_EQ(JudgeFlat(Answer(200, R"({"success":true})")).results[0].outcome,
            DeliveryOutcome::kDurable);
  for (const char* body :
       {"", "<html>", "{}", R"({"success":"true"})", R"({"success":false})", "[true]"})
    EXPECT_EQ(JudgeFlat(Answer(200, body)).results[0].outcome, DeliveryOutcome::kRetry) << body;
}

TEST(JudgeFlat, NeedsFailureInSoManyWordsToo) {
  for (const int status : {400, 413, 422}) {
    const char* refusal = R"({"success":false,"message":"Missing required field: type"})";
    const Verdict refused = JudgeFlat(Answer(status, refusal));
    EXPECT_EQ(refused.results[0].outcome, DeliveryOutcome::kReject) << status;
    EXPECT_NE(refused.problem, "");
    for (const char* body : {"", "<html>", "{}", R"({"success":"false"})", "[false]"})
      EXPECT_EQ(JudgeFlat(Answer(status, body)).results[0].outcome, DeliveryOutcome::kRetry)
          << body;
  }
  EXPECT_EQ(JudgeFlat(Answer(500, R"({"success":false})")).results[0].outcome,
            DeliveryOutcome::kRetry);
}

TEST(JudgeProbe, APageOrARedirectionIsNoServer) {
  EXPECT_TRUE(JudgeProbe(Answer(200, R"({"success":true,"message":"Server is running"})")).ok());
  for (const int status : {400, 401, 403, 404, 405})
    EXPECT_TRUE(JudgeProbe(Answer(status, "<html>")).ok()) << status;
  for (const int status : {101, 301, 302, 307, 500, 503, 511})
    EXPECT_FALSE(JudgeProbe(Answer(status, "{}")).ok()) << status;
  for (const char* body : {"", "<html>Welcome to the hotel</html>", "[]", "true"})
    EXPECT_FALSE(JudgeProbe(Answer(200, body)).ok()) << body;
}

}  // namespace
}  // namespace viaduct::rest
