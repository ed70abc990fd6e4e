// The sample configurations are read by the same code as everybody's, and docs/CONFIG.md has every
// key of the schema. VIADUCT_UPDATE_DOCS=1 writes the table of keys anew.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/config/test_environment.h"
#include "core/config/validate.h"

namespace viaduct {
namespace {

using nlohmann::ordered_json;
using ::testing::Contains;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

constexpr char kBegin[] = "<!-- keys: made from core/config/node.schema.json -->\n";
constexpr char kEnd[] = "<!-- end of keys -->\n";

std::string Slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

fs::path Root() { return VIADUCT_SOURCE_DIR; }

class ExamplesTest : public ::testing::Test {
 protected:
  ExamplesTest() {
    for (const auto& plugin : fs::directory_iterator(Root() / "plugins")) {
      const fs::path schema = plugin.path() / "config.schema.json";
      if (fs::exists(schema)) schemas_.Add(plugin.path().filename().string(), Slurp(schema));
    }
  }
  ConfigReport Validate(const std::string& name) {
    return ConfigValidator(&schemas_, &environment_)
        .Validate(Slurp(Root() / "examples" / name), name);
  }

  FakeSchemas schemas_;
  FakeEnvironment environment_;
};

TEST_F(ExamplesTest, EverySampleIsSound) {
  std::set<std::string> seen;
  for (const auto& entry : fs::directory_iterator(Root() / "examples")) {
    if (entry.path().extension() != ".yaml") continue;
    const std::string name = entry.path().filename().string();
    seen.insert(name);
    const ConfigReport report = Validate(name);
    EXPECT_TRUE(report.ok()) << report.status();
    if (name == "original-gateway.yaml") continue;  // Its warnings are looked at below.
    for (const Finding& finding : report.findings) ADD_FAILURE() << FormatFinding(finding);
  }
  EXPECT_THAT(seen, Contains("edge.yaml"));
  EXPECT_THAT(seen, Contains("server.yaml"));
  EXPECT_THAT(seen, Contains("original-gateway.yaml"));
}

TEST_F(ExamplesTest, TheOriginalGatewaysFileHasFiveInstancesAndItsWarnings) {
  const ConfigReport report = Validate("original-gateway.yaml");
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report.config->node.id, "camera-edge-001");
  EXPECT_EQ(report.config->instances.size(), 5u);
  std::multiset<std::string> codes;
  for (const Finding& finding : report.findings) {
    EXPECT_EQ(finding.severity, FindingSeverity::kWarning);
    codes.insert(finding.code);
  }
  EXPECT_EQ(codes.count("plain_secret"), 1u);
  EXPECT_EQ(codes.count("confined_delete"), 1u);
  EXPECT_EQ(codes.count("no_effect"), 1u);
  const ConfigView& rest = *report.config->instances[1].config;
  EXPECT_EQ(*rest.GetString("/base_url"), "http://lpr-server:8000");
  EXPECT_EQ(*rest.GetInteger("/retry_attempts"), 3);
}

std::string TypeOf(const ordered_json& schema) {
  const std::string format = schema.value("format", "");
  if (format == "viaduct-bytes") return "size";
  if (format == "viaduct-duration") return "duration";
  if (schema.contains("enum")) {
    std::vector<std::string> words;
    for (const auto& word : schema["enum"]) words.push_back(word.get<std::string>());
    return absl::StrJoin(words, ", ");
  }
  std::string type = schema.value("type", "");
  if (type == "array") type = "list";
  if (type == "object") type = "section";
  if (type == "integer") type = "whole number";
  if (type == "boolean") type = "true, false";
  if (type == "string") type = "text";
  const std::string low = schema.contains("minimum") ? schema["minimum"].dump() : "";
  const std::string high = schema.contains("maximum") ? schema["maximum"].dump() : "";
  return low.empty() && high.empty() ? type : absl::StrCat(type, ", ", low, " to ", high);
}

void WriteRows(const ordered_json& schema, const std::string& prefix, std::string* out) {
  for (const auto& [name, property] : schema["properties"].items()) {
    const std::string path = prefix.empty() ? name : absl::StrCat(prefix, ".", name);
    std::string fallback;
    if (property.contains("default")) {
      const auto& value = property["default"];
      fallback =
          absl::StrCat("`", value.is_string() ? value.get<std::string>() : value.dump(), "`");
    }
    if (fallback == "`{}`" || fallback == "`[]`") fallback.clear();
    EXPECT_TRUE(property.contains("description")) << path;
    absl::StrAppend(out, "| `", path, "` | ", TypeOf(property), " | ", fallback, " | ",
                    property.value("description", ""), " |\n");
    if (property.contains("properties")) WriteRows(property, path, out);
    if (property.contains("items") && property["items"].contains("properties")) {
      WriteRows(property["items"], path + "[]", out);
    }
  }
}

TEST(ConfigDocTest, HasEveryKeyOfTheSchema) {
  const ordered_json schema = ordered_json::parse(NodeSchemaText());
  std::string table = "| key | value | default | meaning |\n| --- | --- | --- | --- |\n";
  WriteRows(schema, "", &table);
  const fs::path path = Root() / "docs" / "CONFIG.md";
  const std::string text = Slurp(path);
  const size_t begin = text.find(kBegin);
  const size_t end = text.find(kEnd);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const size_t first = begin + sizeof(kBegin) - 1;
  if (std::getenv("VIADUCT_UPDATE_DOCS") != nullptr) {
    std::ofstream(path, std::ios::binary | std::ios::trunc)
        << text.substr(0, first) << table << text.substr(end);
    return;
  }
  EXPECT_EQ(text.substr(first, end - first), table)
      << "run this test with VIADUCT_UPDATE_DOCS=1 and commit docs/CONFIG.md";
}

TEST(ConfigDocTest, HasEveryCodeOfAFinding) {
  const std::string doc = Slurp(Root() / "docs" / "CONFIG.md");
  for (const char* code : {"ambiguous",
                           "bad_alias",
                           "bad_duration",
                           "bad_encoding",
                           "bad_key",
                           "bad_length",
                           "bad_reference",
                           "bad_schema",
                           "bad_size",
                           "bad_tag",
                           "bad_value",
                           "bad_yaml",
                           "confined_delete",
                           "duplicate_item",
                           "duplicate_key",
                           "duplicate_name",
                           "empty",
                           "merge_key",
                           "missing_item",
                           "missing_key",
                           "no_effect",
                           "not_allowed",
                           "out_of_range",
                           "plain_secret",
                           "plugin_not_installed",
                           "plugin_unusable",
                           "readable_secret",
                           "redacted_value",
                           "too_deep",
                           "too_large",
                           "too_many",
                           "unknown_key",
                           "unknown_reference",
                           "wrong_type"}) {
    EXPECT_THAT(doc, HasSubstr(absl::StrCat("`", code, "`")));
  }
}

}  // namespace
}  // namespace viaduct
