#include "plugins/rest/flat_form.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace viaduct::rest {
namespace {

using Json = nlohmann::json;

FlatFacts Facts(FlatKind kind = FlatKind::kDetection) {
  return FlatFacts{kind, "m1", "CAM001", 1'705'314'600'250'000'000};
}

TEST(FlatForm, AddsWhatAServerOfTheOldKindInsistsOn) {
  const Json body = Json::parse(FlatBody(R"({"checkpoint_id":"CP1"})", Facts()));
  EXPECT_EQ(body,
            Json::parse(R"({"type":"detection_result","camera_id":"CAM001","checkpoint_id":"CP1",
                                  "timestamp":"2024-01-15T10:30:00.250Z","message_id":"m1"})"));
  EXPECT_EQ(Json::parse(FlatBody("{}", Facts(FlatKind::kHealth)))["type"], "health_check");
}

TEST(FlatForm, LeavesWhatThePayloadSays) {
  const char* payload =
      R"( { "camera_id" : "C2" , "timestamp":"2024-01-15 10:30:00", "message_id":"x",
    "a\"}":[1,{"b":"]}\\\""}], "n":-1.5e3 ,"t":true,"image":"AA==", "type":"detection_result" } )";
  EXPECT_EQ(Json::parse(FlatBody(payload, Facts())), Json::parse(payload));
}

TEST(FlatForm, EmptyMembersAreFilledAndAWrongTypePutRight) {
  const Json body = Json::parse(FlatBody(
      R"({"type":"lpr","camera_id":"","timestamp":null,"message_id":"","aicamera_id":"A7"})",
      Facts()));
  EXPECT_EQ(body["type"], "detection_result");
  EXPECT_EQ(body["camera_id"], "A7");
  EXPECT_EQ(body["timestamp"], "2024-01-15T10:30:00.250Z");
  EXPECT_EQ(body["message_id"], "m1");
}

TEST(FlatForm, KnowsARegistrationByItsType) {
  EXPECT_TRUE(IsRegistration(R"({"a":{"type":"x"},"type":"camera_register"})"));
  EXPECT_FALSE(IsRegistration(R"({"a":{"type":"camera_register"}})"));
  EXPECT_FALSE(IsRegistration("{}"));
  EXPECT_TRUE(IsEncrypted(R"({"encrypted":"AAAA"})"));
  EXPECT_FALSE(IsEncrypted(R"({"encrypted":"AAAA","text":"x"})"));
  EXPECT_STREQ(FlatPath(FlatKind::kRegistration), "/api/cameras/register");
}

// Nothing promises a plugin that a host is right.
TEST(FlatForm, NeverReadsPastATextThatIsCutShort) {
  const std::string whole = R"({"a":"x\"","b":[{"c":1}],"camera_id":"C"})";
  for (size_t size = 0; size <= whole.size(); ++size)
    EXPECT_FALSE(FlatBody(whole.substr(0, size), Facts()).empty()) << size;
}

}  // namespace
}  // namespace viaduct::rest
