// A real rsync daemon, as deploy/rsyncd has it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "plugins/rsync/tests/real_server.h"

namespace viaduct::rsync {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kEdge = 59001;

class DaemonTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "needs root: mounts and users for the daemon alone";
    const std::string viaduct = folder_ / "srv/viaduct";
    std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));
    std::filesystem::create_directories(incoming());
    ASSERT_EQ(chown(incoming().c_str(), kEdge, kEdge), 0);
    std::filesystem::copy("deploy/rsyncd/rsyncd.d", viaduct + "/rsyncd.d");
    WriteFile(viaduct + "/rsyncd.secrets", "cam001:right\ncam002:other\n");
    std::filesystem::permissions(viaduct + "/rsyncd.secrets", std::filesystem::perms(0600));
    Start();
  }
  void TearDown() override {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  std::string incoming() const { return folder_ / "srv/viaduct/edge/cam001/incoming"; }

  void Start() {
    port_ = FreePort();
    const std::string conf = std::filesystem::absolute("deploy/rsyncd/rsyncd.conf");
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // Also when a test is cut off.
      EnterOwnMounts();
      execl(kRsyncProgram, kRsyncProgram, "--daemon", "--no-detach", "--address=127.0.0.1",
            absl::StrCat("--port=", port_).c_str(), absl::StrCat("--config=", conf).c_str(),
            absl::StrCat("--log-file=", folder_ / "log").c_str(), nullptr);
      _exit(127);
    }
    ASSERT_TRUE(Eventually([this] { return Listens(port_); })) << ReadFile(folder_ / "log");
  }
  void EnterOwnMounts() const {
    if (unshare(CLONE_NEWNS) != 0) return;
    mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    mount("tmpfs", "/run", "tmpfs", 0, "mode=755");
    mount((folder_ / "srv").c_str(), "/srv", nullptr, MS_BIND, nullptr);
    for (const auto& [name, line] :
         {std::pair<std::string, std::string>{"passwd", ":x:59001:59001::/:/bin/sh\n"},
          {"group", ":x:59001:\n"}}) {
      WriteFile("/run/" + name, ReadFile("/etc/" + name) + "viaduct-edge" + line);
      mount(("/run/" + name).c_str(), ("/etc/" + name).c_str(), nullptr, MS_BIND, nullptr);
    }
  }
  ClientOptions Options() const {
    ClientOptions options;
    options.server.daemon = true;
    options.server.host = "127.0.0.1";
    options.server.port = port_;
    options.server.user = "cam001";
    options.server.password = "right";
    options.server.remote_path = "cam001";
    return options;
  }

  TestFolder folder_;
  TestFolder local_;
  int port_ = 0;
  pid_t pid_ = -1;
};

TEST_F(DaemonTest, FilesArriveInTheModuleOfTheDevice) {
  Road road(Options());
  ASSERT_TRUE(road.Ready()) << road.ended() << ReadFile(folder_ / "log");
  WriteFile(local_ / "a", Content(1'000'000, 1));
  const FileEnd end = road.Send(local_ / "a", "CAM1/2026/a b.jpg");
  EXPECT_EQ(end.outcome, FileOutcome::kDurable) << end.status << ReadFile(folder_ / "log");
  EXPECT_TRUE(ReadFile(incoming() + "/CAM1/2026/a b.jpg") == Content(1'000'000, 1));
  EXPECT_THAT(FilesBelow(incoming()), ElementsAre("CAM1/2026/a b.jpg"));
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
      absl::StrCat("RSYNC_PASSWORD=right rsync rsync://cam001@127.0.0.1:", port_);
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
  ASSERT_TRUE(road.client->Probe(kDeadline, [&](const absl::Status& s, absl::Duration) {
    absl::MutexLock lock(&mutex);
    status = s;
  }));
  EXPECT_TRUE(Eventually([&] {
    absl::MutexLock lock(&mutex);
    return status.ok();
  }));
}

}  // namespace
}  // namespace viaduct::rsync
