#include "plugins/websocket/json_scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace viaduct::websocket {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(IsJson, SaysWhatOthersSay) {
  for (const std::string text : {"null",
                                 " true ",
                                 "false",
                                 "0",
                                 "-0.5e+10",
                                 "[]",
                                 "[ ]",
                                 "{}",
                                 "{ }",
                                 "[1,[2,{\"a\":[]}]]",
                                 "\"plain text that is longer than eight octets\"",
                                 "\"\\u00e4\\n\\\"\"",
                                 "\"ü€😀\"",
                                 "\"\\ud83d\\ude00\"",
                                 "{\"a\" : 1 , \"a\":2}",
                                 "",
                                 " ",
                                 "[",
                                 "]",
                                 "[1,]",
                                 "[,1]",
                                 "{\"a\"}",
                                 "{\"a\":}",
                                 "{a:1}",
                                 "{\"a\":1,}",
                                 "01",
                                 "-",
                                 "1.",
                                 "1e",
                                 ".5",
                                 "+1",
                                 "tru",
                                 "nullx",
                                 "1 2",
                                 "\"",
                                 "\"\\x\"",
                                 "\"\\u12\"",
                                 "\"\\ud83d\"",
                                 "\"\\ude00\"",
                                 "\"\\ud83d\\u0041\"",
                                 "\"\x01\"",
                                 "\"twelve chars\x1f\"",
                                 "\"\xff\"",
                                 "\"\xc0\x80\"",
                                 "\"\xed\xa0\x80\"",
                                 "\"\xf4\x90\x80\x80\"",
                                 "\"\xe2\x82\"",
                                 "'a'",
                                 "\"seven..\xc3\xbc\""}) {
    EXPECT_EQ(IsJson(text), nlohmann::json::accept(text)) << text;
  }
  EXPECT_FALSE(IsJson(std::string_view("\"a\0b\"", 5)));
}

TEST(IsJson, FollowsNoNestingForEver) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(IsJson(nested(kMaxJsonDepth)));
  EXPECT_FALSE(IsJson(nested(kMaxJsonDepth + 1)));
  EXPECT_FALSE(IsJson(std::string(8'000'000, '[')));
}

TEST(ScanJsonArray, CutsWhereTheValuesEnd) {
  JsonElements elements;
  EXPECT_EQ(ScanJsonArray("[]", 0, &elements), ArrayScan::kGood);
  EXPECT_THAT(elements, IsEmpty());
  EXPECT_EQ(ScanJsonArray("[ \"a,]\\\"\" , [1,[2]] ,{\"b\":\"}\"}, -1.5e3 ]", 4, &elements),
            ArrayScan::kGood);
  EXPECT_THAT(elements, ElementsAre("\"a,]\\\"\"", "[1,[2]]", "{\"b\":\"}\"}", "-1.5e3"));
  for (const char* bad : {"", "{}", "1", "[1", "[1}", "[1,]", "[1] 2", "[1 2]", "[nul]"}) {
    EXPECT_EQ(ScanJsonArray(bad, 9, &elements), ArrayScan::kNoArray) << bad;
  }
}

TEST(ScanJsonArray, KeepsNoMoreElementsThanItMay) {
  std::string many = "[0";
  for (int i = 0; i < 1'000'000; ++i) many += ",0";
  JsonElements elements;
  EXPECT_EQ(ScanJsonArray(many + "]", 256, &elements), ArrayScan::kTooMany);
  EXPECT_LE(elements.capacity(), 1024u);
}

TEST(JsonMemberOf, FindsTheValueAsItIsWritten) {
  constexpr std::string_view kText = "{\"a\":{\"id\":1}, \"id\" : \"x\\u00e4\" ,\"list\":[1, 2]}";
  EXPECT_EQ(JsonMemberOf(kText, "id"), "\"x\\u00e4\"");
  EXPECT_EQ(JsonMemberOf(kText, "list"), "[1, 2]");
  EXPECT_EQ(JsonMemberOf(kText, "b"), "");
  for (const char* bad : {"", "[]", "{", "{\"id\"", "{\"id\":", "{\"id\":x", "{\"a\":1 \"id\":2}"})
    EXPECT_EQ(JsonMemberOf(bad, "id"), "") << bad;
}

TEST(JsonMembersOf, FindsTheFirstOfEachName) {
  constexpr std::string_view kText = "{\"b\":1,\"a\":\"x\",\"b\":2,\"c\":null,\"d\":x}";
  EXPECT_THAT(JsonMembersOf(kText, {"a", "b", "c", "d", "e"}),
              ElementsAre("\"x\"", "1", "null", "", ""));
  EXPECT_THAT(JsonMembersOf("[]", {"a", "b"}), ElementsAre("", ""));
}

}  // namespace
}  // namespace viaduct::websocket
