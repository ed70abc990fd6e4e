// The scanner must accept exactly what nlohmann::json accepts, but for duplicate keys.
#include "core/message/json_scanner.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "absl/strings/match.h"

namespace viaduct {
namespace {

// Duplicate keys are ours alone to refuse.
bool AcceptsButForDuplicates(const std::string& text) {
  JsonSlice value;
  const absl::Status status = JsonScanner(text, {}).ScanDocument(&value);
  return status.ok() || absl::StrContains(status.message(), "duplicate member");
}

bool OracleAccepts(const std::string& text) {
  return !nlohmann::json::parse(text, nullptr, false).is_discarded();
}

TEST(JsonScannerTest, AgreesWithTheOracleOnMutatedTexts) {
  const std::vector<std::string> seeds = {
      R"({"a":[1,-2.5e+3,true,false,null,"x\n\u00e9\ud83d\ude00"],"b":{"c":{}}})",
      "[\"\xe0\xb8\x81\xf0\x9f\x9a\x97 plate\", 0, -0, 0.0, 1E5, [], [[]], {}]",
      "  {\"long ascii string to cross the word boundary\" : \"0123456789abcdef0123456789\"} "};
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::string alphabet = "{}[]\",:\\u0dDe8+-.1tfnr \n\x01\x7f\x80\xc3\xed\xa0\xf4\xff";
  for (int round = 0; round < 200'000; ++round) {
    std::string text = seeds[random() % seeds.size()];
    for (unsigned edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = random() % text.size();
      if (random() % 3 == 0) {
        text.erase(at, 1);
      } else if (random() % 2 == 0) {
        text.insert(at, 1, alphabet[random() % alphabet.size()]);
      } else {
        text[at] = alphabet[random() % alphabet.size()];
      }
    }
    const bool oracle = OracleAccepts(text);
    if (oracle) {
      ASSERT_TRUE(AcceptsButForDuplicates(text)) << text;
    } else {
      JsonSlice value;
      ASSERT_FALSE(JsonScanner(text, {}).ScanDocument(&value).ok()) << text;
    }
  }
}

TEST(JsonScannerTest, SlicesAreTheExactSource) {
  std::vector<JsonMember> members;
  ASSERT_TRUE(JsonScanner(R"( {"a" : [1, 2] , "\u0062":"x\ty" } )", {}).ScanObject(&members).ok());
  ASSERT_EQ(members.size(), 2u);
  EXPECT_EQ(members[0].value.text, "[1, 2]");
  EXPECT_EQ(members[0].value.offset, 8u);
  EXPECT_EQ(members[1].key, "b");
  EXPECT_EQ(DecodeJsonString(members[1].value.text), "x\ty");
}

TEST(JsonScannerTest, StringsSurviveWritingAndReading) {
  std::string all;
  for (int c = 0; c < 128; ++c) all.push_back(static_cast<char>(c));
  all += "\xe0\xb8\x81\xf0\x9f\x9a\x97";
  std::string json;
  AppendJsonString(all, &json);
  EXPECT_EQ(nlohmann::json::parse(json).get<std::string>(), all);
  EXPECT_EQ(DecodeJsonString(json), all);
  EXPECT_EQ(DecodeJsonString(R"("\ud83d\ude97\u0e01\/")"), "\xf0\x9f\x9a\x97\xe0\xb8\x81/");
}

TEST(JsonScannerTest, MembersAreBounded) {
  JsonScanLimits limits;
  limits.max_members = 3;
  JsonSlice value;
  EXPECT_EQ(JsonScanner(R"([{"a":1,"b":2,"c":3,"d":4}])", limits).ScanDocument(&value).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(JsonScanner(R"([{"a":1,"b":2},{"a":1,"b":2}])", limits).ScanDocument(&value).ok());
}

TEST(JsonScannerTest, CountsAnArrayAsItScansOne) {
  const auto count = [](std::string_view text, size_t limit) {
    size_t n = 0;
    const absl::Status status = JsonScanner(text, {}).CountArray(limit, &n);
    return status.ok() ? static_cast<int>(n) : -static_cast<int>(status.code());
  };
  EXPECT_EQ(count("[]", 0), 0);
  EXPECT_EQ(count(R"([1, {"a":[2,3]}, [4], "]"])", 4), 4);
  EXPECT_EQ(count("[1,2]", 1), -static_cast<int>(absl::StatusCode::kResourceExhausted));
  for (const char* bad : {"[", "[1", "[1,]", "{}", "[1]2", R"([{"a":1,"a":2}])"}) {
    EXPECT_EQ(count(bad, 9), -static_cast<int>(absl::StatusCode::kInvalidArgument)) << bad;
  }
}

TEST(JsonTextTest, WhatIsNoUtf8IsReplaced) {
  const auto quoted = [](std::string_view text) {
    std::string out;
    AppendJsonString(text, &out);
    return out;
  };
  EXPECT_EQ(quoted("a\xff\xe0\xb8z"), "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"");
  EXPECT_EQ(quoted("\u0e01\"\n\U0001f600"), "\"\u0e01\\\"\\u000a\U0001f600\"");
}

TEST(JsonTextTest, ACutLeavesCharactersWhole) {
  EXPECT_EQ(CutText("abc", 3), "abc");
  EXPECT_EQ(CutText("a\u0e01\u0e02", 6), "a\u0e01");
  EXPECT_EQ(CutText("a\u0e01\u0e02", 7), "a\u0e01\u0e02");
  EXPECT_EQ(CutText("\u0e01", 2), "");
  EXPECT_EQ(CutText("\x80\x80\x80", 2), "");
  EXPECT_EQ(ShownText("a\n\u0e01\u0e02", 6), "\"a\\n\u0e01...\"");
}

}  // namespace
}  // namespace viaduct
