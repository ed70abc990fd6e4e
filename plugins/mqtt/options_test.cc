#include "plugins/mqtt/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <tuple>

namespace viaduct::mqtt {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

constexpr std::string_view kHost = "gate7";

// The mqtt section of the original gateway's file, as its users have it.
TEST(ReadOptions, TakesTheShortForm) {
  Options options;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(R"({"broker_url":"lprserver","client_id":"aicamera-edge-001",
                              "username":"edge_user","password":"p"})",
                          kHost, &options, &error))
      << error.message;
  EXPECT_FALSE(options.is_server);
  const PublisherOptions& client = options.client;
  EXPECT_EQ(client.session.broker.host, "lprserver");
  EXPECT_EQ(client.session.broker.port, 1883);
  EXPECT_EQ(client.session.keepalive_s, 60);
  EXPECT_FALSE(client.session.version_5);
  EXPECT_TRUE(client.session.keep_session);
  EXPECT_EQ(client.device_id, "aicamera-edge-001");
  EXPECT_EQ(client.topic, "lpr/data/edge/aicamera-edge-001");
  EXPECT_EQ(client.confirm, Confirm::kServer);
}

TEST(ReadOptions, IsNamedAfterTheMachineUnlessTold) {
  Options options;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(R"({"broker_url":"b"})", kHost, &options, &error)) << error.message;
  EXPECT_EQ(options.client.session.client_id, "viaduct-gate7");
  EXPECT_FALSE(options.client.session.keep_session);
  EXPECT_EQ(options.client.device_id, "gate7");
  ASSERT_TRUE(ReadOptions(R"({"broker_url":"b","device_id":"CAM1"})", kHost, &options, &error));
  EXPECT_EQ(options.client.session.client_id, "viaduct-CAM1");
}

TEST(ReadOptions, SendsSinglyToAServerOfAnotherKindUnlessTold) {
  Options options;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(R"({"broker_url":"b","client_id":"c","confirm":"broker"})", kHost,
                          &options, &error));
  EXPECT_EQ(options.client.max_batch, 1u);
  ASSERT_TRUE(ReadOptions(R"({"broker_url":"b","client_id":"c","confirm":"broker","batch":9})",
                          kHost, &options, &error));
  EXPECT_EQ(options.client.max_batch, 9u);
}

TEST(ReadOptions, ServersShareDataAndAllHearOfStates) {
  const std::vector<std::string> shared = ServerFilters("g");
  EXPECT_THAT(shared, Contains("$share/g/lpr/data/edge/+"));
  EXPECT_THAT(shared, Contains("system/status/+"));
  EXPECT_THAT(ServerFilters(""), Contains("lpr/data/edge/+"));
  Options options;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(
      R"({"role":"server","broker_url":"b","client_id":"c","subscriptions":["a/+","b"]})", kHost,
      &options, &error));
  EXPECT_THAT(options.server.filters, ElementsAre("a/+", "b"));
}

TEST(ReadOptions, PointsAtWhatTheSchemaCannotSay) {
  const struct {
    const char* config;
    const char* pointer;
  } kCases[] = {
      {R"({"client_id":"c"})", "/broker_url"},
      {R"({"broker_url":"http://b","client_id":"c"})", "/broker_url"},
      {R"({"broker_url":"mqtt://b","client_id":"c","ca_file":"/ca"})", "/broker_url"},
      {R"({"broker_url":"b","client_id":""})", "/client_id"},
      {R"({"role":"server","broker_url":"b"})", "/client_id"},
      {R"({"broker_url":"b","client_id":"a/b"})", "/client_id"},
      {R"({"broker_url":"b","client_id":"c","device_id":"+"})", "/device_id"},
      {R"({"broker_url":"b","client_id":"c","topic":"a/#"})", "/topic"},
      {R"({"broker_url":"b","client_id":"c","password":"p"})", "/username"},
      {R"({"broker_url":"b","client_id":"c","certificate":"/c"})", "/key"},
      {R"({"broker_url":"b","client_id":"c","key":"/k"})", "/certificate"},
      {R"({"broker_url":"b","client_id":"c","keepalive":"long"})", "/keepalive"},
      {R"({"role":"server","broker_url":"b","client_id":"c","share":"a/b"})", "/share"},
      {R"([)", ""},
  };
  for (const auto& c : kCases) {
    Options options;
    OptionsError error;
    EXPECT_FALSE(ReadOptions(c.config, kHost, &options, &error)) << c.config;
    EXPECT_EQ(error.pointer, c.pointer) << c.config;
    EXPECT_NE(error.message, "") << c.config;
  }
}

nlohmann::json Schema() {
  std::ifstream file("plugins/mqtt/config.schema.json");
  return nlohmann::json::parse(file);
}

// The schema fills in its defaults; the structs have theirs. They are one and the same.
// Else it would send a message again before its confirmation is late.
TEST(ReadOptions, TheHostIsToldHowLongAConfirmationMayTake) {
  EXPECT_EQ(Schema()["properties"]["ack_timeout"]["x-viaduct-confirm-timeout"], true);
}

TEST(ReadOptions, DefaultsOfSchemaAndCodeAgree) {
  nlohmann::json filled = {{"broker_url", "b"}, {"client_id", "c"}};
  const nlohmann::json properties = Schema()["properties"];  // items() does not keep it alive.
  for (const auto& [key, property] : properties.items()) {
    EXPECT_TRUE(property.contains("description")) << key;
    if (property.contains("default")) filled[key] = property["default"];
  }
  Options from_schema;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(filled.dump(), kHost, &from_schema, &error)) << error.message;
  const PublisherOptions& a = from_schema.client;
  const PublisherOptions b;
  EXPECT_EQ(std::tie(a.confirm, a.ack_timeout, a.max_batch, a.window, a.max_publications),
            std::tie(b.confirm, b.ack_timeout, b.max_batch, b.window, b.max_publications));
  const SessionOptions& c = a.session;
  const SessionOptions& d = b.session;
  EXPECT_EQ(std::tie(c.version_5, c.keepalive_s, c.connect_timeout, c.session_expiry),
            std::tie(d.version_5, d.keepalive_s, d.connect_timeout, d.session_expiry));
  filled["role"] = "server";
  ASSERT_TRUE(ReadOptions(filled.dump(), kHost, &from_schema, &error)) << error.message;
  EXPECT_EQ(from_schema.server.window, SubscriberOptions().window);
  EXPECT_EQ(from_schema.server.commit_timeout, SubscriberOptions().commit_timeout);
  EXPECT_EQ(from_schema.server.filters, ServerFilters("viaduct"));
}

// What the schema says in words, "Client: ..." and "Server: ...", and in defaults.
TEST(ReadOptions, RefusesOptionsOfTheOtherRole) {
  const nlohmann::json properties = Schema()["properties"];
  for (const auto& [key, property] : properties.items()) {
    const std::string words = property["description"];
    const bool of_client = words.rfind("Client: ", 0) == 0;
    if (!of_client && words.rfind("Server: ", 0) != 0) continue;
    nlohmann::json config = {{"broker_url", "b"}, {"client_id", "c"}};
    config["role"] = of_client ? "server" : "client";
    Options options;
    OptionsError error;
    config[key] = property.value("default", nlohmann::json());
    if (property.contains("default")) {
      EXPECT_TRUE(ReadOptions(config.dump(), kHost, &options, &error)) << key << error.message;
    }
    config[key] = property["type"] == "array"    ? nlohmann::json::array({"other"})
                  : property["type"] == "string" ? nlohmann::json("broker")
                                                 : nlohmann::json(7);
    EXPECT_FALSE(ReadOptions(config.dump(), kHost, &options, &error)) << key;
    EXPECT_EQ(error.pointer, "/" + key);
  }
}

// README, schema and sample agree: every option of the schema has its row in the README.
TEST(ReadOptions, EveryOptionIsInTheReadme) {
  std::ifstream readme_file("plugins/mqtt/README.md");
  const std::string readme((std::istreambuf_iterator<char>(readme_file)), {});
  const nlohmann::json properties = Schema()["properties"];
  for (const auto& [key, property] : properties.items())
    EXPECT_NE(readme.find("| `" + key + "` |"), std::string::npos) << key;
}

}  // namespace
}  // namespace viaduct::mqtt
