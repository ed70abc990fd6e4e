#include "plugins/rsync/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>

namespace viaduct::rsync {
namespace {

using ::testing::ElementsAre;
using Json = nlohmann::json;

Json Least() { return {{"remote_host", "s"}, {"remote_user", "u"}}; }

TEST(ReadOptions, ThoseOfTheOriginalGateway) {
  ClientOptions options;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(R"({"remote_host":"lpr-server","remote_user":"edge_user",
      "remote_path":"/data/lpr_images","options":["-az","--partial","--delete"]})",
                          &options, &error))
      << error.message;
  EXPECT_EQ(options.server.host, "lpr-server");
  EXPECT_EQ(options.server.port, 22);
  EXPECT_EQ(options.server.remote_path, "/data/lpr_images");
  EXPECT_THAT(options.server.more, ElementsAre("--perms", "--compress"));
  EXPECT_FALSE(options.server.accept_new);
}

TEST(ReadOptions, ADaemon) {
  Json config = Least();
  config["transport"] = "daemon";
  config["remote_path"] = "cam001/in";
  config["password"] = "p";
  ClientOptions options;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(config.dump(), &options, &error)) << error.message;
  EXPECT_TRUE(options.server.daemon);
  EXPECT_EQ(options.server.port, 873);
}

TEST(ReadOptions, WhatTheSchemaCanNotSay) {
  const struct {
    Json change;
    const char* pointer;
  } kCases[] = {
      {{{"remote_user", ""}}, "/remote_user"},
      {{{"remote_host", "-oProxyCommand=id"}}, "/remote_host"},
      {{{"remote_host", "a\nProxyCommand id"}}, "/remote_host"},
      {{{"remote_user", "u@h"}}, "/remote_user"},
      {{{"remote_path", "-x"}}, "/remote_path"},
      {{{"key_file", "/k\"\nProxyCommand id"}}, "/key_file"},
      {{{"known_hosts", "$X"}}, "/known_hosts"},
      {{{"password", "a\nb"}}, "/password"},
      {{{"host_key_policy", "accept_new"}}, "/known_hosts"},
      {{{"host_key_policy", "pinned"}}, "/host_key"},
      {{{"host_key_policy", "strict"}, {"host_key", {"SHA256:x"}}}, "/host_key"},
      {{{"passphrase", "p"}}, "/passphrase"},
      {{{"key_file", "/k"}, {"passphrase", "a\nb"}}, "/passphrase"},
      {{{"options", {"-az", "--rsh=id"}}}, "/options"},
      {{{"transport", "daemon"}}, "/remote_path"},
      {{{"transport", "daemon"}, {"remote_path", "/in"}}, "/remote_path"},
      {{{"transport", "daemon"}, {"remote_path", "m/../n"}}, "/remote_path"},
      {{{"transport", "daemon"}, {"remote_path", "m"}, {"key_file", "/k"}}, "/key_file"},
      {{{"transport", "daemon"}, {"remote_path", "m"}, {"host_key", {"SHA256:x"}}}, "/host_key"},
  };
  for (const auto& c : kCases) {
    Json config = Least();
    config.update(c.change);
    ClientOptions options;
    OptionsError error;
    EXPECT_FALSE(ReadOptions(config.dump(), &options, &error)) << c.change;
    EXPECT_EQ(error.pointer, c.pointer) << c.change << error.message;
  }
}

// The schema fills in its defaults; the structs have theirs. They are one and the same.
TEST(ReadOptions, DefaultsAgreeWithTheSchema) {
  std::ifstream file("plugins/rsync/config.schema.json");
  const Json schema = Json::parse(file);
  Json filled = Least();
  for (const auto& [key, property] : schema["properties"].items()) {
    EXPECT_TRUE(property.contains("description")) << key;
    if (property.contains("default")) filled[key] = property["default"];
  }
  ClientOptions a;
  ClientOptions b;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(filled.dump(), &a, &error)) << error.message;
  ASSERT_TRUE(ReadOptions(Least().dump(), &b, &error)) << error.message;
  const ClientOptions c;
  EXPECT_EQ(a.server.more, b.server.more);
  EXPECT_EQ(std::tie(a.server.remote_path, a.max_transfers, a.server.port, a.server.daemon),
            std::tie(c.server.remote_path, c.max_transfers, c.server.port, c.server.daemon));
  EXPECT_EQ(std::tie(a.server.keepalive, a.server.answer_timeout, a.server.connect_timeout),
            std::tie(c.server.keepalive, c.server.answer_timeout, c.server.connect_timeout));
  for (const char* secret : {"password", "passphrase"}) {
    EXPECT_EQ(schema["properties"][secret]["x-viaduct-secret"], true) << secret;
  }
}

// README, schema and sample agree: every option of the schema has its row in the README.
TEST(ReadOptions, EveryOptionIsInTheReadme) {
  std::ifstream schema_file("plugins/rsync/config.schema.json");
  const Json schema = Json::parse(schema_file);
  std::ifstream readme_file("plugins/rsync/README.md");
  const std::string readme((std::istreambuf_iterator<char>(readme_file)), {});
  for (const auto& [key, property] : schema["properties"].items())
    EXPECT_NE(readme.find("| `" + key + "` |"), std::string::npos) << key;
}

}  // namespace
}  // namespace viaduct::rsync
