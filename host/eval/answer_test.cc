#include "host/eval/answer.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace viaduct::eval {
namespace {

constexpr char kGood[] = R"({"candidates":[
  {"bbox":[1,2,3.5,4],"score":6.3,"accepted":true,
   "readings":[{"text":"1กข12","confidence":0.97,"grammar":"th","province":"ตาก"},{"text":"1กข72","confidence":0.02}]},
  {"bbox":[5,6,7,8],"score":2,"accepted":false,"readings":[]}],
  "min_confidence":0.872,"stages":{"plates":20,"read":10.5},"more":{"to":"come"}})";

TEST(Answer, ReadsWhatAPluginSays) {
  const auto answer = ParseAnswer(kGood);
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ(answer->candidates.size(), 2u);
  EXPECT_EQ(answer->candidates[0].box.right, 3.5);
  EXPECT_TRUE(answer->candidates[0].accepted);
  ASSERT_EQ(answer->candidates[0].readings.size(), 2u);
  EXPECT_EQ(answer->candidates[0].readings[0].text, "1กข12");
  EXPECT_EQ(answer->candidates[0].readings[0].province, "ตาก");
  EXPECT_EQ(answer->candidates[0].readings[0].grammar, "th");
  EXPECT_EQ(answer->candidates[0].readings[1].province, "");
  EXPECT_EQ(answer->stages.at("total"), 30.5);
  EXPECT_EQ(answer->min_confidence, 0.872);
}

TEST(Answer, RefusesWhatIsNone) {
  for (
      const std::string text :
      {"", "[]", "{", "{}", R"({"candidates":{},"min_confidence":0,"stages":{}})",
       R"({"candidates":[],"min_confidence":"high","stages":{}})",
       R"({"candidates":[],"min_confidence":0,"stages":{"read":"long"}})",
       R"({"candidates":[{"bbox":[1,2,3],"score":1,"accepted":true,"readings":[]}],"min_confidence":0,"stages":{}})",
       R"({"candidates":[{"bbox":[1,2,3,4],"score":1,"accepted":1,"readings":[]}],"min_confidence":0,"stages":{}})",
       R"({"candidates":[{"bbox":[1,2,3,4],"score":1,"accepted":true,"readings":[{"text":7,"confidence":1}]}],"min_confidence":0,"stages":{}})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseAnswer(text).status())) << text;
  }
  std::string many = R"({"min_confidence":0,"stages":{},"candidates":[)";
  for (size_t i = 0; i <= Answer::kMaxCandidates; ++i) many += i == 0 ? "0" : ",0";
  EXPECT_TRUE(absl::IsInvalidArgument(ParseAnswer(many + "]}").status()));
}

}  // namespace
}  // namespace viaduct::eval
