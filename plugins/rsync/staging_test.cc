#include "plugins/rsync/staging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/support/test_folder.h"

namespace viaduct::rsync {
namespace {

using support::Eventually;
using support::FilesBelow;
using support::ReadFile;
using support::WriteFile;
using ::testing::IsEmpty;
using ::testing::SizeIs;

ServerOptions Daemon() {
  ServerOptions server;
  server.daemon = true;
  server.host = "127.0.0.1";
  server.user = "u";
  server.password = "secret";
  return server;
}

class StagingTest : public ::testing::Test {
 protected:
  StagingTest() { setenv("TMPDIR", folder_.path().c_str(), 1); }
  ~StagingTest() override { unsetenv("TMPDIR"); }

  static std::unique_ptr<Staging> Make() {
    absl::StatusOr<std::unique_ptr<Staging>> staging = Staging::Make(Daemon());
    EXPECT_TRUE(staging.ok()) << staging.status();
    return staging.ok() ? *std::move(staging) : nullptr;
  }
  // A process that has a folder, and waits to be killed.
  pid_t Other() const {
    const pid_t pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // Also when a test is cut off.
      const std::unique_ptr<Staging> staging = Make();
      WriteFile(folder_ / "made", "");
      while (true) pause();
    }
    EXPECT_TRUE(Eventually([this] { return std::filesystem::exists(folder_ / "made"); }));
    std::filesystem::remove(folder_ / "made");
    return pid;
  }
  static void Kill(pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }

  support::TestFolder folder_;
};

TEST_F(StagingTest, IsGoneWithTheObject) {
  Make();
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(StagingTest, WhatAKilledProcessLeftIsRemovedByTheNext) {
  const pid_t pid = Other();
  const std::vector<std::string> left = FilesBelow(folder_.path());
  ASSERT_THAT(left, SizeIs(1));
  EXPECT_EQ(ReadFile(folder_ / left[0]), "secret\n");
  Make();
  EXPECT_EQ(FilesBelow(folder_.path()), left) << "it lives";
  Kill(pid);
  EXPECT_EQ(FilesBelow(folder_.path()), left);
  Make();
  EXPECT_THAT(FilesBelow(folder_.path()), IsEmpty());
}

TEST_F(StagingTest, NothingElseIsRemoved) {
  std::filesystem::create_directories(folder_ / "elsewhere");
  WriteFile(folder_ / "elsewhere/file", "");
  std::filesystem::create_symlink(folder_ / "elsewhere", folder_ / "viaduct-rsync-link01");
  WriteFile(folder_ / "viaduct-rsync-file01", "");
  std::filesystem::create_directory(folder_ / "viaduct-rsync-open01");
  std::filesystem::permissions(folder_ / "viaduct-rsync-open01", std::filesystem::perms(0755));
  if (geteuid() == 0) {
    std::filesystem::create_directory(folder_ / "viaduct-rsync-theirs");
    std::filesystem::permissions(folder_ / "viaduct-rsync-theirs", std::filesystem::perms(0700));
    ASSERT_EQ(chown((folder_ / "viaduct-rsync-theirs").c_str(), 59001, 59001), 0);
  }
  Make();
  for (const char* name :
       {"elsewhere/file", "viaduct-rsync-link01", "viaduct-rsync-file01", "viaduct-rsync-open01"}) {
    EXPECT_TRUE(std::filesystem::exists(folder_ / name)) << name;
  }
  EXPECT_EQ(std::filesystem::exists(folder_ / "viaduct-rsync-theirs"), geteuid() == 0);
}

TEST_F(StagingTest, TwoOfOneProcessLiveBesideEachOther) {
  const std::unique_ptr<Staging> one = Make();
  const std::unique_ptr<Staging> two = Make();
  EXPECT_TRUE(std::filesystem::exists(one->paths().staging));
  EXPECT_TRUE(std::filesystem::exists(two->paths().staging));
}

TEST_F(StagingTest, ASeedIsAnEmptyFileInTheFolderOfParts) {
  const std::unique_ptr<Staging> staging = Make();
  ASSERT_TRUE(staging->Seed("CAM1/.viaduct-partial/a").ok());
  const std::string path = staging->paths().staging + "/CAM1/.viaduct-partial/a";
  EXPECT_TRUE(std::filesystem::is_regular_file(path));
  EXPECT_EQ(std::filesystem::file_size(path), 0u);
  staging->Unlink("CAM1/.viaduct-partial/a");
  EXPECT_FALSE(std::filesystem::exists(staging->paths().staging + "/CAM1"));
  EXPECT_TRUE(std::filesystem::exists(staging->paths().staging + "/" + staging->paths().own));
}

}  // namespace
}  // namespace viaduct::rsync
