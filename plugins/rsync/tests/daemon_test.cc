// A real rsync daemon, as deploy/rsyncd has it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "plugins/rsync/tests/real_daemon.h"

namespace viaduct::rsync {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class DaemonTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "needs root: mounts and users for the daemon alone";
    daemon_ = std::make_unique<RealDaemon>();
  }
  ClientOptions Options() const { return daemon_->Options(); }
  std::string incoming() const { return daemon_->incoming(); }

  TestFolder local_;
  std::unique_ptr<RealDaemon> daemon_;
};

TEST_F(DaemonTest, FilesArriveInTheModuleOfTheDevice) {
  Road road(Options());
  ASSERT_TRUE(road.Ready()) << road.ended() << daemon_->log();
  WriteFile(local_ / "a", Content(1'000'000, 1));
  const FileEnd end = road.Send(local_ / "a", "CAM1/2026/a b.jpg");
  EXPECT_EQ(end.outcome, FileOutcome::kDurable) << end.status << daemon_->log();
  EXPECT_TRUE(ReadFile(incoming() + "/CAM1/2026/a b.jpg") == Content(1'000'000, 1));
  EXPECT_THAT(FilesBelow(incoming()), ElementsAre("CAM1/2026/a b.jpg"));
}

// It runs as another user, and removes what it has taken in.
TEST_F(DaemonTest, TheGroupOfTheNodeMayTakeWhatArrives) {
  Road road(Options());
  ASSERT_TRUE(road.Ready()) << road.ended() << daemon_->log();
  WriteFile(local_ / "a", "content");
  ASSERT_EQ(road.Send(local_ / "a", "CAM1/a").outcome, FileOutcome::kDurable) << daemon_->log();
  for (const auto& [name, mode] :
       {std::pair<std::string, mode_t>{"/CAM1", 0770}, {"/CAM1/a", 0660}}) {
    struct stat found {};
    ASSERT_EQ(stat((incoming() + name).c_str(), &found), 0) << name;
    EXPECT_EQ(found.st_mode & 07777, mode) << name;
    EXPECT_EQ(found.st_gid, RealDaemon::kNodeGroup) << name;
  }
}

TEST_F(DaemonTest, AFileThatChangedIsRemovedThereToo) {
  Road road(Options());
  ASSERT_TRUE(road.Ready()) << road.ended();
  WriteFile(local_ / "w", Content(2'000'000, 1));
  FileJob job = road.JobOf(local_ / "w", "CAM1/w");
  job.max_bytes_per_second = 1'000'000;
  ASSERT_TRUE(road.client->Begin(job).ok());
  ASSERT_TRUE(Eventually([&] { return road.moved(job.token) > 0; }));
  std::ofstream(local_ / "w", std::ios::app) << "more";
  EXPECT_EQ(road.EndOf(job.token).status.code(), absl::StatusCode::kAborted)
      << road.EndOf(job.token).status;
  EXPECT_FALSE(std::filesystem::exists(incoming() + "/CAM1/w"));
}

TEST_F(DaemonTest, OthersAreRefused) {
  const struct {
    const char* user;
    const char* password;
    const char* path;
    absl::StatusCode code;
  } kCases[] = {{"cam001", "wrong-one", "cam001", absl::StatusCode::kUnauthenticated},
                {"cam002", "other", "cam001", absl::StatusCode::kUnauthenticated},
                {"cam001", "right", "cam003", absl::StatusCode::kFailedPrecondition}};
  for (const auto& c : kCases) {
    ClientOptions options = Options();
    options.server.user = c.user;
    options.server.password = c.password;
    options.server.remote_path = c.path;
    Road road(options);
    EXPECT_EQ(road.End().code(), c.code) << road.ended();
    EXPECT_THAT(std::string(road.ended().message()), Not(HasSubstr("wrong-one")));
  }
}

TEST_F(DaemonTest, DevicesReadAndListNothing) {
  WriteFile(incoming() + "/secret", "x");
  const std::string rsync =
      absl::StrCat("RSYNC_PASSWORD=right rsync rsync://cam001@127.0.0.1:", daemon_->port());
  EXPECT_NE(std::system(absl::StrCat(rsync, "/cam001/secret ", local_ / "got 2>/dev/null").c_str()),
            0);
  EXPECT_FALSE(std::filesystem::exists(local_ / "got"));
  EXPECT_EQ(std::system(absl::StrCat(rsync, "/ > ", local_ / "list").c_str()), 0);
  EXPECT_EQ(ReadFile(local_ / "list"), "");
}

TEST_F(DaemonTest, IsMeasuredByItsGreeting) {
  Road road(Options());
  ASSERT_TRUE(road.Ready());
  absl::Mutex mutex;
  absl::Status status = absl::UnknownError("");
  ASSERT_TRUE(road.client->Probe(
      kDeadline, [&](const absl::Status& s, absl::Duration, const ProbeCost& spent) {
        absl::MutexLock lock(&mutex);
        EXPECT_GE(spent.received, sizeof("@RSYNCD: 31"));
        status = s;
      }));
  EXPECT_TRUE(Eventually([&] {
    absl::MutexLock lock(&mutex);
    return status.ok();
  }));
}

}  // namespace
}  // namespace viaduct::rsync
