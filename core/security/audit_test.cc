#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/test_folder.h"
#include "core/security/audit_log.h"

namespace viaduct::security {
namespace {

using ::testing::HasSubstr;

AuditRecord Record(const std::string& what, const std::string& who = "user anna (password)") {
  return {who, what, "CAM001", "192.0.2.7:1", "ok"};
}

class AuditTest : public testing::Test {
 protected:
  void Open(const AuditFileOptions& options = AuditFileOptions()) {
    log_.reset();
    auto log = AuditLog::Open(folder_.path(), options, &clock_);
    ASSERT_TRUE(log.ok()) << log.status();
    log_ = std::move(*log);
  }
  void Write(int count) {
    for (int i = 0; i < count; ++i) {
      const absl::Status status = log_->AppendDurably(Record(absl::StrCat("change ", i)));
      ASSERT_TRUE(status.ok()) << status;
    }
  }
  absl::StatusOr<AuditReport> Verify(std::optional<AuditHead> noted = std::nullopt) {
    return VerifyAudit(folder_.path(), noted);
  }
  std::string Current() const { return folder_.File("audit.jsonl"); }
  std::string Text() const {
    std::ifstream file(Current(), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  void Replace(const std::string& text) const {
    std::ofstream(Current(), std::ios::binary | std::ios::trunc) << text;
  }
  std::vector<std::string> Lines() const { return absl::StrSplit(Text(), '\n', absl::SkipEmpty()); }

  TestFolder folder_;
  FakeClock clock_;
  std::unique_ptr<AuditLog> log_;
};

TEST_F(AuditTest, SaysWhoDidWhatFromWhere) {
  Open();
  ASSERT_TRUE(log_->AppendDurably(Record("login \"x\"\n", std::string("a\xff\0b", 4))).ok());
  const auto json = nlohmann::json::parse(Lines().at(0));
  EXPECT_EQ(json["seq"], 1);
  EXPECT_EQ(json["time"], "2024-01-15T10:30:00.000Z");
  EXPECT_EQ(json["what"], "login \"x\"\n");
  EXPECT_EQ(json["subject"], "CAM001");
  EXPECT_EQ(json["from"], "192.0.2.7:1");
  EXPECT_EQ(json["result"], "ok");
  struct stat facts {};
  ASSERT_EQ(::stat(Current().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
  EXPECT_TRUE(Verify().ok());
}

TEST_F(AuditTest, TheChainGoesOnAfterARestart) {
  Open();
  Write(3);
  Open();
  Write(2);
  const auto report = Verify(log_->head());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->records, 5u);
  EXPECT_EQ(report->head.sequence, 5u);
  EXPECT_EQ(report->head.hash, log_->head().hash);
}

TEST_F(AuditTest, EveryChangeIsSeen) {
  Open();
  Write(5);
  const AuditHead head = log_->head();
  log_.reset();
  const std::string good = Text();
  const std::vector<std::string> lines = Lines();
  const auto joined = [](std::vector<std::string> all) {
    std::string text;
    for (const std::string& line : all) text += line + "\n";
    return text;
  };
  for (size_t i = 0; i < good.size(); i += 7) {
    std::string changed = good;
    changed[i] = changed[i] == 'x' ? 'y' : 'x';
    Replace(changed);
    EXPECT_EQ(Verify().status().code(), absl::StatusCode::kDataLoss) << i;
  }
  std::vector<std::string> some = lines;
  some.erase(some.begin() + 2);
  Replace(joined(some));
  EXPECT_THAT(std::string(Verify().status().message()), HasSubstr("line 3"));
  some = lines;
  std::swap(some[1], some[2]);
  Replace(joined(some));
  EXPECT_FALSE(Verify().ok());
  some = lines;
  some.insert(some.begin() + 1, lines[0]);
  Replace(joined(some));
  EXPECT_FALSE(Verify().ok());
  some = lines;
  some.insert(some.begin() + 1, "");
  Replace(joined(some));
  EXPECT_FALSE(Verify().ok());
  Replace(good.substr(0, good.size() - 1));
  EXPECT_FALSE(Verify().ok());
  // What is cut off at the end is seen by whoever noted the head.
  some = lines;
  some.pop_back();
  Replace(joined(some));
  EXPECT_TRUE(Verify().ok());
  EXPECT_THAT(std::string(Verify(head).status().message()), HasSubstr("was noted"));
  // So is a whole chain that was made anew.
  AuditHead forged = audit::Beginning();
  std::string text;
  for (int i = 0; i < 5; ++i) text += audit::WriteLine(Record("harmless"), clock_.Now(), &forged);
  Replace(text);
  EXPECT_TRUE(Verify().ok());
  EXPECT_FALSE(Verify(head).ok());
  Replace(good);
  EXPECT_TRUE(Verify(head).ok());
}

TEST_F(AuditTest, ALineThatWasCutIsMendedAndThatIsRecorded) {
  Open();
  Write(3);
  log_.reset();
  const std::string good = Text();
  for (const size_t cut : {1u, 10u, 150u}) {
    Replace(good.substr(0, good.size() - cut));
    Open();
    EXPECT_THAT(Lines().back(), HasSubstr("unfinished record"));
    Write(1);
    log_.reset();
    const auto report = Verify();
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->records, 4u);  // Two whole ones, the mending, the new one.
  }
  Replace("{\"seq\":1");  // Not even one.
  Open();
  log_.reset();
  EXPECT_EQ(Verify()->records, 1u);
}

TEST_F(AuditTest, AnEndThatWasChangedBeginsANewChainAndSaysSo) {
  Open();
  Write(3);
  log_.reset();
  std::string changed = Text();
  changed[changed.rfind("change 2")] = 'X';
  Replace(changed);
  Open();
  Write(1);
  log_.reset();
  EXPECT_THAT(Lines().front(), HasSubstr("was changed"));
  EXPECT_EQ(Lines().size(), 2u);
  std::ifstream aside(folder_.File("damaged-1.jsonl"));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(aside), {}), changed);
  // Garbage without a line break is set aside, not cut away.
  Replace(std::string(100'000, 'x'));
  Open();
  log_.reset();
  EXPECT_EQ(::access(folder_.File("damaged-2.jsonl").c_str(), F_OK), 0);
}

TEST_F(AuditTest, RotatesAndKeepsSoMany) {
  AuditFileOptions options;
  options.max_file_bytes = 2'000;
  options.max_files = 3;
  Open(options);
  Write(40);
  const AuditHead middle = log_->head();
  Open(options);
  Write(3);
  const auto files = audit::ListFiles(folder_.path());
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(files->size(), 3u);
  const auto report = Verify(middle);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->head.sequence, 43u);
  EXPECT_GT(report->first, 1u);
  for (const std::string& name : *files) {
    struct stat facts {};
    ASSERT_EQ(::stat(folder_.File(name).c_str(), &facts), 0);
    EXPECT_LE(facts.st_size, 2'000);
    EXPECT_EQ(facts.st_mode & 0777, 0600u);
  }
  // A file between that is taken out is missed.
  ASSERT_EQ(::unlink(folder_.File((*files)[1]).c_str()), 0);
  EXPECT_FALSE(Verify().ok());
}

TEST_F(AuditTest, VerifiesWhileRecordsComeAndFilesGetFull) {
  AuditFileOptions options;
  options.max_file_bytes = 2'000;
  options.max_files = 4;
  Open(options);
  Write(30);
  std::thread writer([&] { Write(300); });
  for (int i = 0; i < 100; ++i) {
    const AuditHead head = log_->head();
    AuditReach reach;
    reach.last = head.sequence;
    const auto report = VerifyAudit(folder_.path(), std::nullopt, reach);
    ASSERT_TRUE(report.ok()) << report.status();
    // The files may all be newer by now.
    if (report->head.sequence == head.sequence) EXPECT_EQ(report->head.hash, head.hash);
  }
  writer.join();
  AuditReach nobody;
  nobody.go_on = [] { return false; };
  EXPECT_TRUE(absl::IsCancelled(VerifyAudit(folder_.path(), std::nullopt, nobody).status()));
}

TEST_F(AuditTest, LongFieldsAreCut) {
  Open();
  ASSERT_TRUE(log_->AppendDurably(Record(std::string(1'000'000, '\x01'))).ok());
  EXPECT_LT(Text().size(), audit::kMaxLineBytes);
  EXPECT_TRUE(Verify().ok());
}

TEST_F(AuditTest, ManyThreadsWriteOneChain) {
  Open();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) EXPECT_TRUE(log_->AppendDurably(Record("change")).ok());
      for (int i = 0; i < 100; ++i) EXPECT_TRUE(log_->Append(Record("login")));
    });
  }
  for (std::thread& thread : threads) thread.join();
  log_.reset();
  EXPECT_EQ(Verify()->records, 500u);
}

TEST_F(AuditTest, AFloodIsDroppedAndCounted) {
  Open();
  size_t kept = 0;
  size_t lost = 0;
  while (lost < 10 && kept < 3'000'000) ++(log_->Append(Record("login")) ? kept : lost);
  const uint64_t dropped = log_->dropped();
  log_.reset();
  const auto report = Verify();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(dropped, lost);
  EXPECT_EQ(lost, 10u);
  EXPECT_THAT(Text(), HasSubstr("records could not be kept"));
}

TEST_F(AuditTest, WhoDoesNotWaitIsToldOnceItIsOnDisk) {
  Open();
  std::atomic<int> told{0};
  for (int i = 0; i < 100; ++i) {
    log_->AppendThen(Record("change"), [&](const absl::Status& status) {
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_FALSE(Text().empty());
      ++told;
    });
  }
  log_.reset();
  EXPECT_EQ(told, 100);
  EXPECT_EQ(Verify()->records, 100u);
}

TEST_F(AuditTest, AFullDiskIsToldAndLeavesNoHalfLine) {
  Open();
  Write(2);
  log_.reset();
  // In a child: no file may grow past what there is, and a bit.
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{Text().size() + 100, Text().size() + 100};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto log = AuditLog::Open(folder_.path(), AuditFileOptions(), &clock_);
    if (!log.ok()) ::_exit(2);
    const bool told = !(*log)->AppendDurably(Record("too much")).ok();
    ::_exit(told && (*log)->dropped() == 1 ? 0 : 3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(Verify()->records, 2u);
}

#ifdef VIADUCT_TEST_HOOKS
TEST_F(AuditTest, WhatWasDurableIsThereAfterKill) {
  AuditFileOptions options;
  options.max_file_bytes = 1'500;
  for (const char* point : {"audit.written:6", "audit.rotate.before:1", "audit.rotate.after:1"}) {
    TestFolder folder;
    const pid_t child = ::fork();
    if (child == 0) {
      ::setenv("VIADUCT_CRASH_AT", point, 1);
      ::execl(VIADUCT_CRASH_CHILD, VIADUCT_CRASH_CHILD, "audit", folder.path().c_str(), "1500",
              nullptr);
      ::_exit(9);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << point;
    auto log = AuditLog::Open(folder.path(), options, &clock_);
    ASSERT_TRUE(log.ok()) << point << log.status();
    ASSERT_TRUE((*log)->AppendDurably(Record("after")).ok()) << point;
    const auto report = VerifyAudit(folder.path(), (*log)->head());
    ASSERT_TRUE(report.ok()) << point << report.status();
    EXPECT_GE(report->records, 4u) << point;
    EXPECT_EQ(report->first, 1u) << point;
  }
}
#endif

TEST_F(AuditTest, OneWriterAtATime) {
  Open();
  EXPECT_EQ(AuditLog::Open(folder_.path(), AuditFileOptions(), &clock_).status().code(),
            absl::StatusCode::kUnavailable);
  Write(1);
  Open();
  Write(1);
}

TEST_F(AuditTest, AFolderThatIsNotThere) {
  EXPECT_FALSE(AuditLog::Open(folder_.File("none"), AuditFileOptions(), &clock_).ok());
  EXPECT_FALSE(VerifyAudit(folder_.File("none"), std::nullopt).ok());
}

}  // namespace
}  // namespace viaduct::security
