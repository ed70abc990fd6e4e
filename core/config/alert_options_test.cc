#include "core/config/alert_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/config/test_environment.h"
#include "core/config/validate.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class AlertOptionsTest : public ::testing::Test {
 protected:
  ConfigReport Validate(const std::string& yaml) {
    return ConfigValidator(&schemas_, &environment_).Validate(yaml, "f.yaml");
  }
  AlertOptions Read(const std::string& yaml) {
    const ConfigReport report = Validate(yaml);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? ReadAlertOptions(*report.config) : AlertOptions();
  }
  static const AlertRule& RuleOf(const AlertOptions& options, AlertKind kind) {
    return options.rules[static_cast<size_t>(kind)];
  }

  FakeSchemas schemas_;
  FakeEnvironment environment_;
};

TEST_F(AlertOptionsTest, EveryRuleIsOnByDefaultAndHasASensibleThreshold) {
  const AlertOptions options = Read("{}");
  for (const AlertRule& rule : options.rules) EXPECT_TRUE(rule.enabled);
  EXPECT_EQ(RuleOf(options, AlertKind::kLinkErrors).raise, 0.5);
  EXPECT_EQ(RuleOf(options, AlertKind::kLinkErrors).clear, 0.2);
  EXPECT_EQ(options.error_window, absl::Minutes(1));
  EXPECT_EQ(options.min_messages, 5u);
  EXPECT_EQ(RuleOf(options, AlertKind::kLinkDown).raise, 1);
  EXPECT_EQ(RuleOf(options, AlertKind::kLinkDown).clear, 0);
  EXPECT_EQ(RuleOf(options, AlertKind::kLinkDown).hold, absl::Minutes(2));
  EXPECT_EQ(RuleOf(options, AlertKind::kLinkDown).clear_hold, absl::Seconds(10));
  EXPECT_EQ(RuleOf(options, AlertKind::kBacklogAge).raise, 900);
  EXPECT_EQ(RuleOf(options, AlertKind::kBacklogAge).clear, 300);
  EXPECT_EQ(RuleOf(options, AlertKind::kBacklogBytes).raise, 0.8);
  EXPECT_EQ(RuleOf(options, AlertKind::kDiskFree).raise, 0.05);
  EXPECT_EQ(RuleOf(options, AlertKind::kDiskFree).clear, 0.1);
  EXPECT_EQ(RuleOf(options, AlertKind::kDeadLetters).raise, 1);
  EXPECT_EQ(RuleOf(options, AlertKind::kDeadLetters).clear, 0);
  EXPECT_EQ(RuleOf(options, AlertKind::kFailedFiles).raise, 1);
  EXPECT_EQ(RuleOf(options, AlertKind::kFilesBytes).raise, 0.8);
  EXPECT_EQ(RuleOf(options, AlertKind::kFilesBytes).hold, absl::Seconds(30));
  EXPECT_EQ(RuleOf(options, AlertKind::kDeviceQuota).raise, 1);
  EXPECT_EQ(RuleOf(options, AlertKind::kDeviceQuota).clear, 0);
  EXPECT_FALSE(options.webhook.has_value());
}

TEST_F(AlertOptionsTest, ReadsWhatIsGiven) {
  environment_.variables["HOOK_TOKEN"] = "s3cret";
  const AlertOptions options = Read(R"(
node: {data_dir: /data}
alerts:
  link_down: {hold: 5s, clear_hold: 1s}
  backlog_age: {raise: 1h, clear: 30m}
  dead_letters: {enabled: false}
  webhook: {url: "https://ops.example.org/a?b=c", token: "${HOOK_TOKEN}", ca_file: ca.pem, timeout: 2s}
)");
  EXPECT_EQ(RuleOf(options, AlertKind::kLinkDown).hold, absl::Seconds(5));
  EXPECT_EQ(RuleOf(options, AlertKind::kBacklogAge).raise, 3600);
  EXPECT_FALSE(RuleOf(options, AlertKind::kDeadLetters).enabled);
  ASSERT_TRUE(options.webhook.has_value());
  EXPECT_EQ(options.webhook->url, "https://ops.example.org/a?b=c");
  EXPECT_EQ(options.webhook->token, "s3cret");
  EXPECT_EQ(options.webhook->ca_file, "/data/ca.pem");
  EXPECT_EQ(options.webhook->timeout, absl::Seconds(2));
}

TEST_F(AlertOptionsTest, SwitchedOffNothingIsLookedForAndNothingSent) {
  const AlertOptions options =
      Read("alerts: {enabled: false, webhook: {url: \"http://127.0.0.1:1/\"}}\n");
  for (const AlertRule& rule : options.rules) EXPECT_FALSE(rule.enabled);
  EXPECT_FALSE(options.webhook.has_value());
}

TEST_F(AlertOptionsTest, EveryMistakeIsReportedWithItsPlace) {
  const ConfigReport report = Validate(R"(alerts:
  link_errors: {raise: 0.2}
  disk_free:
    raise: 0.3
  backlog_age: {raise: 10s, clear: 1m}
  backlog_bytes: {raise: 80}
  link_down: {hold: 5}
  dead_letter: {raise: 3}
  webhook: {url: "ftp://x", timeout: 1ms}
)");
  EXPECT_FALSE(report.ok());
  std::vector<std::string> found;
  for (const Finding& finding : report.findings) {
    found.push_back(absl::StrCat(finding.line, " ", finding.pointer, " ", finding.code));
  }
  EXPECT_THAT(
      found,
      ElementsAre(
          "2 /alerts/link_errors/clear out_of_range", "4 /alerts/disk_free/clear out_of_range",
          "5 /alerts/backlog_age/clear out_of_range", "6 /alerts/backlog_bytes/raise out_of_range",
          "7 /alerts/link_down/hold bad_duration", "8 /alerts/dead_letter unknown_key",
          "9 /alerts/webhook/url bad_value", "9 /alerts/webhook/timeout out_of_range"));
}

TEST_F(AlertOptionsTest, ATokenOrCredentialsAreNeverShown) {
  const ConfigReport report =
      Validate("alerts: {webhook: {url: \"http://h/\", token: very-s3cret}}\n");
  EXPECT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report.redacted_yaml, Not(HasSubstr("very-s3cret")));
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].code, "plain_secret");
  EXPECT_FALSE(Validate("alerts: {webhook: {url: \"http://a:b@h/\"}}\n").ok());
}

}  // namespace
}  // namespace viaduct
