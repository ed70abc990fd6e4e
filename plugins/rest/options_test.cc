#include "plugins/rest/options.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace viaduct::rest {
namespace {

TEST(ReadOptions, RoleFollowsTheUrlUnlessSaid) {
  Options options;
  OptionsError error;
  ASSERT_TRUE(ReadOptions("{}", &options, &error));
  EXPECT_TRUE(options.is_server);
  ASSERT_TRUE(ReadOptions(R"({"base_url":"http://s:1"})", &options, &error));
  EXPECT_FALSE(options.is_server);
  EXPECT_EQ(options.client.base_url, "http://s:1");
}

TEST(ReadOptions, ReadsAddressesOfBothFamilies) {
  Options options;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(R"({"listen":"[::1]:80"})", &options, &error));
  EXPECT_EQ(options.server.host, "::1");
  EXPECT_EQ(options.server.port, 80);
}

TEST(ReadOptions, PointsAtWhatTheSchemaCannotSay) {
  const struct {
    const char* config;
    const char* pointer;
  } kCases[] = {
      {R"({"listen":"127.0.0.1:99999"})", "/listen"},
      {R"({"listen":":80"})", "/listen"},
      {R"({"role":"client"})", "/base_url"},
      {R"({"role":"server","base_url":"http://s:1"})", "/base_url"},
      {R"({"base_url":"s:1"})", "/base_url"},
      {R"({"base_url":"http://u:p@s:1"})", "/base_url"},
      {R"({"max_connections":"many"})", "/max_connections"},
      {R"({"base_url":"http://s:1","api_key":null})", "/api_key"},
      {R"([)", ""},
  };
  for (const auto& c : kCases) {
    Options options;
    OptionsError error;
    EXPECT_FALSE(ReadOptions(c.config, &options, &error)) << c.config;
    EXPECT_EQ(error.pointer, c.pointer) << c.config;
    EXPECT_NE(error.message, "") << c.config;
  }
}

// The schema fills in its defaults; the structs have theirs. They are one and the same.
TEST(ReadOptions, DefaultsOfSchemaAndCodeAgree) {
  std::ifstream file("plugins/rest/config.schema.json");
  const nlohmann::json schema = nlohmann::json::parse(file);
  nlohmann::json filled = nlohmann::json::object();
  for (const auto& [key, property] : schema["properties"].items()) {
    EXPECT_TRUE(property.contains("description")) << key;
    if (property.contains("default")) filled[key] = property["default"];
  }
  Options from_schema;
  Options from_code;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(filled.dump(), &from_schema, &error)) << error.message;
  const HttpServerOptions& a = from_schema.server;
  const HttpServerOptions& b = from_code.server;
  EXPECT_EQ(std::tie(a.host, a.port, a.max_connections, a.max_buffered_bytes),
            std::tie(b.host, b.port, b.max_connections, b.max_buffered_bytes));
  EXPECT_EQ(std::tie(a.limits.max_body_bytes, a.limits.max_header_bytes, a.idle_timeout,
                     a.request_timeout),
            std::tie(b.limits.max_body_bytes, b.limits.max_header_bytes, b.idle_timeout,
                     b.request_timeout));
  EXPECT_EQ(a.answer_timeout, b.answer_timeout);
  filled["base_url"] = "http://127.0.0.1:8000";
  ASSERT_TRUE(ReadOptions(filled.dump(), &from_schema, &error)) << error.message;
  const HttpClientOptions& c = from_schema.client;
  const HttpClientOptions& d = from_code.client;
  EXPECT_EQ(
      std::tie(c.base_url, c.endpoint, c.flat, c.connections, c.max_batch, c.window, c.timeout),
      std::tie(d.base_url, d.endpoint, d.flat, d.connections, d.max_batch, d.window, d.timeout));
  EXPECT_EQ(c.connect_timeout, d.connect_timeout);
}

// README, schema and sample agree: every option of the schema has its row in the README.
TEST(ReadOptions, EveryOptionIsInTheReadme) {
  std::ifstream schema_file("plugins/rest/config.schema.json");
  const nlohmann::json schema = nlohmann::json::parse(schema_file);
  std::ifstream readme_file("plugins/rest/README.md");
  const std::string readme((std::istreambuf_iterator<char>(readme_file)), {});
  for (const auto& [key, property] : schema["properties"].items())
    EXPECT_NE(readme.find("| `" + key + "` |"), std::string::npos) << key;
}

}  // namespace
}  // namespace viaduct::rest
