#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "core/config/document.h"
#include "core/config/schema.h"

namespace viaduct {
namespace {

using ::testing::SizeIs;

struct Parsed {
  bool ok = false;
  ConfigNode root;
  std::vector<Finding> findings;
};

Parsed Parse(std::string_view text) {
  Parsed parsed;
  Findings findings;
  parsed.ok = ParseDocument(text, &parsed.root, &findings);
  parsed.findings = std::move(findings).Finish("f.yaml");
  return parsed;
}

// The one finding of a text, as "line:column code".
std::string Only(std::string_view text) {
  const Parsed parsed = Parse(text);
  if (parsed.findings.size() != 1) return absl::StrCat(parsed.findings.size(), " findings");
  const Finding& finding = parsed.findings[0];
  return absl::StrCat(finding.line, ":", finding.column, " ", finding.code);
}

TEST(ParseDocumentTest, KnowsWhereEverythingStands) {
  const Parsed parsed = Parse("a:\n  b: [1, x]\n  'c d': \"y\"\n");
  ASSERT_TRUE(parsed.ok);
  EXPECT_THAT(parsed.findings, SizeIs(0));
  const ConfigNode* list = parsed.root.Find("a")->Find("b");
  ASSERT_NE(list, nullptr);
  EXPECT_EQ(list->items[1].line, 2u);
  EXPECT_EQ(list->items[1].column, 10u);
  EXPECT_EQ(parsed.root.Find("a")->members[1].line, 3u);
  EXPECT_EQ(parsed.root.Find("a")->members[1].column, 3u);
  EXPECT_FALSE(parsed.root.Find("a")->Find("c d")->plain);
}

TEST(ParseDocumentTest, PlainScalarsFollowTheCoreSchema) {
  const Parsed parsed = Parse(
      "{a: no, b: 'true', c: true, d: 0x1F, e: 0o17, f: 010, g: 1e3, h: ~, i: .inf, j: 12345678901"
      "234567890123, k: 1_000, l: -7, m: +.5, n: '5', o: Off}");
  ASSERT_TRUE(parsed.ok);
  EXPECT_EQ(PlainJson(parsed.root).dump(),
            "{\"a\":\"no\",\"b\":\"true\",\"c\":true,\"d\":31,\"e\":15,\"f\":10,\"g\":1000.0,"
            "\"h\":null,\"i\":\".inf\",\"j\":1.2345678901234568e+22,\"k\":\"1_000\",\"l\":-7,"
            "\"m\":0.5,\"n\":\"5\",\"o\":\"Off\"}");
}

TEST(ParseDocumentTest, RefusesWhatIsNotOneCleanDocument) {
  EXPECT_EQ(Only(""), "1:1 empty");
  EXPECT_EQ(Only("# only a comment\n"), "1:1 empty");
  EXPECT_EQ(Only("a: 1\n---\nb: 2\n"), "0:0 bad_yaml");
  EXPECT_EQ(Only("a: [1, 2\nb: 3\n"), "2:2 bad_yaml");
  EXPECT_EQ(Only("a: 1\nb: \"x\n"), "2:4 bad_yaml");
  EXPECT_EQ(Only("a: 'it''s\n\nb"), "3:2 bad_yaml");
  EXPECT_EQ(Only("a: 'it''s'\n"), "0 findings");
  EXPECT_EQ(Only("a:\n\t- b\n"), "2:2 bad_yaml");
  EXPECT_EQ(Only("a: b: c\n"), "1:5 bad_yaml");
  EXPECT_EQ(Only("a: *nothing\n"), "1:4 bad_yaml");
}

TEST(ParseDocumentTest, RefusesBadBytesWithTheirPlace) {
  EXPECT_EQ(Only("a: 1\nb: \xff\n"), "2:4 bad_encoding");
  EXPECT_EQ(Only("a: \xc0\xaf\n"), "1:4 bad_encoding");
  EXPECT_EQ(Only("a: \xed\xa0\x80\n"), "1:4 bad_encoding");
  EXPECT_EQ(Only("a: \xe2\x82"), "1:4 bad_encoding");
  EXPECT_EQ(Only(std::string_view("a: b\0c\n", 7)), "1:5 bad_encoding");
  EXPECT_EQ(Only("a: \x1b[2J\n"), "1:4 bad_encoding");
  EXPECT_EQ(Only("\xff\xfe"
                 "a"),
            "1:1 bad_encoding");
}

TEST(ParseDocumentTest, FindsEveryDuplicateKeyAndGoesOn) {
  const Parsed parsed = Parse("a: 1\na: 2\nb: {c: 1, c: 2}\n\"a\": 3\n");
  EXPECT_TRUE(parsed.ok);
  ASSERT_THAT(parsed.findings, SizeIs(3));
  EXPECT_EQ(parsed.findings[0].line, 2u);
  EXPECT_EQ(parsed.findings[1].pointer, "/b/c");
  EXPECT_EQ(parsed.findings[2].line, 4u);
  EXPECT_EQ(parsed.root.Find("a")->text, "1");
}

TEST(ParseDocumentTest, RefusesMergeKeysTagsAndKeysThatAreNoText) {
  EXPECT_EQ(Only("a: &x {b: 1}\nc: {<<: *x}\n"), "2:5 merge_key");
  EXPECT_EQ(Only("a: {'<<': 1}\n"), "0 findings");
  EXPECT_EQ(Only("a: !!python/object:os.system x\n"), "1:4 bad_tag");
  EXPECT_EQ(Only("a: !!str 1\n"), "0 findings");
  EXPECT_EQ(Only("? [a]\n: 1\n"), "1:3 bad_key");
  EXPECT_EQ(Only("~: 1\n"), "1:1 bad_key");
}

TEST(ParseDocumentTest, WritesAliasesOut) {
  const Parsed parsed = Parse("a: &x {b: 1}\nc: *x\n");
  ASSERT_TRUE(parsed.ok);
  EXPECT_EQ(parsed.root.Find("c")->Find("b")->text, "1");
}

TEST(ParseDocumentTest, AnAliasToWhatItStandsInIsAMistake) {
  EXPECT_EQ(Only("a: &x [1, *x]\n"), "1:11 bad_alias");
}

TEST(ParseDocumentTest, AnAliasBombGoesOffEarly) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 30; ++i) {
    absl::StrAppend(&bomb, "a", i, ": &a", i, " [");
    for (int j = 0; j < 10; ++j) absl::StrAppend(&bomb, j == 0 ? "" : ",", "*a", i - 1);
    absl::StrAppend(&bomb, "]\n");
  }
  const Parsed parsed = Parse(bomb);
  EXPECT_FALSE(parsed.ok);
  ASSERT_THAT(parsed.findings, SizeIs(1));
  EXPECT_EQ(parsed.findings[0].code, "too_large");
}

TEST(ParseDocumentTest, DepthIsBounded) {
  std::string block;
  for (int i = 0; i < 60; ++i) absl::StrAppend(&block, std::string(i, ' '), "a:\n");
  EXPECT_FALSE(Parse(block).ok);
  std::string aliases = "a0: &a0 [x]\n";
  for (int i = 1; i < 60; ++i) {
    absl::StrAppend(&aliases, "a", i, ": &a", i, " [*a", i - 1, "]\n");
  }
  const Parsed deep = Parse(aliases);
  EXPECT_FALSE(deep.ok);
  EXPECT_EQ(deep.findings.at(0).code, "too_deep");
}

TEST(ParseDocumentTest, HostileShapesEndSoonAndClean) {
  for (const std::string& piece :
       {std::string("["), std::string("{"), std::string("- "), std::string("? "), std::string("[{"),
        std::string("{a: "), std::string("a: &x "), std::string("!"), std::string("&"),
        std::string("*"), std::string("\"\\x"), std::string("|\n"), std::string("%YAML 1.2\n"),
        std::string("---\n"), std::string("? - "), std::string("a: [\n"), std::string(": "),
        std::string("''")}) {
    std::string text;
    while (text.size() < 200'000) text.append(piece);
    const Parsed parsed = Parse(text);
    EXPECT_LE(parsed.findings.size(), kMaxFindings + 1) << piece;
  }
  EXPECT_EQ(Only(std::string(kMaxDocumentBytes + 1, 'a')), "0:0 too_large");
}

}  // namespace
}  // namespace viaduct
