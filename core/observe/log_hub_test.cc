#include "core/observe/log_hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class LogHubTest : public ::testing::Test {
 protected:
  LogHubTest() : file_(std::tmpfile()) {}
  ~LogHubTest() override { std::fclose(file_); }

  LogHubOptions Options(LogFormat format = LogFormat::kJson) {
    LogHubOptions options;
    options.format = format;
    options.stream = file_;
    return options;
  }

  std::string Written() {
    std::fflush(file_);
    std::rewind(file_);
    std::string text(1 << 20, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), file_));
    std::fseek(file_, 0, SEEK_END);
    return text;
  }

  std::vector<std::string> Messages(const std::vector<LogRecord>& records) {
    std::vector<std::string> out;
    for (const LogRecord& record : records) out.push_back(record.message);
    return out;
  }

  FakeClock clock_;
  std::FILE* file_;
};

TEST_F(LogHubTest, WritesOneJsonObjectPerLine) {
  LogHub hub(Options(), &clock_);
  hub.Info("spool", "opened", {{"messages", "12"}, {"path", "/var/lib/a \"b\""}});
  EXPECT_EQ(Written(),
            "{\"time\":\"2024-01-15T10:30:00.000Z\",\"level\":\"info\",\"component\":\"spool\","
            "\"message\":\"opened\",\"messages\":\"12\",\"path\":\"/var/lib/a \\\"b\\\"\"}\n");
}

TEST_F(LogHubTest, WritesTextForPeople) {
  LogHub hub(Options(LogFormat::kText), &clock_);
  hub.Warning("instance/http", "peer is slow", {{"peer", "10.0.0.1:80"}, {"why", "no answer"}});
  EXPECT_EQ(Written(),
            "2024-01-15T10:30:00.000Z warning instance/http: peer is slow peer=10.0.0.1:80 "
            "why=\"no answer\"\n");
}

TEST_F(LogHubTest, PrefixesThePriorityForTheJournal) {
  LogHubOptions options = Options(LogFormat::kText);
  options.journald_prefix = true;
  LogHub hub(options, &clock_);
  hub.Error("node", "bad");
  EXPECT_EQ(Written().substr(0, 3), "<3>");
}

TEST_F(LogHubTest, NothingInARecordBreaksOutOfItsLine) {
  const std::string evil =
      "a\nlevel=error \x1b[2J\r\x7f\xc2\x85\xe2\x80\xae\xff\xc0\xaf\xed\xa0\x80";
  for (const LogFormat format : {LogFormat::kJson, LogFormat::kText}) {
    LogRecord record;
    record.component = evil;
    record.message = evil;
    record.fields = {{evil, evil}};
    const std::string line = FormatLogLine(record, format);
    for (const char c : line) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << line;
    EXPECT_THAT(line, Not(HasSubstr("\x7f")));
    EXPECT_THAT(line, Not(HasSubstr("\xc2\x85")));
    EXPECT_THAT(line, Not(HasSubstr("\xe2\x80\xae")));
    EXPECT_THAT(line, HasSubstr("\\u001b[2J"));
    EXPECT_THAT(line, HasSubstr("\xEF\xBF\xBD"));
    EXPECT_THAT(line, Not(HasSubstr("\xff")));
  }
}

TEST_F(LogHubTest, AFieldCannotPassItselfOffAsTheLevel) {
  LogRecord record;
  record.fields = {{"level", "error"}, {"time", "now"}};
  const std::string line = FormatLogLine(record, LogFormat::kJson);
  EXPECT_THAT(line, HasSubstr("\"_level\":\"error\",\"_time\":\"now\""));
}

TEST_F(LogHubTest, CutsWhatIsTooLongAtACharacter) {
  LogHub hub(Options(), &clock_);
  std::string message(LogHub::kMaxMessageBytes - 1, 'x');
  message.append("\xc3\xa4zzz");
  hub.Info("node", message);
  const LogRecord record = hub.Recent(1, {}).at(0);
  EXPECT_EQ(record.message, std::string(LogHub::kMaxMessageBytes - 1, 'x') + "...");
}

TEST_F(LogHubTest, LevelOfAComponentCoversThoseBelowIt) {
  LogHubOptions options = Options();
  options.levels = {{"instance", LogLevel::kDebug}, {"instance/http", LogLevel::kError}};
  LogHub hub(options, &clock_);
  EXPECT_TRUE(hub.Enabled(LogLevel::kDebug, "instance/mqtt"));
  EXPECT_FALSE(hub.Enabled(LogLevel::kWarning, "instance/http"));
  EXPECT_FALSE(hub.Enabled(LogLevel::kDebug, "instances"));
  EXPECT_TRUE(hub.Enabled(LogLevel::kInfo, "spool"));
}

TEST_F(LogHubTest, ALevelSetForAWhileGoesBackByItself) {
  LogHub hub(Options(), &clock_);
  ASSERT_TRUE(hub.SetLevel("spool", LogLevel::kTrace, absl::Seconds(60)).ok());
  EXPECT_TRUE(hub.Enabled(LogLevel::kTrace, "spool"));
  clock_.JumpWall(absl::Hours(100));  // The wall clock has no say in it.
  EXPECT_TRUE(hub.Enabled(LogLevel::kTrace, "spool"));
  auto levels = hub.GetLevels();
  ASSERT_THAT(levels, SizeIs(2));
  EXPECT_EQ(levels[1].component, "spool");
  EXPECT_EQ(levels[1].expires_in, absl::Seconds(60));
  clock_.Advance(absl::Seconds(60));
  EXPECT_FALSE(hub.Enabled(LogLevel::kTrace, "spool"));
  EXPECT_THAT(hub.GetLevels(), SizeIs(1));
}

TEST_F(LogHubTest, ResetGoesBackToTheConfiguration) {
  LogHubOptions options = Options();
  options.levels = {{"spool", LogLevel::kWarning}};
  LogHub hub(options, &clock_);
  ASSERT_TRUE(hub.SetLevel("spool", LogLevel::kDebug, absl::ZeroDuration()).ok());
  ASSERT_TRUE(hub.SetLevel("", LogLevel::kError, absl::ZeroDuration()).ok());
  hub.Configure(LogLevel::kDebug, {});  // A new configuration does not undo them.
  EXPECT_TRUE(hub.Enabled(LogLevel::kDebug, "spool"));
  EXPECT_FALSE(hub.Enabled(LogLevel::kInfo, "node"));
  hub.ResetLevel("spool");
  EXPECT_FALSE(hub.Enabled(LogLevel::kDebug, "spool"));
  hub.ResetLevel("");
  EXPECT_TRUE(hub.Enabled(LogLevel::kDebug, "node"));
}

TEST_F(LogHubTest, RefusesBadLevels) {
  LogHub hub(Options(), &clock_);
  EXPECT_EQ(hub.SetLevel("a b", LogLevel::kInfo, absl::ZeroDuration()).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(hub.SetLevel("a", LogLevel::kInfo, absl::Hours(25)).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(hub.SetLevel("a", LogLevel::kInfo, -absl::Seconds(1)).code(),
            absl::StatusCode::kInvalidArgument);
  for (size_t i = 0; i < LogHub::kMaxLevels; ++i) {
    ASSERT_TRUE(hub.SetLevel(absl::StrCat("c", i), LogLevel::kInfo, absl::ZeroDuration()).ok());
  }
  EXPECT_EQ(hub.SetLevel("more", LogLevel::kInfo, absl::ZeroDuration()).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(ParseLogLevel("loud").ok());
  EXPECT_EQ(*ParseLogLevel("warn"), LogLevel::kWarning);
}

TEST_F(LogHubTest, KeepsTheLatestRecordsOnly) {
  LogHub hub(Options(), &clock_);
  for (size_t i = 0; i < LogHub::kMaxRingRecords + 5; ++i) hub.Info("node", absl::StrCat("m", i));
  const auto records = hub.Recent(10'000, {});
  ASSERT_THAT(records, SizeIs(LogHub::kMaxRingRecords));
  EXPECT_EQ(records.front().message, "m5");
  EXPECT_EQ(records.back().sequence, LogHub::kMaxRingRecords + 5);
}

TEST_F(LogHubTest, TailGetsThePastAndThenWhatComes) {
  LogHub hub(Options(), &clock_);
  hub.Info("instance/a", "one");
  hub.Info("spool", "hidden");
  hub.Info("instance/b", "two");
  std::atomic<int> told{0};
  LogFilter filter;
  filter.component = "instance";
  auto tail = hub.Subscribe(filter, 1, [&] { ++told; });
  ASSERT_TRUE(tail.ok());
  EXPECT_EQ(told, 1);
  uint64_t missed = 99;
  EXPECT_THAT(Messages((*tail)->Take(&missed)), ElementsAre("two"));
  EXPECT_EQ(missed, 0u);
  hub.Info("instance/a", "three");
  hub.Info("instance/a", "four");
  EXPECT_EQ(told, 2);  // Once until taken.
  EXPECT_THAT(Messages((*tail)->Take(&missed)), ElementsAre("three", "four"));
}

TEST_F(LogHubTest, ASlowTailIsToldHowManyItLost) {
  LogHub hub(Options(), &clock_);
  auto tail = hub.Subscribe({}, 0, nullptr);
  ASSERT_TRUE(tail.ok());
  for (size_t i = 0; i < LogHub::kMaxPendingPerSubscriber + 7; ++i) {
    hub.Info("node", absl::StrCat("m", i));
  }
  uint64_t missed = 0;
  const auto records = (*tail)->Take(&missed);
  EXPECT_EQ(missed, 7u);
  ASSERT_THAT(records, SizeIs(LogHub::kMaxPendingPerSubscriber));
  EXPECT_EQ(records.front().message, "m7");
  (*tail)->Take(&missed);
  EXPECT_EQ(missed, 0u);
}

TEST_F(LogHubTest, SubscribersAreBounded) {
  LogHub hub(Options(), &clock_);
  std::vector<std::unique_ptr<LogSubscription>> tails;
  for (size_t i = 0; i < LogHub::kMaxSubscribers; ++i) {
    tails.push_back(*hub.Subscribe({}, 0, nullptr));
  }
  EXPECT_EQ(hub.Subscribe({}, 0, nullptr).status().code(), absl::StatusCode::kResourceExhausted);
  tails.pop_back();
  EXPECT_TRUE(hub.Subscribe({}, 0, nullptr).ok());
}

TEST_F(LogHubTest, HoldsBackWhatRepeatsAndSaysHowOften) {
  LogHub hub(Options(), &clock_);
  for (int i = 0; i < 1000; ++i) hub.Warning("gateway", "link is down");
  hub.Warning("gateway", "another thing");
  EXPECT_EQ(hub.suppressed(), 1000u - LogHub::kMaxRepeats);
  EXPECT_THAT(hub.Recent(1000, {}), SizeIs(LogHub::kMaxRepeats + 1));
  clock_.Advance(LogHub::kRepeatWindow);
  hub.Warning("gateway", "link is down");
  const LogRecord record = hub.Recent(1, {}).at(0);
  ASSERT_THAT(record.fields, SizeIs(1));
  EXPECT_EQ(record.fields[0].first, "suppressed");
  EXPECT_EQ(record.fields[0].second, absl::StrCat(1000 - LogHub::kMaxRepeats));
}

TEST_F(LogHubTest, NothingHoldsAnAuditRecordBack) {
  LogHubOptions options = Options();
  options.level = LogLevel::kOff;
  options.levels = {{"audit", LogLevel::kOff}};
  LogHub hub(options, &clock_);
  EXPECT_TRUE(hub.SetLevel("", LogLevel::kOff, absl::ZeroDuration()).ok());
  const absl::Status refused = hub.SetLevel("audit", LogLevel::kOff, absl::ZeroDuration());
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  for (uint32_t i = 0; i < 2 * LogHub::kMaxRepeats; ++i) {
    hub.Audit("changing call", {{"number", absl::StrCat(i)}});
  }
  const std::vector<std::string> lines = absl::StrSplit(Written(), '\n', absl::SkipEmpty());
  EXPECT_THAT(lines, SizeIs(2 * LogHub::kMaxRepeats));
  EXPECT_THAT(lines.back(), HasSubstr("\"level\":\"info\",\"component\":\"audit\""));
  EXPECT_THAT(hub.Recent(1000, {LogLevel::kInfo, "audit"}), SizeIs(2 * LogHub::kMaxRepeats));
}

TEST_F(LogHubTest, ManyThreadsLogAndTailAtOnce) {
  LogHub hub(Options(), &clock_);
  constexpr int kThreads = 4;
  constexpr int kEach = 200;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&hub, t] {
      for (int i = 0; i < kEach; ++i) {
        hub.Info(absl::StrCat("t", t), absl::StrCat("m", i));
        if (i % 50 == 0) hub.SetLevel("x", LogLevel::kDebug, absl::Seconds(1)).IgnoreError();
        auto tail = hub.Subscribe({}, 3, [] {});
        if (tail.ok()) (*tail)->Take(nullptr);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const std::vector<std::string> lines = absl::StrSplit(Written(), '\n', absl::SkipEmpty());
  EXPECT_THAT(lines, SizeIs(kThreads * kEach));
  uint64_t last = 0;
  for (const LogRecord& record : hub.Recent(1000, {})) {
    EXPECT_EQ(record.sequence, ++last);
  }
  EXPECT_EQ(last, static_cast<uint64_t>(kThreads * kEach));
}

}  // namespace
}  // namespace viaduct
