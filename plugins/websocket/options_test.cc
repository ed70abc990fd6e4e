#include "plugins/websocket/options.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <tuple>

namespace viaduct::websocket {
namespace {

TEST(ReadOptions, TakesTheOriginalGatewaysSection) {
  Options options;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(R"({"server_url":"ws://lpr-server:8765","reconnect_attempts":3,
                              "reconnect_delay":5})",
                          &options, &error))
      << error.message;
  EXPECT_FALSE(options.is_server);
  EXPECT_FALSE(options.client.raw);
  EXPECT_EQ(options.client.reconnect_attempts, 3);
  EXPECT_EQ(options.client.reconnect_delay, absl::Seconds(5));
}

TEST(ReadOptions, NamesTheMemberThatIsWrong) {
  const struct {
    const char* config;
    const char* pointer;
  } cases[] = {
      {R"([])", ""},
      {R"({"listen":"nowhere"})", "/listen"},
      {R"({"listen":"x:70000"})", "/listen"},
      {R"({"role":"client"})", "/server_url"},
      {R"({"role":"server","server_url":"ws://x"})", "/server_url"},
      {R"({"server_url":"ftp://x"})", "/server_url"},
      {R"({"server_url":"ws://"})", "/server_url"},
      {R"({"server_url":"ws://user@x"})", "/server_url"},
      {R"({"server_url":"ws://x:0"})", "/server_url"},
      {R"({"certificate":"a.pem"})", "/key"},
      {R"({"key":"a.pem"})", "/certificate"},
      {R"({"max_connections":"many"})", "/max_connections"},
  };
  for (const auto& c : cases) {
    Options options;
    OptionsError error;
    EXPECT_FALSE(ReadOptions(c.config, &options, &error)) << c.config;
    EXPECT_EQ(error.pointer, c.pointer) << c.config;
    EXPECT_FALSE(error.message.empty());
  }
}

TEST(ReadServerUrl, FindsHostPortAndPath) {
  const auto read = [](const char* url) {
    ServerAddress address;
    EXPECT_TRUE(ReadServerUrl(url, &address).ok()) << url;
    return std::make_tuple(address.secure, address.host, address.port, address.path);
  };
  EXPECT_EQ(read("ws://a"), std::make_tuple(false, "a", "80", ""));
  EXPECT_EQ(read("wss://a/"), std::make_tuple(true, "a", "443", ""));
  EXPECT_EQ(read("https://a:1/ws/"), std::make_tuple(true, "a", "1", "/ws/"));
  EXPECT_EQ(read("http://[::1]:8765"), std::make_tuple(false, "::1", "8765", ""));
}

TEST(ReadServerUrl, KeepsAPasswordToItself) {
  for (const char* url : {"ws://user:secret@host", "user:secret@host", "ws://host:0/secret@"}) {
    ServerAddress address;
    const absl::Status status = ReadServerUrl(url, &address);
    ASSERT_FALSE(status.ok()) << url;
    EXPECT_EQ(status.message().find("secret"), absl::string_view::npos) << status;
  }
}

TEST(JudgeAnswer, APauseThatTheServerAsksForIsKept) {
  const auto asked = [](const std::string& json, bool raw) {
    return JudgeAnswer(json, "m1", raw).retry_after;
  };
  EXPECT_EQ(asked(R"({"message_id":"m1","status":"retry","retry_after":7})", false),
            absl::Seconds(7));
  EXPECT_EQ(asked(R"({"message_id":"m1","result":"retry","retry_after":2.5})", true),
            absl::Seconds(2.5));
  for (const char* none : {R"("7")", "-7", "null", "[7]", "{}"}) {
    EXPECT_EQ(
        asked(absl::StrCat(R"({"message_id":"m1","status":"retry","retry_after":)", none, "}"),
              false),
        absl::ZeroDuration())
        << none;
  }
  EXPECT_EQ(asked(R"({"message_id":"m1","status":"stored","retry_after":7})", false),
            absl::ZeroDuration());
  EXPECT_EQ(asked(R"({"message_id":"m1","status":"retry","retry_after":1e99})", false),
            absl::Hours(1));
}

TEST(JudgeAnswer, RefusesOnlyOnProof) {
  const auto outcome = [](const char* json, bool raw = false) {
    return JudgeAnswer(json, "m1", raw).outcome;
  };
  EXPECT_EQ(outcome(R"({"message_id":"m1","status":"stored"})"), DeliveryOutcome::kDurable);
  EXPECT_EQ(outcome(R"({"message_id":"m1","status":"duplicate"})"), DeliveryOutcome::kDurable);
  EXPECT_EQ(outcome(R"({"message_id":"m1","status":"rejected"})"), DeliveryOutcome::kReject);
  EXPECT_EQ(outcome(R"({"message_id":"","status":"rejected"})"), DeliveryOutcome::kReject);
  for (const char* unclear :
       {"", "1", "{}", R"({"status":"stored"})", R"({"message_id":"m2","status":"stored"})",
        R"({"message_id":"m2","status":"rejected"})", R"({"message_id":"m1","status":"retry"})",
        R"({"message_id":"m1","success":true})", R"({"message_id":1,"status":"stored"})"}) {
    EXPECT_EQ(outcome(unclear), DeliveryOutcome::kRetry) << unclear;
  }
  EXPECT_EQ(outcome(R"({"message_id":"m1","status":"success","result":"stored"})", true),
            DeliveryOutcome::kDurable);
  EXPECT_EQ(outcome(R"({"message_id":"m1","status":"error","result":"retry"})", true),
            DeliveryOutcome::kRetry);
  EXPECT_EQ(outcome(R"({"message_id":"m1","status":"stored"})", true), DeliveryOutcome::kRetry);
}

TEST(ReadOptions, DefaultsOfTheSchemaAreThoseOfTheCode) {
  std::ifstream file("plugins/websocket/config.schema.json");
  nlohmann::json filled = nlohmann::json::object();
  const nlohmann::json schema = nlohmann::json::parse(file);
  for (const auto& [key, property] : schema["properties"].items()) {
    if (property.contains("default")) filled[key] = property["default"];
  }
  Options from_schema;
  const Options from_code;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(filled.dump(), &from_schema, &error)) << error.message;
  const ServerOptions& a = from_schema.server;
  const ServerOptions& b = from_code.server;
  EXPECT_EQ(std::tie(a.host, a.port, a.ping_interval, a.ping_timeout, a.connect_timeout,
                     a.request_timeout, a.idle_timeout, a.answer_timeout, a.stall_timeout),
            std::tie(b.host, b.port, b.ping_interval, b.ping_timeout, b.connect_timeout,
                     b.request_timeout, b.idle_timeout, b.answer_timeout, b.stall_timeout));
  EXPECT_EQ(std::tie(a.max_payload_bytes, a.max_header_bytes, a.max_connections,
                     a.max_buffered_bytes, a.max_unsent_bytes, a.max_pending_events, a.deflate),
            std::tie(b.max_payload_bytes, b.max_header_bytes, b.max_connections,
                     b.max_buffered_bytes, b.max_unsent_bytes, b.max_pending_events, b.deflate));
  filled["server_url"] = "ws://127.0.0.1:8765";
  ASSERT_TRUE(ReadOptions(filled.dump(), &from_schema, &error)) << error.message;
  const ClientOptions& c = from_schema.client;
  const ClientOptions& d = from_code.client;
  EXPECT_EQ(std::tie(c.raw, c.connect_timeout, c.answer_timeout, c.window, c.max_unsent_bytes,
                     c.deflate, c.reconnect_attempts, c.reconnect_delay),
            std::tie(d.raw, d.connect_timeout, d.answer_timeout, d.window, d.max_unsent_bytes,
                     d.deflate, d.reconnect_attempts, d.reconnect_delay));
}

TEST(ReadOptions, EveryOptionIsInTheReadme) {
  std::ifstream schema_file("plugins/websocket/config.schema.json");
  const nlohmann::json schema = nlohmann::json::parse(schema_file);
  std::ifstream readme_file("plugins/websocket/README.md");
  const std::string readme((std::istreambuf_iterator<char>(readme_file)), {});
  for (const auto& [key, property] : schema["properties"].items()) {
    EXPECT_NE(readme.find("| `" + key + "` |"), std::string::npos) << key;
  }
}

}  // namespace
}  // namespace viaduct::websocket
