#include "tests/support/digest.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace viaduct::support {
namespace {

using nlohmann::json;

TEST(Digest, Sha256IsTheOneOfTheStandard) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, DoesNotDependOnOrderOrBlanks) {
  EXPECT_EQ(PayloadDigest(json::parse(R"({"a":1,"b":[1, 2]})")),
            PayloadDigest(json::parse(R"({ "b":[1,2], "a":1 })")));
}

TEST(Digest, ChangesWithEveryValue) {
  const json base = json::parse(R"({"a":1,"b":[1,2],"c":"x","d":0.93})");
  for (const char* other :
       {R"({"a":2,"b":[1,2],"c":"x","d":0.93})", R"({"a":1,"b":[2,1],"c":"x","d":0.93})",
        R"({"a":1,"b":[1,2],"c":"X","d":0.93})", R"({"a":1,"b":[1,2],"c":"x","d":0.9300001})",
        R"({"a":1,"b":[1,2],"d":0.93})"}) {
    EXPECT_NE(PayloadDigest(base), PayloadDigest(json::parse(other))) << other;
  }
}

TEST(Digest, TheSameImageInAnyClothesIsTheSame) {
  const json plain = {{"annotated_image", "/9j/4AAQ"}, {"cropped_plates", {"/9j/4AAQ"}}};
  const json url = {{"annotated_image", "data:image/jpeg;base64,/9j/4AAQ"},
                    {"cropped_plates", {"/9j/4AAQ"}}};
  EXPECT_EQ(PayloadDigest(plain), PayloadDigest(url));
  const json other = {{"annotated_image", "/9j/4AAR"}, {"cropped_plates", {"/9j/4AAQ"}}};
  EXPECT_NE(PayloadDigest(plain), PayloadDigest(other));
}

TEST(Digest, TextThatIsNoImageStaysText) {
  std::string bytes;
  EXPECT_FALSE(DecodeImageText("not base64!", &bytes));
  EXPECT_FALSE(DecodeImageText("data:image/jpeg,abc", &bytes));
  EXPECT_NE(PayloadDigest({{"annotated_image", "not base64!"}}),
            PayloadDigest({{"annotated_image", "not base64?"}}));
}

}  // namespace
}  // namespace viaduct::support
