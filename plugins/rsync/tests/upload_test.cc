// What arrives, and how, at a real sshd.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "plugins/rsync/tests/real_server.h"

namespace viaduct::rsync {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAreArray;

class UploadTest : public ::testing::Test {
 protected:
  UploadTest() { setenv("TMPDIR", temporary_.path().c_str(), 1); }
  ~UploadTest() override { unsetenv("TMPDIR"); }

  std::string Local(const std::string& name, const std::string& content) {
    WriteFile(local_ / name, content);
    return local_ / name;
  }
  std::string Remote(const std::string& name) const {
    return ReadFile(server_.incoming() + "/" + name);
  }

  size_t Sessions() const {
    size_t count = 0;
    std::ifstream log(server_.folder() / "log");
    for (std::string line; std::getline(log, line);) {
      if (line.find("Accepted publickey") != std::string::npos) ++count;
    }
    return count;
  }
  bool HasControlSocket() const {
    for (const auto& entry : std::filesystem::directory_iterator(temporary_.path())) {
      const bool ours = absl::StartsWith(entry.path().filename().string(), "viaduct-rsync-");
      if (ours && std::filesystem::exists(entry.path() / "session")) return true;
    }
    return false;
  }

  TestFolder temporary_;
  TestFolder local_;
  RealServer server_;
};

TEST_F(UploadTest, ArrivesCompleteUnderItsName) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready()) << road.ended();
  EXPECT_TRUE(road.fsync());
  const std::string content = Content(3'000'000, 1);
  const FileEnd end = road.Send(Local("a.jpg", content), "CAM1/2026/01/02/a.jpg");
  EXPECT_EQ(end.outcome, FileOutcome::kDurable) << end.status;
  EXPECT_EQ(end.durable_offset, content.size());
  EXPECT_EQ(end.sha256, DigestOf(content));
  EXPECT_TRUE(Remote("CAM1/2026/01/02/a.jpg") == content);
  EXPECT_THAT(FilesBelow(server_.incoming()), ElementsAre("CAM1/2026/01/02/a.jpg"));
}

TEST_F(UploadTest, WhatIsBegunMeanwhileGoesWithTheNextRun) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  std::vector<std::string> names;
  std::vector<FileJob> jobs;
  for (uint32_t i = 0; i < 60; ++i) {
    names.push_back(absl::StrCat("CAM1/2026/", i % 3, "/", i, ".jpg"));
    jobs.push_back(road.JobOf(Local(std::to_string(i), Content(1000 * i, i)), names.back()));
  }
  for (const FileJob& job : jobs) ASSERT_TRUE(road.client->Begin(job).ok());
  for (const FileJob& job : jobs) {
    EXPECT_EQ(road.EndOf(job.token).outcome, FileOutcome::kDurable) << road.EndOf(job.token).status;
    EXPECT_TRUE(Remote(job.remote_name) == ReadFile(job.local_path)) << job.remote_name;
  }
  EXPECT_THAT(FilesBelow(server_.incoming()), UnorderedElementsAreArray(names));
  EXPECT_EQ(road.client->stats().files, 60u);
  EXPECT_LE(road.client->stats().runs, 3u);
}

TEST_F(UploadTest, NamesThatShellsAndOptionsWouldMisread) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  std::vector<std::string> names = {"-rf",       "a b/c d",  "*",      "$(id)",    "`id`;id",
                                    "\"q\" 'q'", "back\\s",  "ä/ü €",  "..hidden", "-o/-i",
                                    "#comment",  ";comment", "a:b",    "\\#007",   "host::mod/x",
                                    "[a-z]?",    " lead",    "trail ", "~/x",      "rsync://h/m"};
  names.back() = "rsync:/h/m";
  std::vector<FileJob> jobs;
  for (const std::string& name : names) {
    jobs.push_back(road.JobOf(Local(std::to_string(jobs.size()), Content(10, 3)), name));
    ASSERT_TRUE(road.client->Begin(jobs.back()).ok());
  }
  for (const FileJob& job : jobs) {
    EXPECT_EQ(road.EndOf(job.token).outcome, FileOutcome::kDurable)
        << job.remote_name << road.EndOf(job.token).status;
  }
  EXPECT_THAT(FilesBelow(server_.incoming()), UnorderedElementsAreArray(names));
}

TEST_F(UploadTest, ReplacesWhatBearsTheNameWhateverItsTime) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  for (const uint32_t seed : {1u, 2u}) {
    const std::string path = Local("a", Content(5000, seed));
    std::filesystem::last_write_time(path, std::filesystem::file_time_type());
    EXPECT_EQ(road.Send(path, "CAM1/a").outcome, FileOutcome::kDurable);
    EXPECT_TRUE(Remote("CAM1/a") == Content(5000, seed)) << seed;
  }
}

TEST_F(UploadTest, TwoOfOneNameComeOneAfterTheOther) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  const FileJob first = road.JobOf(Local("1", Content(400'000, 1)), "CAM1/a");
  const FileJob second = road.JobOf(Local("2", Content(300'000, 2)), "CAM1/a");
  ASSERT_TRUE(road.client->Begin(first).ok());
  ASSERT_TRUE(road.client->Begin(second).ok());
  EXPECT_EQ(road.EndOf(first.token).outcome, FileOutcome::kDurable);
  EXPECT_EQ(road.EndOf(second.token).outcome, FileOutcome::kDurable);
  EXPECT_TRUE(Remote("CAM1/a") == Content(300'000, 2));
}

TEST_F(UploadTest, KeepsToTheLimitOfAJob) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  FileJob job = road.JobOf(Local("a", Content(600'000, 1)), "CAM1/a");
  job.max_bytes_per_second = 400'000;
  const absl::Time begun = absl::Now();
  EXPECT_EQ(road.Send(job).outcome, FileOutcome::kDurable);
  EXPECT_GT(absl::Now() - begun, absl::Seconds(1));
  EXPECT_GT(road.moved(job.token), 0u);
}

TEST_F(UploadTest, RunsShareOneSession) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready()) << road.ended();
  for (uint32_t i = 0; i < 4; ++i) {
    const std::string name = std::to_string(i);
    EXPECT_EQ(road.Send(Local(name, Content(10'000, i)), name).outcome, FileOutcome::kDurable);
  }
  EXPECT_EQ(Sessions(), 1u);
  EXPECT_EQ(road.client->stats().runs, 4u);
}

TEST_F(UploadTest, ASessionThatIsLostBetweenFilesIsBegunAnew) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready()) << road.ended();
  ASSERT_TRUE(HasControlSocket());
  server_.KillSessions();
  ASSERT_TRUE(Eventually([this] { return !HasControlSocket(); }));
  EXPECT_EQ(road.Send(Local("a", Content(10'000, 1)), "a").outcome, FileOutcome::kDurable);
  EXPECT_EQ(road.Send(Local("b", Content(10'000, 2)), "b").outcome, FileOutcome::kDurable);
}

TEST_F(UploadTest, IsMeasured) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  absl::Mutex mutex;
  absl::Status status = absl::UnknownError("");
  ASSERT_TRUE(road.client->Probe(
      kDeadline, [&](const absl::Status& s, absl::Duration round_trip, const ProbeCost& spent) {
        absl::MutexLock lock(&mutex);
        EXPECT_GE(spent.received, sizeof("SSH-2.0"));
        EXPECT_GT(round_trip, absl::ZeroDuration());
        status = s;
      }));
  EXPECT_TRUE(Eventually([&] {
    absl::MutexLock lock(&mutex);
    return status.ok();
  }));
}

}  // namespace
}  // namespace viaduct::rsync
