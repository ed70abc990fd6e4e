#include "plugins/sftp/options.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>

namespace viaduct::sftp {
namespace {

using Json = nlohmann::json;
using Policy = HostKeyOptions::Policy;

constexpr char kPin[] = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

Json Least() { return {{"host", "s"}, {"username", "u"}, {"key_file", "/k"}}; }

TEST(ReadOptions, ThoseOfTheOriginalGateway) {
  ClientOptions options;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(R"({"host":"lpr-server","username":"edge_user",
      "key_file":"/home/camera/.ssh/id_rsa","remote_path":"/data/lpr_images"})",
                          &options, &error));
  EXPECT_EQ(options.transport.host, "lpr-server");
  EXPECT_EQ(options.transport.port, 22);
  EXPECT_EQ(options.transport.key_file, "/home/camera/.ssh/id_rsa");
  EXPECT_EQ(options.remote_path, "/data/lpr_images");
  EXPECT_EQ(options.transport.host_key.policy, Policy::kStrict);
}

TEST(ReadOptions, FingerprintsPin) {
  Json config = Least();
  config["host_key"] = {kPin};
  ClientOptions options;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(config.dump(), &options, &error)) << error.message;
  EXPECT_EQ(options.transport.host_key.policy, Policy::kPinned);
}

TEST(ReadOptions, PointsAtWhatTheSchemaCannotSay) {
  const struct {
    Json change;
    const char* pointer;
  } kCases[] = {
      {{{"host", ""}}, "/host"},
      {{{"username", ""}}, "/username"},
      {{{"key_file", ""}}, "/key_file"},
      {{{"key_file", ""}, {"password", "p"}, {"passphrase", "q"}}, "/passphrase"},
      {{{"host_key_policy", "pinned"}}, "/host_key"},
      {{{"host_key_policy", "strict"}, {"host_key", {kPin}}}, "/host_key"},
      {{{"host_key_policy", "accept_new"}}, "/known_hosts"},
      {{{"port", "ssh"}}, "/port"},
      {{{"remote_path", ""}}, "/remote_path"},
      {{{"ciphers", 1}}, "/ciphers"},
  };
  for (const auto& c : kCases) {
    Json config = Least();
    config.update(c.change);
    ClientOptions options;
    OptionsError error;
    EXPECT_FALSE(ReadOptions(config.dump(), &options, &error)) << config;
    EXPECT_EQ(error.pointer, c.pointer) << config;
    EXPECT_NE(error.message, "") << config;
  }
  ClientOptions options;
  OptionsError error;
  EXPECT_FALSE(ReadOptions("[", &options, &error));
}

// The schema fills in its defaults; the structs have theirs. They are one and the same.
TEST(ReadOptions, DefaultsOfSchemaAndCodeAgree) {
  std::ifstream file("plugins/sftp/config.schema.json");
  const Json schema = Json::parse(file);
  Json filled = Least();
  for (const auto& [key, property] : schema["properties"].items()) {
    EXPECT_TRUE(property.contains("description")) << key;
    if (property.contains("default")) filled[key] = property["default"];
  }
  ClientOptions a;
  const ClientOptions b;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(filled.dump(), &a, &error)) << error.message;
  EXPECT_EQ(std::tie(a.remote_path, a.max_transfers, a.channels, a.window_bytes, a.transport.port),
            std::tie(b.remote_path, b.max_transfers, b.channels, b.window_bytes, b.transport.port));
  EXPECT_EQ(std::tie(a.keepalive, a.answer_timeout, a.transport.connect_timeout),
            std::tie(b.keepalive, b.answer_timeout, b.transport.connect_timeout));
}

TEST(ReadOptions, SecretsAreMarked) {
  std::ifstream file("plugins/sftp/config.schema.json");
  const Json schema = Json::parse(file);
  for (const char* key : {"password", "passphrase"}) {
    EXPECT_EQ(schema["properties"][key]["x-viaduct-secret"], true) << key;
  }
}

// README, schema and sample agree: every option of the schema has its row in the README.
TEST(ReadOptions, EveryOptionIsInTheReadme) {
  std::ifstream schema_file("plugins/sftp/config.schema.json");
  const Json schema = Json::parse(schema_file);
  std::ifstream readme_file("plugins/sftp/README.md");
  const std::string readme((std::istreambuf_iterator<char>(readme_file)), {});
  for (const auto& [key, property] : schema["properties"].items())
    EXPECT_NE(readme.find("| `" + key + "` |"), std::string::npos) << key;
}

}  // namespace
}  // namespace viaduct::sftp
