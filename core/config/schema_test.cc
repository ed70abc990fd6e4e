#include "core/config/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string CompileError(std::string_view text) {
  const auto schema = Schema::Compile(text);
  return schema.ok() ? "" : std::string(schema.status().message());
}

struct Checked {
  json value;
  std::vector<Finding> findings;
  std::vector<std::string> summary;  // "line pointer code"
};

Checked Check(std::string_view schema_text, std::string_view yaml) {
  Checked out;
  const auto schema = Schema::Compile(schema_text);
  EXPECT_TRUE(schema.ok()) << schema.status();
  ConfigNode root;
  Findings findings;
  EXPECT_TRUE(ParseDocument(yaml, &root, &findings)) << yaml;
  out.value = CheckAgainstSchema((*schema)->root(), &root, "", &findings);
  out.findings = std::move(findings).Finish("");
  for (const Finding& f : out.findings) {
    out.summary.push_back(absl::StrCat(f.line, " ", f.pointer, " ", f.code));
  }
  return out;
}

TEST(SchemaCompileTest, SaysWhatIsWrongAndWhere) {
  EXPECT_THAT(CompileError("{"), HasSubstr("not JSON"));
  EXPECT_THAT(CompileError("[]"), HasSubstr("must be an object"));
  EXPECT_THAT(CompileError(R"({"properties":{"a":{"minlength":1}}})"),
              HasSubstr("/properties/a/minlength: unknown keyword"));
  EXPECT_THAT(CompileError(R"({"type":"int"})"), HasSubstr("/type: not a type"));
  EXPECT_THAT(CompileError(R"({"minLength":-1})"), HasSubstr("/minLength"));
  EXPECT_THAT(CompileError(R"({"multipleOf":0})"), HasSubstr("/multipleOf"));
  EXPECT_THAT(CompileError(R"({"required":"a"})"), HasSubstr("/required"));
  EXPECT_THAT(CompileError(R"j({"pattern":"("})j"), HasSubstr("/pattern: not a pattern"));
  EXPECT_THAT(CompileError(R"j({"pattern":"(?=a)"})j"), HasSubstr("/pattern: not a pattern"));
  EXPECT_THAT(CompileError(absl::StrCat(R"({"pattern":")", std::string(2000, 'a'), "\"}")),
              HasSubstr("1024 bytes"));
  EXPECT_THAT(CompileError(R"({"type":"integer","default":"x"})"), HasSubstr("default"));
  EXPECT_THAT(CompileError(std::string(kMaxSchemaBytes + 1, ' ')), HasSubstr("larger"));
  EXPECT_THAT(CompileError(std::string(200'000, '[')), HasSubstr("too deep"));
  EXPECT_THAT(CompileError("\xff"), HasSubstr("not JSON"));
}

TEST(SchemaCompileTest, ReferencesStayInsideAndNeverGoInACircle) {
  EXPECT_THAT(CompileError(R"({"$ref":"http://example.com/s"})"), HasSubstr("stay inside"));
  EXPECT_THAT(CompileError(R"({"$ref":"file:///etc/passwd"})"), HasSubstr("stay inside"));
  EXPECT_THAT(CompileError(R"({"$ref":"other.json#/a"})"), HasSubstr("stay inside"));
  EXPECT_THAT(CompileError(R"({"$ref":5})"), HasSubstr("must be a string"));
  EXPECT_THAT(CompileError(R"({"$ref":"#/definitions/x"})"), HasSubstr("leads to nothing"));
  EXPECT_THAT(CompileError(R"({"$ref":"#"})"), HasSubstr("circle"));
  EXPECT_THAT(CompileError(R"({"definitions":{"a":{"$ref":"#/definitions/b"},
                               "b":{"allOf":[{"$ref":"#/definitions/a"}]}}})"),
              HasSubstr("circle"));
  // A tree of lists refers to itself, but each time one level further down.
  EXPECT_EQ(CompileError(R"({"type":"array","items":{"$ref":"#"}})"), "");
  std::string deep = R"({"a":1})";
  for (int i = 0; i < 100; ++i) deep = absl::StrCat(R"({"not":)", deep, "}");
  EXPECT_THAT(CompileError(deep), HasSubstr("too deep"));
}

TEST(SchemaCompileTest, TheNumberOfSchemasIsBounded) {
  std::string text = R"({"properties":{)";
  for (size_t i = 0; i < kMaxSchemaNodes; ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ",", "\"p", i, "\":true");
  }
  EXPECT_THAT(CompileError(text + "}}"), HasSubstr("too large"));
}

TEST(SchemaCheckTest, TypesAreReadAsTheSchemaMeansThem) {
  const std::string schema = R"({"properties":{
      "s":{"type":"string"},"i":{"type":"integer"},"n":{"type":"number"},"b":{"type":"boolean"},
      "l":{"type":"array"},"o":{"type":"object"},"x":{"type":["string","null"]}}})";
  const Checked good = Check(schema, "s: 0123\ni: 3.0\nn: 5\nb: true\nl: []\no: {}\nx:\n");
  EXPECT_THAT(good.summary, IsEmpty());
  EXPECT_EQ(good.value.dump(), R"({"b":true,"i":3,"l":[],"n":5,"o":{},"s":"0123","x":null})");
  EXPECT_EQ(Check(schema, "s: no\n").value["s"], "no");
  const Checked bad = Check(schema, "s: true\ni: \"3\"\nn: abc\nb: yes\nl: {}\no: 1\n");
  EXPECT_THAT(bad.summary, ElementsAre("1 /s wrong_type", "2 /i wrong_type", "3 /n wrong_type",
                                       "4 /b wrong_type", "5 /l wrong_type", "6 /o wrong_type"));
  EXPECT_THAT(bad.findings[0].text, HasSubstr("put it in quotes"));
  EXPECT_THAT(bad.findings[1].text, HasSubstr("without quotes, is the text \"3\""));
}

TEST(SchemaCheckTest, AKeyWithoutValueCountsAsAbsent) {
  const Checked checked = Check(
      R"({"required":["r"],"properties":{"r":{"type":"string"},"d":{"type":"integer","default":7}}})",
      "r:\nd:\n");
  EXPECT_THAT(checked.summary, ElementsAre("1 /r missing_key"));
  EXPECT_EQ(checked.value["d"], 7);
}

TEST(SchemaCheckTest, DefaultsFillInAndGoDownOnlyWhereTheSectionHasOne) {
  const Checked checked = Check(R"({"properties":{
      "a":{"type":"object","default":{},"properties":{"x":{"type":"integer","default":1}}},
      "b":{"type":"object","properties":{"x":{"type":"integer","default":2}}},
      "c":{"$ref":"#/definitions/c"}},
      "definitions":{"c":{"default":"see"}}})",
                                "d: 4\n");
  EXPECT_EQ(checked.value.dump(), R"({"a":{"x":1},"c":"see","d":4})");
  EXPECT_EQ(
      Check(R"({"properties":{"b":{"properties":{"x":{"default":2}}}}})", "b: {}\n").value.dump(),
      R"({"b":{"x":2}})");
}

TEST(SchemaCheckTest, UnknownKeysGetASuggestion) {
  const Checked checked =
      Check(R"({"properties":{"base_url":{},"timeout":{}},"additionalProperties":false})",
            "base_uri: x\nflavour: 1\n");
  EXPECT_THAT(checked.summary, ElementsAre("1 /base_uri unknown_key", "2 /flavour unknown_key"));
  EXPECT_EQ(checked.findings[0].text, "unknown key \"base_uri\", did you mean \"base_url\"?");
  EXPECT_EQ(checked.findings[1].text, "unknown key \"flavour\"");
}

TEST(SchemaCheckTest, EveryKeywordHasItsFinding) {
  const std::vector<std::tuple<std::string, std::string, std::string>> table = {
      {R"({"minimum":5})", "4", "out_of_range"},
      {R"({"maximum":5})", "6", "out_of_range"},
      {R"({"exclusiveMinimum":5})", "5", "out_of_range"},
      {R"({"exclusiveMaximum":5})", "5", "out_of_range"},
      {R"({"multipleOf":2})", "5", "out_of_range"},
      {R"({"type":"integer"})", "99999999999999999999", "out_of_range"},
      {R"({"minLength":2})", "ä", "bad_length"},
      {R"({"maxLength":2})", "äöü", "bad_length"},
      {R"({"pattern":"^a+$"})", "b", "bad_value"},
      {R"({"enum":["red","green"]})", "blue", "bad_value"},
      {R"({"const":1})", "2", "bad_value"},
      {R"({"minItems":1})", "[]", "bad_length"},
      {R"({"maxItems":1})", "[1, 2]", "bad_length"},
      {R"({"uniqueItems":true})", "[1, 1.0]", "duplicate_item"},
      {R"({"contains":{"const":3}})", "[1, 2]", "missing_item"},
      {R"({"items":{"type":"integer"}})", "[1, x]", "wrong_type"},
      {R"({"items":[{"type":"integer"}],"additionalItems":false})", "[1, 2]", "not_allowed"},
      {R"({"minProperties":1})", "{}", "bad_length"},
      {R"({"maxProperties":1})", "{a: 1, b: 2}", "bad_length"},
      {R"({"propertyNames":{"pattern":"^[a-z]$"}})", "{ab: 1}", "bad_key"},
      {R"({"patternProperties":{"^x":{"type":"integer"}}})", "{xa: y}", "wrong_type"},
      {R"({"additionalProperties":{"type":"integer"}})", "{a: y}", "wrong_type"},
      {R"({"dependencies":{"a":["b"]}})", "{a: 1}", "missing_key"},
      {R"({"dependencies":{"a":{"required":["b"]}}})", "{a: 1}", "missing_key"},
      {R"({"not":{"type":"integer"}})", "1", "not_allowed"},
      {R"({"allOf":[{"minimum":5}]})", "4", "out_of_range"},
      {R"({"anyOf":[{"type":"integer"},{"type":"boolean"}]})", "x", "wrong_type"},
      {R"({"anyOf":[{"type":"integer"},{"pattern":"^a"}]})", "x", "bad_value"},
      {R"({"oneOf":[{"minimum":1},{"maximum":5}]})", "3", "ambiguous"},
      {R"({"if":{"minimum":5},"then":{"multipleOf":2}})", "7", "out_of_range"},
      {R"({"if":{"minimum":5},"else":{"multipleOf":2}})", "3", "out_of_range"},
      {R"({"properties":{"a":false}})", "{a: 1}", "not_allowed"},
      {R"({"format":"viaduct-duration"})", "soon", "bad_duration"},
      {R"({"format":"viaduct-bytes"})", "4G", "bad_size"},
      {R"({"format":"viaduct-duration","x-viaduct-minimum":"1s"})", "10ms", "out_of_range"},
      {R"({"format":"viaduct-bytes","x-viaduct-maximum":"1KiB"})", "2KiB", "out_of_range"},
  };
  for (const auto& [schema, yaml, code] : table) {
    const Checked checked = Check(schema, yaml);
    ASSERT_EQ(checked.findings.size(), 1u) << schema << " " << yaml;
    EXPECT_EQ(checked.findings[0].code, code) << schema;
    EXPECT_EQ(checked.findings[0].line, 1u);
  }
}

TEST(SchemaCheckTest, AlternativesReportTheNearestAndTypeByIt) {
  const std::string schema = R"({"oneOf":[
      {"properties":{"role":{"const":"client"},"id":{"type":"string"},"n":{"default":3}},
       "required":["role","id"]},
      {"properties":{"role":{"const":"server"},"port":{"type":"integer"}},
       "required":["role","port"]}]})";
  const Checked good = Check(schema, "{role: client, id: 007}");
  EXPECT_THAT(good.summary, IsEmpty());
  EXPECT_EQ(good.value.dump(), R"({"id":"007","n":3,"role":"client"})");
  EXPECT_THAT(Check(schema, "role: server\nport: x\n").summary, ElementsAre("2 /port wrong_type"));
}

TEST(SchemaCheckTest, ANumberIsOneFormOfTwo) {
  const std::string one = R"({"oneOf":[{"type":"string"},{"type":"integer"}]})";
  EXPECT_THAT(Check(one, "5").summary, IsEmpty());
  EXPECT_EQ(Check(one, "5").value, 5);
  EXPECT_EQ(Check(R"({"anyOf":[{"type":"string"},{"type":"integer"}]})", "5").value, 5);
  EXPECT_EQ(Check(R"({"anyOf":[{"type":"string"},{"type":"boolean"}]})", "5").value, "5");
  EXPECT_THAT(Check(R"({"not":{"type":"string"}})", "5").summary, IsEmpty());
}

TEST(SchemaCheckTest, ASecretIsInNoMessage) {
  const std::string schema = R"({"properties":{
      "key":{"type":"string","minLength":20,"x-viaduct-secret":true},
      "pin":{"type":"integer","x-viaduct-secret":true},
      "tls":{"x-viaduct-secret":true,"properties":{"k":{"enum":["a"]}}},
      "either":{"anyOf":[{"type":"integer"},{"pattern":"^a","x-viaduct-secret":true}]}},
      "additionalProperties":false})";
  const Checked checked =
      Check(schema, "key: hunter2\npin: hunter2\ntls: {k: hunter2}\neither: hunter2\nkee: hunter2");
  EXPECT_EQ(checked.findings.size(), 5u);
  for (const Finding& finding : checked.findings) {
    EXPECT_THAT(finding.text, Not(HasSubstr("hunter2")));
  }
}

TEST(SchemaCheckTest, CostlySchemasEndWithAFinding) {
  // Each level doubles the work; without a bound this takes 2^40 steps.
  std::string text = R"({"definitions":{"d0":{"type":"integer"})";
  for (int i = 1; i <= 40; ++i) {
    absl::StrAppend(&text, ",\"d", i, "\":{\"anyOf\":[{\"$ref\":\"#/definitions/d", i - 1,
                    "\"},{\"$ref\":\"#/definitions/d", i - 1, "\"}]}");
  }
  absl::StrAppend(&text, R"(},"properties":{"a":{"allOf":[{"$ref":"#/definitions/d40"}]}}})");
  const Checked checked = Check(text, "a: x\n");
  ASSERT_FALSE(checked.findings.empty());
  bool costly = false;
  for (const Finding& finding : checked.findings) costly |= finding.code == "schema_too_costly";
  EXPECT_TRUE(costly);
}

TEST(SchemaCheckTest, PatternsThatBlowUpElsewhereAreQuick) {
  const std::string yaml = absl::StrCat("\"", std::string(50'000, 'a'), "!\"");
  EXPECT_THAT(Check(R"j({"pattern":"^(a+)+$"})j", yaml).summary, ElementsAre("1  bad_value"));
  EXPECT_THAT(Check(R"j({"pattern":"^(a|a)*$"})j", yaml).summary, ElementsAre("1  bad_value"));
}

}  // namespace
}  // namespace viaduct
