// What goes wrong on either side while files are on their way: a clear word, and never a wrong
// file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "plugins/rsync/tests/real_server.h"

namespace viaduct::rsync {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int kCam = 59001;
// Of "right", by openssl passwd -6.
constexpr char kHash[] =
    "$6$viaduct$PLAloJkpwP7zx1r821t4DR4n/MAq8lUYAFweA8Br58mjyLNyk"
    "H4hhq.YmLnDEnu0lPcsHzSQvA6Bk9SJPXU/1.";

class FaultsTest : public ::testing::Test {
 protected:
  std::string Local(const std::string& name, const std::string& content) {
    WriteFile(local_ / name, content);
    return local_ / name;
  }

  TestFolder local_;
  RealServer server_;
};

TEST_F(FaultsTest, LocalFilesThatCanNotBeSent) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  const std::string path = Local("a", Content(1000, 1));
  FileJob gone = road.JobOf(path, "CAM1/a");
  gone.local_path = local_ / "none";
  FileJob link = road.JobOf(path, "CAM1/b");
  std::filesystem::create_symlink(path, local_ / "link");
  link.local_path = local_ / "link";
  FileJob longer = road.JobOf(path, "CAM1/c");
  longer.size = 2000;
  FileJob changed = road.JobOf(path, "CAM1/d");
  changed.sha256 = DigestOf("another");
  const struct {
    FileJob job;
    absl::StatusCode code;
  } kCases[] = {{gone, absl::StatusCode::kNotFound},
                {link, absl::StatusCode::kInvalidArgument},
                {longer, absl::StatusCode::kAborted},
                {changed, absl::StatusCode::kAborted}};
  for (const auto& c : kCases) {
    const FileEnd end = road.Send(c.job);
    EXPECT_EQ(end.outcome, FileOutcome::kReject) << end.status;
    EXPECT_EQ(end.status.code(), c.code) << end.status;
  }
  EXPECT_EQ(road.client->stats().runs, 0u);
  EXPECT_THAT(FilesBelow(server_.incoming()), IsEmpty());
}

TEST_F(FaultsTest, AFileThatChangesWhileItIsSentDoesNotStay) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  for (const bool shorter : {false, true}) {
    const std::string path = Local("w", Content(3'000'000, shorter ? 1 : 2));
    FileJob job = road.JobOf(path, "CAM1/w");
    job.max_bytes_per_second = 1'500'000;
    ASSERT_TRUE(road.client->Begin(job).ok());
    ASSERT_TRUE(Eventually([&] { return road.moved(job.token) > 0; }));
    if (shorter) {
      std::filesystem::resize_file(path, 2'900'000);
    } else {
      std::ofstream(path, std::ios::app) << "more";
    }
    const FileEnd end = road.EndOf(job.token);
    EXPECT_EQ(end.outcome, FileOutcome::kReject);
    EXPECT_EQ(end.status.code(), absl::StatusCode::kAborted) << end.status;
    EXPECT_FALSE(std::filesystem::exists(server_.incoming() + "/CAM1/w"));
  }
}

TEST_F(FaultsTest, AFileThatVanishesWhileItIsSentArrives) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  FileJob job = road.JobOf(Local("v", Content(1'000'000, 1)), "CAM1/v");
  job.max_bytes_per_second = 1'000'000;
  ASSERT_TRUE(road.client->Begin(job).ok());
  ASSERT_TRUE(Eventually([&] { return road.moved(job.token) > 0; }));
  std::filesystem::remove(job.local_path);
  EXPECT_EQ(road.EndOf(job.token).outcome, FileOutcome::kDurable) << road.EndOf(job.token).status;
  EXPECT_TRUE(ReadFile(server_.incoming() + "/CAM1/v") == Content(1'000'000, 1));
}

TEST_F(FaultsTest, AFolderUnderTheFinalNameStaysAndTheOthersArrive) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  std::filesystem::create_directories(server_.incoming() + "/CAM1/a/b");
  const FileJob wrong = road.JobOf(Local("a", "a"), "CAM1/a");
  const FileJob right = road.JobOf(Local("z", "z"), "CAM1/z");
  ASSERT_TRUE(road.client->Begin(wrong).ok());
  ASSERT_TRUE(road.client->Begin(right).ok());
  EXPECT_EQ(road.EndOf(wrong.token).outcome, FileOutcome::kRetry) << road.EndOf(wrong.token).status;
  EXPECT_EQ(road.EndOf(right.token).outcome, FileOutcome::kDurable);
  EXPECT_TRUE(std::filesystem::is_directory(server_.incoming() + "/CAM1/a/b"));
  EXPECT_TRUE(road.ended().ok());
}

TEST_F(FaultsTest, HostKeysThatAreNotTheServers) {
  ClientOptions options = server_.Options();
  options.server.known_hosts = local_ / "empty";
  WriteFile(local_ / "empty", "");
  {
    Road unknown(options);
    EXPECT_EQ(unknown.End().code(), absl::StatusCode::kFailedPrecondition) << unknown.ended();
  }
  options.server.accept_new = true;
  {
    Road accepted(options);
    EXPECT_TRUE(accepted.Ready()) << accepted.ended();
    EXPECT_THAT(ReadFile(local_ / "empty"), HasSubstr("ssh-ed25519"));
  }
  server_.Stop();
  server_.MakeKey("host");
  server_.Start();
  Road changed(options);
  EXPECT_EQ(changed.End().code(), absl::StatusCode::kFailedPrecondition) << changed.ended();
}

TEST_F(FaultsTest, PinnedFingerprints) {
  ClientOptions options = server_.Options();
  options.server.known_hosts.clear();
  const std::string other = "SHA256:" + std::string(43, 'A');
  options.server.fingerprints = {other, server_.Fingerprint()};
  {
    Road road(options);
    EXPECT_TRUE(road.Ready()) << road.ended();
    EXPECT_EQ(road.Send(Local("a", "a"), "CAM1/a").outcome, FileOutcome::kDurable);
  }
  options.server.fingerprints = {other};
  Road road(options);
  EXPECT_EQ(road.End().code(), absl::StatusCode::kFailedPrecondition) << road.ended();
}

TEST_F(FaultsTest, KeysWithAPassphrase) {
  server_.MakeKey("locked", "open sesame");
  WriteFile(server_.folder() / "authorized_keys", ReadFile(server_.folder() / "locked.pub"));
  ClientOptions options = server_.Options();
  options.server.key_file = server_.folder() / "locked";
  options.server.passphrase = "open sesame";
  {
    Road road(options);
    EXPECT_TRUE(road.Ready()) << road.ended();
  }
  for (const char* wrong : {"0pen sesame", ""}) {
    options.server.passphrase = wrong;
    Road road(options);
    EXPECT_EQ(road.End().code(), absl::StatusCode::kUnauthenticated) << road.ended();
    EXPECT_THAT(std::string(road.ended().message()), Not(HasSubstr("sesame")));
  }
}

TEST_F(FaultsTest, AUserThatIsRefused) {
  server_.MakeKey("other");
  ClientOptions options = server_.Options();
  options.server.key_file = server_.folder() / "other";
  Road road(options);
  EXPECT_EQ(road.End().code(), absl::StatusCode::kUnauthenticated) << road.ended();
}

TEST_F(FaultsTest, AServerThatIsNotThere) {
  const ClientOptions options = server_.Options();
  server_.Stop();
  Road road(options);
  EXPECT_EQ(road.End().code(), absl::StatusCode::kUnavailable) << road.ended();
  FileJob job;
  EXPECT_EQ(road.client->Begin(job).code(), absl::StatusCode::kUnavailable);
}

TEST_F(FaultsTest, AServerThatFallsSilent) {
  ClientOptions options = server_.Options();
  options.server.answer_timeout = absl::Seconds(1);
  Road road(options);
  ASSERT_TRUE(road.Ready());
  FileJob job = road.JobOf(Local("a", Content(4'000'000, 1)), "CAM1/a");
  job.max_bytes_per_second = 1'000'000;
  ASSERT_TRUE(road.client->Begin(job).ok());
  ASSERT_TRUE(Eventually([&] { return road.moved(job.token) > 0; }));
  server_.StopSessions(true);
  EXPECT_EQ(road.End().code(), absl::StatusCode::kUnavailable) << road.ended();
  EXPECT_EQ(road.EndOf(job.token).outcome, FileOutcome::kRetry);
  server_.StopSessions(false);
}

TEST_F(FaultsTest, CancelledWhileItIsSentTheOthersArrive) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  FileJob slow = road.JobOf(Local("s", Content(8'000'000, 1)), "CAM1/s");
  slow.max_bytes_per_second = 500'000;
  FileJob other = road.JobOf(Local("t", Content(1000, 2)), "CAM1/t");
  other.max_bytes_per_second = 500'000;
  ASSERT_TRUE(road.client->Begin(slow).ok());
  ASSERT_TRUE(Eventually([&] { return road.moved(slow.token) > 0; }));
  const pid_t pid = road.client->running();
  ASSERT_TRUE(road.client->Begin(other).ok());
  road.client->Cancel(slow.token);
  EXPECT_EQ(road.EndOf(slow.token).outcome, FileOutcome::kCancelled);
  EXPECT_EQ(road.EndOf(other.token).outcome, FileOutcome::kDurable);
  EXPECT_TRUE(Eventually([&] { return kill(-pid, 0) != 0; })) << "rsync or ssh is still there";
  EXPECT_FALSE(std::filesystem::exists(server_.incoming() + "/CAM1/s"));
}

TEST_F(FaultsTest, WhatNobodyGoesOnWithIsRemoved) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  const std::string part = server_.incoming() + "/CAM1/.viaduct-partial/s";
  FileJob slow = road.JobOf(Local("s", Content(20'000'000, 1)), "CAM1/s");
  slow.max_bytes_per_second = 2'000'000;
  ASSERT_TRUE(road.client->Begin(slow).ok());
  ASSERT_TRUE(Eventually([&] { return road.moved(slow.token) > 1'000'000; }));
  road.client->Cancel(slow.token);
  EXPECT_EQ(road.EndOf(slow.token).outcome, FileOutcome::kCancelled);
  EXPECT_TRUE(std::filesystem::exists(part));
  ASSERT_TRUE(road.client->Discard({slow.remote_name, slow.sha256}).ok());
  EXPECT_TRUE(Eventually([&] { return !std::filesystem::exists(part); }));
  EXPECT_EQ(road.Send(Local("s", "whole"), "CAM1/s").outcome, FileOutcome::kDurable);
  ASSERT_TRUE(road.client->Discard({slow.remote_name, slow.sha256}).ok());
  EXPECT_EQ(road.Send(Local("t", "t"), "CAM1/t").outcome, FileOutcome::kDurable);
  EXPECT_EQ(ReadFile(server_.incoming() + "/CAM1/s"), "whole");  // What is complete stays.
}

TEST_F(FaultsTest, StopEndsRsyncAndLeavesNothingHere) {
  pid_t pid = 0;
  {
    Road road(server_.Options());
    ASSERT_TRUE(road.Ready());
    FileJob job = road.JobOf(Local("a", Content(8'000'000, 1)), "CAM1/a");
    job.max_bytes_per_second = 500'000;
    ASSERT_TRUE(road.client->Begin(job).ok());
    ASSERT_TRUE(Eventually([&] { return road.moved(job.token) > 0; }));
    pid = road.client->running();
    road.client->Stop();
    EXPECT_EQ(road.EndOf(job.token).outcome, FileOutcome::kCancelled);
    EXPECT_TRUE(road.ended().ok());
  }
  EXPECT_TRUE(Eventually([&] { return kill(-pid, 0) != 0; }));
}

TEST_F(FaultsTest, ADeadlineEndsAFileOnly) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  FileJob job = road.JobOf(Local("a", Content(8'000'000, 1)), "CAM1/a");
  job.max_bytes_per_second = 500'000;
  job.deadline_ns = MonotonicNs() + 1'000'000'000;
  const FileEnd end = road.Send(job);
  EXPECT_EQ(end.outcome, FileOutcome::kRetry);
  EXPECT_EQ(end.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(road.Send(Local("z", "z"), "CAM1/z").outcome, FileOutcome::kDurable);
}

class OwnWorldTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "needs root: users and mounts for the server alone";
  }
  static RealServer::World World(int disk_mib) {
    RealServer::World world;
    world.users = {{"cam001", "viaduct-edge", kHash, kCam}};
    world.disk_mib = disk_mib;
    return world;
  }
  TestFolder local_;
};

TEST_F(OwnWorldTest, ADiskThatIsFull) {
  RealServer server("", "internal-sftp", World(2));
  Road road(server.Options());
  ASSERT_TRUE(road.Ready()) << road.ended();
  WriteFile(local_ / "a", Content(4'000'000, 1));
  WriteFile(local_ / "b", Content(1000, 2));
  const FileEnd end = road.Send(local_ / "a", "CAM1/a");
  EXPECT_EQ(end.outcome, FileOutcome::kRetry);
  EXPECT_EQ(end.status.code(), absl::StatusCode::kResourceExhausted) << end.status;
  EXPECT_FALSE(std::filesystem::exists(server.Inside(server.incoming() + "/CAM1/a")));
  EXPECT_TRUE(road.ended().ok());
}

TEST_F(OwnWorldTest, PasswordsAndRights) {
  RealServer server("", "internal-sftp", World(0));
  ASSERT_EQ(chown(server.incoming().c_str(), kCam, kCam), 0);
  ClientOptions options = server.Options();
  options.server.user = "cam001";
  options.server.key_file.clear();
  options.server.password = "wrong";
  {
    Road road(options);
    EXPECT_EQ(road.End().code(), absl::StatusCode::kUnauthenticated) << road.ended();
    EXPECT_THAT(std::string(road.ended().message()), Not(HasSubstr("wrong")));
  }
  options.server.password = "right";
  Road road(options);
  ASSERT_TRUE(road.Ready()) << road.ended();
  WriteFile(local_ / "a", Content(1000, 1));
  EXPECT_EQ(road.Send(local_ / "a", "CAM1/a").outcome, FileOutcome::kDurable);
  std::filesystem::create_directory(server.incoming() + "/CAM2");  // Of root.
  const FileEnd end = road.Send(local_ / "a", "CAM2/a");
  EXPECT_EQ(end.outcome, FileOutcome::kRetry);
  EXPECT_EQ(end.status.code(), absl::StatusCode::kPermissionDenied) << end.status;
  EXPECT_TRUE(road.ended().ok());
}

}  // namespace
}  // namespace viaduct::rsync
