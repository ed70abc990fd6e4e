#include "core/config/patch_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/config/document.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kDocument[] = R"(
node: {id: CAM001, data_dir: "/data"}
log:
  level: info      # quiet
  levels: {spool: debug}
instances:
  - name: uplink
    plugin: rest
    config:
      base_url: ${SERVER:-http://a:80}
      api_key: file:/key
      timeout: 5
  - {name: http, plugin: rest, config: {listen: "127.0.0.1:8000"}}
text: |
  two
  lines
version: "1.0"
)";

std::string Patch(std::string_view patch) {
  const auto patched = PatchDocument(kDocument, patch);
  EXPECT_TRUE(patched.ok()) << patched.status();
  return patched.ok() ? *patched : "";
}

// The value at a path of members; of a list the one of that name.
std::string At(const std::string& yaml, std::initializer_list<std::string> path,
               bool* plain = nullptr) {
  ConfigNode root;
  Findings findings;
  EXPECT_TRUE(ParseDocument(yaml, &root, &findings)) << yaml;
  EXPECT_TRUE(findings.empty()) << yaml;
  const ConfigNode* node = &root;
  for (const std::string& step : path) {
    const ConfigNode* next = nullptr;
    if (node->is_map()) next = node->Find(step);
    for (const ConfigNode& item : node->items) {
      if (item.Find("name") != nullptr && item.Find("name")->text == step) next = &item;
    }
    if (next == nullptr) return "absent";
    node = next;
  }
  if (plain != nullptr) *plain = node->plain;
  return node->is_null() ? "null" : node->text;
}

TEST(PatchDocumentTest, ChangesWhatItNamesAndNothingElse) {
  const std::string out = Patch(R"({"log":{"level":"debug"},"spool":{"max_messages":7}})");
  EXPECT_EQ(At(out, {"log", "level"}), "debug");
  EXPECT_EQ(At(out, {"log", "levels", "spool"}), "debug");
  EXPECT_EQ(At(out, {"spool", "max_messages"}), "7");
  EXPECT_EQ(At(out, {"node", "data_dir"}), "/data");
  EXPECT_EQ(At(out, {"text"}), "two\nlines\n");
  EXPECT_EQ(At(out, {"instances", "http", "config", "listen"}), "127.0.0.1:8000");
}

TEST(PatchDocumentTest, NamesInstancesAndKeepsReferences) {
  const std::string out = Patch(
      R"({"instances":{"uplink":{"config":{"timeout":9}},"http":null,"new":{"plugin":"mqtt"}}})");
  EXPECT_EQ(At(out, {"instances", "uplink", "config", "timeout"}), "9");
  EXPECT_EQ(At(out, {"instances", "uplink", "config", "base_url"}), "${SERVER:-http://a:80}");
  EXPECT_EQ(At(out, {"instances", "uplink", "config", "api_key"}), "file:/key");
  EXPECT_EQ(At(out, {"instances", "http"}), "absent");
  EXPECT_EQ(At(out, {"instances", "new", "plugin"}), "mqtt");
}

TEST(PatchDocumentTest, ATextStaysATextAndANumberANumber) {
  bool plain = true;
  const std::string out = Patch(R"({"a":"1.0","b":1.0,"c":true,"d":[1,"x"],"e":{},"f":[]})");
  At(out, {"version"}, &plain);
  EXPECT_FALSE(plain);
  At(out, {"a"}, &plain);
  EXPECT_FALSE(plain);
  At(out, {"b"}, &plain);
  EXPECT_TRUE(plain);
  EXPECT_EQ(At(out, {"c"}), "true");
  EXPECT_THAT(out, HasSubstr("\"e\": {}"));
  EXPECT_THAT(out, HasSubstr("\"f\": []"));
}

TEST(PatchDocumentTest, NullRemoves) {
  EXPECT_EQ(At(Patch(R"({"log":null})"), {"log"}), "absent");
  EXPECT_THAT(Patch(R"({"node":{"data_dir":null}})"), Not(HasSubstr("data_dir")));
}

TEST(PatchDocumentTest, RefusesWhatIsNoPatch) {
  for (const char* patch : {"", "[]", "7", "{", R"("log")"}) {
    EXPECT_EQ(PatchDocument(kDocument, patch).status().code(), absl::StatusCode::kInvalidArgument)
        << patch;
  }
  const std::string deep = "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_FALSE(PatchDocument(kDocument, deep).ok());
  const std::string huge = "{\"a\":\"" + std::string(kMaxPatchBytes, 'x') + "\"}";
  EXPECT_FALSE(PatchDocument(kDocument, huge).ok());
  EXPECT_FALSE(PatchDocument("a: [", "{}").ok());
}

}  // namespace
}  // namespace viaduct
