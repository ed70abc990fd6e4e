#include "core/config/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/config/test_environment.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr char kRestSchema[] = R"({
  "type": "object", "additionalProperties": false,
  "properties": {
    "role": {"enum": ["client", "server"]},
    "listen": {"type": "string", "pattern": "^.+:[0-9]+$"},
    "base_url": {"type": "string"},
    "timeout": {"type": "integer", "minimum": 1, "maximum": 3600, "default": 30},
    "retry_attempts": {"type": "integer", "minimum": 0, "default": 3},
    "api_key": {"type": "string", "x-viaduct-secret": true},
    "headers": {"type": "object", "default": {}, "additionalProperties": {"type": "string"}}
  }})";

constexpr char kTwoRoads[] = R"(instances:
  - name: up
    plugin: rest
    config:
      base_url: ftp://x
      headers: {a/b: "c"}
  - {name: down, plugin: rest}
)";

class ValidateTest : public ::testing::Test {
 protected:
  ValidateTest() { schemas_.Add("rest", kRestSchema); }

  ConfigReport Validate(std::string_view yaml) {
    return ConfigValidator(&schemas_, &environment_).Validate(yaml, "f.yaml");
  }

  // "line pointer code" of every finding.
  static std::vector<std::string> Summary(const ConfigReport& report) {
    std::vector<std::string> out;
    for (const Finding& f : report.findings) {
      out.push_back(absl::StrCat(f.line, " ", f.pointer, " ", f.code));
    }
    return out;
  }

  FakeSchemas schemas_;
  FakeEnvironment environment_;
};

TEST_F(ValidateTest, WhatAPluginRefusesIsAFindingWhereTheValueStands) {
  const AskFn ask = [](const NodeConfig& config) {
    EXPECT_THAT(config.instances, SizeIs(2));
    return std::vector<Objection>{{"down", "/base_url", "base_url: missing"},
                                  {"up", "/base_url", "base_url: no http URL, \"ftp://x\""},
                                  {"up", "/headers/a~1b", "headers: bad name"}};
  };
  const ConfigReport report =
      ConfigValidator(&schemas_, &environment_).Validate(kTwoRoads, "f.yaml", ask);
  EXPECT_FALSE(report.ok());
  EXPECT_FALSE(report.status().ok());
  EXPECT_THAT(Summary(report), ElementsAre("5 /instances/0/config/base_url refused",
                                           "6 /instances/0/config/headers/a~1b refused",
                                           "7 /instances/1/config/base_url refused"));
  EXPECT_EQ(report.findings[0].instance, "up");
  EXPECT_EQ(report.findings[2].instance, "down");
}

TEST_F(ValidateTest, PluginsAreNotAskedAboutADocumentWithMistakes) {
  const AskFn ask = [](const NodeConfig&) {
    ADD_FAILURE() << "asked";
    return std::vector<Objection>();
  };
  const ConfigReport report =
      ConfigValidator(&schemas_, &environment_).Validate("instances: [{name: up}]", "f.yaml", ask);
  EXPECT_FALSE(report.ok());
}

TEST_F(ValidateTest, TwelveMistakesAreTwelveFindingsWithTheirLines) {
  const ConfigReport report = Validate(R"(node:
  id: "CAM 001"
  sinks: [uplink, cloud]

log: {level: loud, levels: {instance/htp: debug}}
instances:
  - name: http
    plugin: rest
    config:
      time_out: 5
      retry_attempts: many
      timeout: 7200
  - name: http
    plugin: rest
  - plugin: rest
spool:
  max_bytes: 4 Gigs
  when_ful: reject_new
gateway:
  retry: {initial_delay: 10}
)");
  EXPECT_FALSE(report.ok());
  EXPECT_THAT(Summary(report),
              ElementsAre("2 /node/id bad_value", "3 /node/sinks/1 bad_value",
                          "5 /log/level bad_value", "5 /log/levels/instance~1htp unknown_reference",
                          "10 /instances/0/config/time_out unknown_key",
                          "11 /instances/0/config/retry_attempts wrong_type",
                          "12 /instances/0/config/timeout out_of_range",
                          "13 /instances/1/name duplicate_name", "15 /instances/2/name missing_key",
                          "17 /spool/max_bytes bad_size", "18 /spool/when_ful unknown_key",
                          "20 /gateway/retry/initial_delay bad_duration"));
  EXPECT_EQ(FormatFinding(report.findings[4]),
            "f.yaml:10:7: error: unknown key \"time_out\", did you mean \"timeout\"? "
            "(instance http, /instances/0/config/time_out, unknown_key)");
  EXPECT_EQ(report.findings[4].instance, "http");
  EXPECT_EQ(report.error_count(), 12u);
  EXPECT_THAT(std::string(report.status().message()), HasSubstr("f.yaml:17:14: error: max_bytes"));
}

TEST_F(ValidateTest, ReadsTheSectionOfAPostgresqlServer) {
  environment_.variables["DB_PASSWORD"] = "s3cret";
  const ConfigReport report = Validate(
      "node: {data_dir: /data}\n"
      "store:\n"
      "  postgresql:\n"
      "    host: db1,db2\n"
      "    port: 5433\n"
      "    database: viaduct\n"
      "    password: ${DB_PASSWORD}\n"
      "    ssl_mode: verify-full\n"
      "    ssl_ca: ca.pem\n"
      "    pool_size: 8\n");
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report.config->node.sink_store);
  ASSERT_TRUE(report.config->store.postgresql.has_value());
  const PostgresOptionsConfig& server = *report.config->store.postgresql;
  EXPECT_EQ(server.host, "db1,db2");
  EXPECT_EQ(server.port, 5433u);
  EXPECT_EQ(server.database, "viaduct");
  EXPECT_EQ(server.password, "s3cret");
  EXPECT_EQ(server.ssl_mode, "verify-full");
  EXPECT_EQ(server.ssl_ca, "/data/ca.pem");
  EXPECT_EQ(server.ssl_key, "");
  EXPECT_EQ(server.pool_size, 8u);
  EXPECT_EQ(server.connect_timeout, absl::Seconds(5));
  EXPECT_EQ(report.redacted_yaml.find("s3cret"), std::string::npos);
  EXPECT_FALSE(Validate("store: {}\n").config->store.postgresql.has_value());
}

TEST_F(ValidateTest, AnEmptySectionTakesAllDefaults) {
  const ConfigReport report = Validate("node:\nlog: {}\n");
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report.findings, IsEmpty());
  const NodeConfig& config = *report.config;
  EXPECT_EQ(config.node.id, "test-host.example");
  EXPECT_EQ(config.node.data_dir, "/var/lib/viaduct");
  EXPECT_TRUE(config.node.sink_uplink);
  EXPECT_FALSE(config.node.sink_store);
  EXPECT_EQ(config.control.socket, "/var/lib/viaduct/control.sock");
  EXPECT_FALSE(config.control.tcp.has_value());
  EXPECT_EQ(config.log.level, LogLevel::kInfo);
  EXPECT_THAT(config.plugin_path, ElementsAre("/opt/viaduct/plugins", "/usr/lib/viaduct/plugins"));
  EXPECT_THAT(config.instances, IsEmpty());
  EXPECT_EQ(config.spool.path, "/var/lib/viaduct/spool.db");
  EXPECT_EQ(config.spool.max_bytes, 4ull << 30);
  EXPECT_EQ(config.spool.max_messages, 10'000'000u);
  EXPECT_EQ(config.spool.min_free_bytes, 64u << 20);
  EXPECT_EQ(config.spool.dead_letter_share, 0.1);
  EXPECT_EQ(config.spool.detection_time_to_live, absl::Hours(24 * 30));
  EXPECT_EQ(config.spool.health_time_to_live, absl::Hours(24));
  EXPECT_EQ(config.spool.control_time_to_live, absl::InfiniteDuration());
  EXPECT_EQ(config.store.sqlite_path, "/var/lib/viaduct/store.db");
  EXPECT_EQ(config.store.images, "/var/lib/viaduct/images");
  EXPECT_EQ(config.gateway.window, 4096u);
  EXPECT_EQ(config.gateway.batch, 128u);
  EXPECT_EQ(config.gateway.retry.initial_delay, absl::Milliseconds(200));
  EXPECT_EQ(config.gateway.retry.max_delay, absl::Seconds(60));
  EXPECT_EQ(config.gateway.retry.multiplier, 2);
  EXPECT_EQ(config.gateway.retry.jitter, 0.2);
  EXPECT_EQ(config.gateway.max_rejects, 5u);
  EXPECT_TRUE(config.gateway.fallback.enabled);
  EXPECT_THAT(
      config.gateway.fallback.order,
      UnorderedElementsAre(Pair("websocket", ElementsAre("rest", "mqtt")),
                           Pair("rest", ElementsAre("mqtt", "websocket")),
                           Pair("mqtt", ElementsAre("rest", "websocket")),
                           Pair("sftp", ElementsAre("rsync")), Pair("rsync", ElementsAre("sftp"))));
  EXPECT_EQ(config.gateway.selection.strategy, SelectionStrategy::kAdaptive);
  EXPECT_TRUE(config.gateway.probe.enabled);
  EXPECT_EQ(config.gateway.probe.interval, absl::Seconds(30));
  EXPECT_EQ(config.gateway.probe.retry_interval, absl::Seconds(5));
  EXPECT_EQ(config.gateway.probe.timeout, absl::Seconds(5));
  EXPECT_EQ(config.gateway.breaker_failures, 3u);
  EXPECT_EQ(config.gateway.retry_budget.share, 0.2);
  EXPECT_EQ(config.gateway.retry_budget.per_second, 10);
  EXPECT_EQ(config.gateway.hedged_share, 0.1);
  EXPECT_EQ(config.gateway.backlog.after, absl::Seconds(5));
  EXPECT_EQ(config.gateway.backlog.per_second, 0);
  EXPECT_EQ(config.gateway.ordered, (std::array<bool, 4>{}));
  EXPECT_EQ(config.gateway.report_interval, absl::ZeroDuration()) << "no report unless asked for";
  EXPECT_EQ(config.limits.max_message_bytes, 32u << 20);
  EXPECT_EQ(config.limits.start_timeout, absl::Seconds(10));
}

TEST_F(ValidateTest, AReportOfTheRoadsHasAnInterval) {
  EXPECT_EQ(Validate("gateway: {report: {}}").config->gateway.report_interval, absl::Seconds(60));
  EXPECT_EQ(Validate("gateway: {report: {interval: 15m}}").config->gateway.report_interval,
            absl::Minutes(15));
  EXPECT_THAT(Summary(Validate("gateway: {report: {interval: 9s}}")),
              ElementsAre("1 /gateway/report/interval out_of_range"));
}

TEST_F(ValidateTest, ReadsEveryKey) {
  const ConfigReport report = Validate(R"(
node: {id: hub-1, data_dir: /data, timezone: Asia/Bangkok, sinks: [store, uplink]}
control:
  socket: /run/viaduct.sock
  tcp: {listen: "0.0.0.0:9443", certificate: tls/c.pem, key: /k.pem, client_ca: ca.pem}
log: {level: warning, format: text, levels: {spool: debug, instance/http: trace}}
plugins: {path: [/a, /b]}
instances:
  - {name: http, plugin: rest, start: manual, on_start_failure: fail,
     link: {metered: true, cost_per_mb: 0.25}, config: {role: server}}
spool: {path: q/s.db, max_bytes: 1GiB, max_messages: 5, min_free_bytes: 2MiB,
        when_full: drop_oldest_low_priority, dead_letter_share: 0.25,
        time_to_live: {health: 2h, control: 1m30s}}
store: {sqlite: {path: /fast/x.db}, images: pics}
gateway: {window: 1, batch: 2, retry: {initial_delay: 1s, max_delay: 2s, multiplier: 1.5,
          jitter: 0}, max_rejects: 9, selection: {strategy: round_robin, network_aware: false}, fallback: {enabled: false, order: {rest: [lte, mqtt]}},
          probe: {enabled: false, interval: 2m, retry_interval: 9s, timeout: 1s},
          breaker: {failures: 7}, retry_budget: {share: 0.5, per_second: 100}, hedging: {share: 0},
          backlog: {after: 1m, rate: 50.5}, ordering: {control: strict, health: none}}
limits: {max_message_bytes: 65536, start_timeout: 1s,
         drain_timeout: 0s}
)");
  ASSERT_TRUE(report.ok()) << report.status();
  const NodeConfig& config = *report.config;
  EXPECT_TRUE(config.node.sink_store && config.node.sink_uplink);
  EXPECT_EQ(config.node.timezone.name(), "Asia/Bangkok");
  EXPECT_EQ(config.control.socket, "/run/viaduct.sock");
  EXPECT_EQ(config.control.tcp->certificate, "/data/tls/c.pem");
  EXPECT_EQ(config.control.tcp->key, "/k.pem");
  EXPECT_EQ(config.log.format, LogFormat::kText);
  EXPECT_THAT(config.log.levels, ElementsAre(std::pair("instance/http", LogLevel::kTrace),
                                             std::pair("spool", LogLevel::kDebug)));
  EXPECT_THAT(config.plugin_path, ElementsAre("/a", "/b"));
  ASSERT_THAT(config.instances, SizeIs(1));
  EXPECT_EQ(config.instances[0].start, InstanceStart::kManual);
  EXPECT_EQ(config.instances[0].on_start_failure, StartFailure::kFail);
  EXPECT_TRUE(config.instances[0].link_metered);
  EXPECT_EQ(config.instances[0].link_cost_per_mb, 0.25);
  EXPECT_EQ(*config.instances[0].config->GetInteger("/timeout"), 30);
  EXPECT_EQ(config.spool.path, "/data/q/s.db");
  EXPECT_EQ(config.spool.max_bytes, 1u << 30);
  EXPECT_EQ(config.spool.min_free_bytes, 2u << 20);
  EXPECT_EQ(config.spool.dead_letter_share, 0.25);
  EXPECT_EQ(config.spool.when_full, SpoolFull::kDropOldestLowPriority);
  EXPECT_EQ(config.spool.detection_time_to_live, absl::InfiniteDuration());
  EXPECT_EQ(config.spool.health_time_to_live, absl::Hours(2));
  EXPECT_EQ(config.spool.control_time_to_live, absl::Seconds(90));
  EXPECT_EQ(config.store.sqlite_path, "/fast/x.db");
  EXPECT_EQ(config.store.images, "/data/pics");
  EXPECT_EQ(config.gateway.retry.multiplier, 1.5);
  EXPECT_FALSE(config.gateway.selection.network_aware);
  EXPECT_EQ(config.gateway.selection.strategy, SelectionStrategy::kRoundRobin);
  EXPECT_FALSE(config.gateway.probe.enabled);
  EXPECT_EQ(config.gateway.probe.interval, absl::Minutes(2));
  EXPECT_EQ(config.gateway.probe.retry_interval, absl::Seconds(9));
  EXPECT_EQ(config.gateway.probe.timeout, absl::Seconds(1));
  EXPECT_EQ(config.gateway.breaker_failures, 7u);
  EXPECT_EQ(config.gateway.retry_budget.share, 0.5);
  EXPECT_EQ(config.gateway.retry_budget.per_second, 100);
  EXPECT_EQ(config.gateway.hedged_share, 0);
  EXPECT_EQ(config.gateway.backlog.after, absl::Minutes(1));
  EXPECT_EQ(config.gateway.backlog.per_second, 50.5);
  EXPECT_EQ(config.gateway.ordered, (std::array<bool, 4>{false, false, false, true}));
  EXPECT_TRUE(config.gateway.selection.auto_select);
  EXPECT_FALSE(config.gateway.fallback.enabled);
  EXPECT_THAT(config.gateway.fallback.order, ElementsAre(Pair("rest", ElementsAre("lte", "mqtt"))));
  EXPECT_EQ(config.limits.max_message_bytes, 65536u);
  EXPECT_EQ(config.limits.drain_timeout, absl::ZeroDuration());
}

TEST_F(ValidateTest, AStoreSectionMakesTheNodeAStore) {
  EXPECT_TRUE(Validate("store:\n").config->node.sink_store);
  EXPECT_FALSE(Validate("store: {}\n").config->node.sink_uplink);
}

TEST_F(ValidateTest, TheOriginalGatewaysFileLoadsAsItStands) {
  const ConfigReport report = Validate(R"(websocket:
  server_url: "ws://lprserver:8765"
rest:
  base_url: "http://lprserver:8000"
  timeout: 30
  retry_attempts: 3
mqtt:
  broker_url: "lprserver"
  client_id: "aicamera-edge-001"
  password: "secure_password"
rsync:
  options: ["-azP", "--delete"]
protocol_selection: {auto_select: false}
fallback: {max_attempts: 7}
)");
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(Summary(report),
              ElementsAre("1 /websocket plugin_not_installed", "6 /rest/retry_attempts no_effect",
                          "7 /mqtt plugin_not_installed", "10 /mqtt/password plain_secret",
                          "11 /rsync plugin_not_installed", "12 /rsync/options/1 confined_delete"));
  const NodeConfig& config = *report.config;
  EXPECT_EQ(config.node.id, "aicamera-edge-001");
  ASSERT_THAT(config.instances, SizeIs(4));
  EXPECT_EQ(config.instances[1].name, "rest");
  EXPECT_EQ(config.instances[1].unavailable_reason, "");
  EXPECT_EQ(*config.instances[1].config->GetString("/base_url"), "http://lprserver:8000");
  EXPECT_EQ(*config.instances[1].config->GetInteger("/retry_attempts"), 3);
  EXPECT_THAT(config.instances[2].unavailable_reason, HasSubstr("not installed"));
  EXPECT_EQ(*config.instances[2].config->GetString("/password"), "secure_password");
  EXPECT_THAT(config.instances[2].redacted_json, Not(HasSubstr("secure_password")));
  EXPECT_FALSE(config.gateway.selection.auto_select);
  EXPECT_EQ(config.gateway.fallback.max_attempts, 7u);
  EXPECT_THAT(report.redacted_yaml, Not(HasSubstr("secure_password")));
}

TEST_F(ValidateTest, MistakesInTheShortFormPointToWhereTheyStand) {
  const ConfigReport report = Validate(R"(rest:
  base_uri: x
fallback: {max_attempts: 0}
instances:
  - {name: rest, plugin: rest}
gateway: {selection: {auto_select: true}}
protocol_selection: {auto_selct: true}
sftp: 5
)");
  EXPECT_THAT(Summary(report),
              ElementsAre("1 /rest duplicate_name", "2 /rest/base_uri unknown_key",
                          "3 /fallback/max_attempts out_of_range",
                          "7 /protocol_selection duplicate_key", "8 /sftp wrong_type"));
}

TEST_F(ValidateTest, AClientIdNamesTheNodeOnlyWhereNothingElseDoes) {
  EXPECT_EQ(Validate("mqtt: {client_id: c1}\nnode: {id: n1}\n").config->node.id, "n1");
  EXPECT_EQ(Validate("mqtt: {client_id: c1}\nnode: {data_dir: /x}\n").config->node.id, "c1");
  EXPECT_EQ(Validate("mqtt: {broker_url: h}\n").config->node.id, "test-host.example");
  EXPECT_THAT(Summary(Validate("mqtt: {client_id: 'a b'}\n")),
              ElementsAre("1 /mqtt plugin_not_installed", "1 /mqtt/client_id bad_value"));
}

TEST_F(ValidateTest, ReferencesAreResolvedAndNeverShown) {
  environment_.variables = {{"KEY", "hunter2"}, {"PORT", "12"}, {"EMPTY", ""}};
  environment_.files = {{"/run/key", {"hunter3\n", false}}, {"/run/open", {"hunter4", true}}};
  const ConfigReport report = Validate(R"(instances:
  - name: a
    plugin: rest
    config:
      api_key: ${KEY}
      base_url: http://u:${KEY}@${HOST:-localhost}:${PORT}/$${x}
      timeout: ${PORT}
      headers: {a: file:/run/key, b: "${EMPTY:-d}", c: file:///not/read}
  - name: b
    plugin: rest
    config: {api_key: file:/run/open}
)");
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(Summary(report), ElementsAre("11 /instances/1/config/api_key readable_secret"));
  const ConfigView& config = *report.config->instances[0].config;
  EXPECT_EQ(*config.GetString("/api_key"), "hunter2");
  EXPECT_EQ(*config.GetString("/base_url"), "http://u:hunter2@localhost:12/${x}");
  EXPECT_EQ(*config.GetInteger("/timeout"), 12);
  EXPECT_EQ(*config.GetString("/headers/a"), "hunter3");
  EXPECT_EQ(*config.GetString("/headers/b"), "d");
  EXPECT_EQ(*config.GetString("/headers/c"), "file:///not/read");
  for (const InstanceOptions& instance : report.config->instances) {
    EXPECT_THAT(instance.redacted_json, Not(HasSubstr("hunter")));
  }
  EXPECT_THAT(report.config->instances[0].redacted_json, HasSubstr("\"api_key\":\"${KEY}\""));
  EXPECT_THAT(report.redacted_yaml, Not(HasSubstr("hunter")));
  EXPECT_THAT(report.redacted_yaml, HasSubstr("file:/run/open"));
}

TEST_F(ValidateTest, ThePathOfAFileMayHaveVariables) {
  environment_.variables = {{"DIR", "/run/credentials"}, {"NAME", "key"}, {"SLY", "file:/run/sly"}};
  environment_.files = {{"/run/credentials/key", {"hunter2\n", false}},
                        {"//run/credentials/key", {"hunter3", false}},
                        {"/run/sly", {"hunter4", false}}};
  const ConfigReport report = Validate(R"(instances:
  - name: a
    plugin: rest
    config:
      api_key: file:${DIR}/${NAME}
      headers: {a: "file:/run/${OTHER:-credentials}/key", b: "${SLY}", c: "file:/${DIR}/key"}
)");
  ASSERT_TRUE(report.ok()) << report.status();
  const InstanceOptions& instance = report.config->instances[0];
  EXPECT_EQ(*instance.config->GetString("/api_key"), "hunter2");
  EXPECT_EQ(*instance.config->GetString("/headers/a"), "hunter2");
  EXPECT_EQ(*instance.config->GetString("/headers/b"),
            "file:/run/sly");  // What it says is a value.
  EXPECT_EQ(*instance.config->GetString("/headers/c"), "hunter3");
  EXPECT_THAT(instance.redacted_json, Not(HasSubstr("hunter")));
  EXPECT_THAT(instance.redacted_json, HasSubstr("file:${DIR}/${NAME}"));
  EXPECT_THAT(Summary(Validate("rest: {api_key: 'file:${NAME}/x'}\n")),
              ElementsAre("1 /rest/api_key bad_reference"));
}

TEST_F(ValidateTest, AListenerForOthersNeedsAWordAboutWhoMayCall) {
  constexpr char kListener[] =
      "instances: [{name: web, plugin: rest, config: {listen: \"0.0.0.0:8000\", api_key: "
      "\"${KEY}\"}}]\n";
  const auto codes = [&](const std::string& auth) {
    const ConfigReport report = Validate(kListener + auth);
    std::string found;
    for (const Finding& finding : report.findings) {
      if (finding.severity == FindingSeverity::kError) found += finding.code + " ";
    }
    return found;
  };
  EXPECT_THAT(codes(""), HasSubstr("open_to_all"));
  EXPECT_THAT(codes("auth: none\n"), Not(HasSubstr("open_to_all")));
  EXPECT_THAT(codes("auth: {}\n"), Not(HasSubstr("open_to_all")));
  // Nothing behind it means what the empty section means.
  const ConfigReport bare = Validate("auth:\n");
  ASSERT_TRUE(bare.ok());
  EXPECT_THAT(bare.config->sections_json, HasSubstr("\"mode\":\"required\""));
}

TEST_F(ValidateTest, AReferenceThatLeadsNowhereIsOneMistake) {
  const ConfigReport report = Validate(R"(rest:
  api_key: ${MISSING}
  base_url: file:/no/such
  timeout: ${A B}
  listen: "x${"
)");
  EXPECT_THAT(Summary(report),
              ElementsAre("2 /rest/api_key bad_reference", "3 /rest/base_url bad_reference",
                          "4 /rest/timeout bad_reference", "5 /rest/listen bad_reference"));
  EXPECT_THAT(report.findings[0].text, HasSubstr("MISSING is not set"));
}

TEST_F(ValidateTest, AReferenceOfTheWrongTypeShowsTheReferenceOnly) {
  environment_.variables = {{"PORT", "hunter2"}};
  const ConfigReport report = Validate("rest:\n  timeout: ${PORT}\n");
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_THAT(report.findings[0].text, HasSubstr("${PORT}"));
  EXPECT_THAT(report.findings[0].text, Not(HasSubstr("hunter2")));
}

TEST_F(ValidateTest, SecretsStayOutOfEverythingThatIsShown) {
  const ConfigReport report = Validate(R"(# the key is hunter2
rest:
  api_key: "hunter2"   # change me
  base_url: http://user:hunter3@host/
  pasword: hunter4
mqtt: {password: hunter5, token: [hunter6], tls: {key_password: "hunter7"}}
rsync:
  password: |
    hunter8
    hunter9
)");
  EXPECT_FALSE(report.ok());
  std::string shown = report.redacted_yaml;
  for (const Finding& finding : report.findings) shown += FormatFinding(finding) + "\n";
  EXPECT_THAT(shown, Not(HasSubstr("hunter")));
  EXPECT_THAT(shown, HasSubstr("<redacted>"));
  EXPECT_THAT(shown, HasSubstr("http://user:***@host/"));
}

TEST_F(ValidateTest, RedactionKeepsCommentsWhereItCan) {
  const ConfigReport report = Validate(
      "# my node\nrest: # road\n  api_key: 'it''s' # old\n  timeout: 5\nlog: {level: info}\n");
  EXPECT_EQ(report.redacted_yaml,
            "# my node\nrest: # road\n  api_key: \"<redacted>\" # old\n  timeout: 5\nlog: {level: "
            "info}\n");
}

TEST_F(ValidateTest, WhatWasRedactedCannotBeAppliedAgain) {
  const ConfigReport first = Validate("rest:\n  api_key: abc\n");
  ASSERT_TRUE(first.ok());
  EXPECT_THAT(Summary(Validate(first.redacted_yaml)),
              ElementsAre("2 /rest/api_key redacted_value"));
}

TEST_F(ValidateTest, PluginsThatAreMissingOrUnusableCostOnlyTheirInstance) {
  schemas_.Add("broken", "{");
  schemas_.Add("circle", R"({"$ref":"#"})");
  schemas_.errors["sick"] = absl::UnavailableError("wrong ABI major, 2");
  const ConfigReport report = Validate(R"(instances:
  - {name: a, plugin: rset, config: {x: 1}}
  - {name: b, plugin: broken}
  - {name: c, plugin: circle}
  - {name: d, plugin: sick}
  - {name: e, plugin: rest}
)");
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(Summary(report), ElementsAre("2 /instances/0/plugin plugin_not_installed",
                                           "3 /instances/1/plugin plugin_unusable",
                                           "4 /instances/2/plugin plugin_unusable",
                                           "5 /instances/3/plugin plugin_unusable"));
  EXPECT_THAT(report.findings[0].text, HasSubstr("did you mean \"rest\"?"));
  EXPECT_EQ(*report.config->instances[0].config->GetInteger("/x"), 1);
  EXPECT_THAT(report.config->instances[3].unavailable_reason, HasSubstr("wrong ABI major"));
  EXPECT_EQ(report.config->instances[4].unavailable_reason, "");
}

TEST_F(ValidateTest, TheRootMustBeASection) {
  EXPECT_THAT(Summary(Validate("- a\n")), ElementsAre("1  wrong_type"));
  EXPECT_THAT(Summary(Validate("hello\n")), ElementsAre("1  wrong_type"));
  EXPECT_THAT(Summary(Validate("instances: {a: 1}\n")), ElementsAre("1 /instances wrong_type"));
  EXPECT_THAT(Summary(Validate("instances: [5]\n")), ElementsAre("1 /instances/0 wrong_type"));
  EXPECT_THAT(Summary(Validate("rest: {}\ninstances: 5\n")),
              ElementsAre("2 /instances wrong_type"));
}

TEST_F(ValidateTest, TwoMistakesInOnePlaceAreTwoFindings) {
  EXPECT_THAT(Summary(Validate("instances:\n- {}\n")),
              ElementsAre("2 /instances/0/name missing_key", "2 /instances/0/plugin missing_key"));
}

TEST_F(ValidateTest, AMistakeBehindAnAliasIsOneFinding) {
  EXPECT_THAT(Summary(Validate("instances:\n"
                               "- {name: a, plugin: rest, config: &c {timeout: 0, time: 1}}\n"
                               "- {name: b, plugin: rest, config: *c}\n")),
              ElementsAre("2 /instances/0/config/timeout out_of_range",
                          "2 /instances/0/config/time unknown_key"));
}

TEST_F(ValidateTest, TheTimezoneMustExist) {
  EXPECT_THAT(Summary(Validate("node:\n  timezone: Mars/Olympus\n")),
              ElementsAre("2 /node/timezone bad_value"));
}

TEST_F(ValidateTest, DelaysMustAgree) {
  EXPECT_THAT(Summary(Validate("gateway: {retry: {initial_delay: 10s, max_delay: 5s}}\n")),
              ElementsAre("1 /gateway/retry/max_delay out_of_range"));
  EXPECT_THAT(Summary(Validate("gateway: {retry: {initial_delay: 5m}}\n")),
              ElementsAre("1 /gateway/retry/max_delay out_of_range"));
}

TEST_F(ValidateTest, AToolCanCheckOneConfig) {
  const ConfigReport good = ConfigValidator::ValidateAgainst("timeout: 5\n", "e.yaml", kRestSchema);
  EXPECT_EQ(good.error_count(), 0u);
  const ConfigReport bad =
      ConfigValidator::ValidateAgainst("{\"timeout\": 0}", "e.yaml", kRestSchema);
  EXPECT_THAT(Summary(bad), ElementsAre("1 /timeout out_of_range"));
  EXPECT_EQ(ConfigValidator::ValidateAgainst("a: 1", "e.yaml", "{").findings.at(0).code,
            "bad_schema");
}

TEST_F(ValidateTest, CompilesAPluginsSchemaOnce) {
  ConfigValidator validator(&schemas_, &environment_);
  ASSERT_TRUE(validator.Validate("rest: {timeout: 5}\n", "").ok());
  schemas_.Add("rest", R"({"additionalProperties":false})");  // A new version was installed.
  EXPECT_FALSE(validator.Validate("rest: {timeout: 5}\n", "").ok());
}

TEST_F(ValidateTest, APreviewIsGivenEvenOfABrokenDocument) {
  const ConfigPreview preview = PreviewConfig(
      "node: {data_dir: /data, id: '?'}\nplugins: {path: [/p, 5]}\nlog: {level: debug}\nx: 1\n",
      environment_);
  EXPECT_EQ(preview.data_dir, "/data");
  EXPECT_THAT(preview.plugin_path, ElementsAre("/p", "5"));
  EXPECT_EQ(preview.log.level, LogLevel::kDebug);
  EXPECT_EQ(PreviewConfig("a: [", environment_).data_dir, "/var/lib/viaduct");
  EXPECT_EQ(PreviewConfig("node: 5", environment_).data_dir, "/var/lib/viaduct");
}

}  // namespace
}  // namespace viaduct
