// What goes wrong on either side while files are on their way: a clear word, and never a wrong
// file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "absl/strings/str_cat.h"
#include "plugins/common/remote_name.h"
#include "plugins/sftp/tests/real_server.h"

namespace viaduct::sftp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FaultsTest : public ::testing::Test {
 protected:
  std::string Local(const std::string& name, const std::string& content) {
    WriteFile(local_ / name, content);
    return local_ / name;
  }
  std::string Message(const FileEnd& end) { return std::string(end.status.message()); }

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
    EXPECT_EQ(end.durable_offset, 0u);
  }
  EXPECT_TRUE(Eventually([&] { return FilesBelow(server_.incoming()).empty(); }));
}

TEST_F(FaultsTest, AFileThatChangesWhileItIsSentIsNeverNamed) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  for (const bool shorter : {false, true}) {
    const std::string path = Local("w", Content(4'000'000, 1));
    FileJob job = road.JobOf(path, "CAM1/w");
    job.max_bytes_per_second = 8'000'000;
    ASSERT_TRUE(road.client->Begin(job).ok());
    ASSERT_TRUE(Eventually([&] { return road.moved(job.token) > 0; }));
    if (shorter) {
      std::filesystem::resize_file(path, 3'500'000);
    } else {
      std::ofstream(path, std::ios::app) << "more";
    }
    const FileEnd end = road.EndOf(job.token);
    EXPECT_EQ(end.outcome, FileOutcome::kReject);
    EXPECT_EQ(end.status.code(), absl::StatusCode::kAborted) << end.status;
  }
  // The removal of the part is on its way when the end is told.
  EXPECT_TRUE(Eventually([&] { return FilesBelow(server_.incoming()).empty(); }));
}

TEST_F(FaultsTest, APartOfAFileThatIsGoneIsRemoved) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  const std::string content = Content(1000, 4);
  FileJob job = road.JobOf(Local("g", content), "CAM1/g", /*offset=*/500);
  std::filesystem::create_directory(server_.incoming() + "/CAM1");
  WriteFile(server_.incoming() + "/" + PartName("CAM1/g", job.sha256, ""), content.substr(0, 500));
  std::filesystem::remove(job.local_path);
  EXPECT_EQ(road.Send(job).outcome, FileOutcome::kReject);
  EXPECT_TRUE(Eventually([&] { return FilesBelow(server_.incoming()).empty(); }));
}

TEST_F(FaultsTest, SymbolicLinksBelowRemotePathAreNotFollowed) {
  TestFolder outside;
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  std::filesystem::create_directory(server_.incoming() + "/CAM1");
  std::filesystem::create_symlink(outside.path(), server_.incoming() + "/CAM1/2026");
  FileEnd end = road.Send(Local("a", "a"), "CAM1/2026/a");
  EXPECT_EQ(end.outcome, FileOutcome::kRetry);
  EXPECT_EQ(end.status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(Message(end), HasSubstr("CAM1/2026 is a symbolic link"));
  // A link that waits where the part will be, also of a file that is resumed.
  const FileJob job = road.JobOf(Local("b", Content(1000, 1)), "CAM1/b", /*offset=*/400);
  const std::string part = server_.incoming() + "/" + PartName("CAM1/b", job.sha256, "");
  for (const uint64_t offset : {uint64_t{0}, uint64_t{400}}) {
    WriteFile(outside / "victim", "untouched");
    std::filesystem::create_symlink(outside / "victim", part);
    end = road.Send(road.JobOf(job.local_path, "CAM1/b", offset));
    EXPECT_EQ(end.outcome, FileOutcome::kDurable) << end.status;
    EXPECT_EQ(ReadFile(outside / "victim"), "untouched");
    EXPECT_FALSE(std::filesystem::is_symlink(server_.incoming() + "/CAM1/b"));
  }
  EXPECT_THAT(FilesBelow(outside.path()), ElementsAre("victim"));
}

TEST_F(FaultsTest, RemotePathIsMadeAndMayBeReachedOverLinks) {
  TestFolder elsewhere;
  std::filesystem::create_symlink(elsewhere.path(), server_.incoming() + "/link");
  ClientOptions options = server_.Options();
  options.remote_path = server_.incoming() + "/link/a/b";
  Road road(options);
  ASSERT_TRUE(road.Ready()) << road.ended();
  EXPECT_EQ(road.Send(Local("a", "a"), "CAM1/a").outcome, FileOutcome::kDurable);
  EXPECT_EQ(ReadFile(elsewhere / "a/b/CAM1/a"), "a");
  WriteFile(elsewhere / "file", "");
  options.remote_path = server_.incoming() + "/link/file";
  Road wrong(options);
  EXPECT_EQ(wrong.End().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(FaultsTest, AFolderThatVanishesIsMadeAnew) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  EXPECT_EQ(road.Send(Local("a", "a"), "CAM1/2026/a").outcome, FileOutcome::kDurable);
  std::filesystem::remove_all(server_.incoming() + "/CAM1");
  const FileEnd end = road.Send(Local("a", "a"), "CAM1/2026/a");
  EXPECT_EQ(end.outcome, FileOutcome::kDurable) << end.status;
}

TEST_F(FaultsTest, AFolderUnderTheFinalNameStaysAndSoDoesTheFile) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  std::filesystem::create_directories(server_.incoming() + "/CAM1/a/b");
  const FileEnd end = road.Send(Local("a", "a"), "CAM1/a");
  EXPECT_EQ(end.outcome, FileOutcome::kRetry);
  EXPECT_THAT(Message(end), HasSubstr("CAM1/a is a folder"));
  EXPECT_TRUE(std::filesystem::exists(server_.incoming() + "/CAM1/a/b"));
  WriteFile(server_.incoming() + "/CAM1/f", "");
  const FileEnd below = road.Send(Local("a", "a"), "CAM1/f/a");
  EXPECT_THAT(Message(below), HasSubstr("is no folder"));
  const FileJob job = road.JobOf(Local("c", "c"), "CAM1/c");
  std::filesystem::create_directory(server_.incoming() + "/" + PartName("CAM1/c", job.sha256, ""));
  const FileEnd under = road.Send(job);
  // Of one file each, and no word of the road.
  for (const FileEnd& one : {end, below, under}) {
    EXPECT_EQ(one.outcome, FileOutcome::kRetry);
    EXPECT_EQ(one.status.code(), absl::StatusCode::kAlreadyExists) << one.status;
  }
}

// 20 GiB with nothing in them: what is sent of it before it is cancelled costs no memory.
TEST_F(FaultsTest, AHugeFileCostsNoMemory) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  const std::string path = Local("huge", "");
  std::filesystem::resize_file(path, uint64_t{20} << 30);
  FileJob job = road.JobOf(Local("small", "x"), "CAM1/huge");
  job.local_path = path;
  job.size = uint64_t{20} << 30;
  ASSERT_TRUE(road.client->Begin(job).ok());
  ASSERT_TRUE(Eventually([&] { return road.moved(job.token) > 10'000'000; }));
  const auto peak = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const int64_t before = peak();
  ASSERT_TRUE(Eventually([&] { return road.durable(job.token) > 100'000'000; }));
#ifdef __SANITIZE_ADDRESS__
  constexpr int kMostKib = 512 << 10;  // It keeps for a while what was freed.
#else
  constexpr int kMostKib = 16 << 10;
#endif
  EXPECT_LT(peak() - before, kMostKib);
  road.client->Cancel(job.token);
  EXPECT_EQ(road.EndOf(job.token).outcome, FileOutcome::kCancelled);
}

// A small file does not wait for a large one, and neither for the other's answers.
TEST_F(FaultsTest, ASmallFileOvertakesALargeOne) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  FileJob large = road.JobOf(Local("large", Content(40'000'000, 2)), "CAM1/large");
  const FileJob small = road.JobOf(Local("small", Content(150'000, 3)), "CAM1/small");
  ASSERT_TRUE(road.client->Begin(large).ok());
  ASSERT_TRUE(road.client->Begin(small).ok());
  EXPECT_EQ(road.EndOf(small.token).outcome, FileOutcome::kDurable);
  EXPECT_FALSE(road.HasEnded(large.token));
  EXPECT_EQ(road.EndOf(large.token).outcome, FileOutcome::kDurable);
}

TEST(ServerFaults, AnotherProgramThanSftpIsLeft) {
  RealServer server("ForceCommand echo Welcome to this server; cat >/dev/null\n");
  Road road(server.Options());
  EXPECT_EQ(road.End().code(), absl::StatusCode::kInvalidArgument) << road.ended();
  RealServer silent("ForceCommand exec sleep 60\n");
  ClientOptions options = silent.Options();
  options.transport.connect_timeout = absl::Seconds(1);
  EXPECT_EQ(Road(options).End().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(ServerFaults, NewKeysAreAgreedOnOnTheWay) {
  RealServer server("RekeyLimit 1M\n");
  TestFolder local;
  Road road(server.Options());
  ASSERT_TRUE(road.Ready());
  WriteFile(local / "a", Content(20'000'000, 1));
  const FileEnd end = road.Send(local / "a", "CAM1/a");
  EXPECT_EQ(end.outcome, FileOutcome::kDurable) << end.status;
  EXPECT_TRUE(ReadFile(server.incoming() + "/CAM1/a") == Content(20'000'000, 1));
}

TEST(ServerFaults, FewerChannelsWhereTheServerAllowsFewer) {
  RealServer server("MaxSessions 1\n");
  TestFolder local;
  Road road(server.Options());
  ASSERT_TRUE(road.Ready()) << road.ended();
  for (const char* name : {"a", "b", "c"}) {
    WriteFile(local / name, name);
    EXPECT_EQ(road.Send(local / name, name).outcome, FileOutcome::kDurable);
  }
  RealServer none("MaxSessions 0\n");
  EXPECT_EQ(Road(none.Options()).End().code(), absl::StatusCode::kUnavailable);
}

TEST(ServerFaults, AServerWithoutExtensionsDoesAsWell) {
  RealServer server("", "/usr/lib/openssh/sftp-server -P posix-rename,fsync,limits");
  TestFolder local;
  Road road(server.Options());
  ASSERT_TRUE(road.Ready()) << road.ended();
  EXPECT_FALSE(road.features().fsync || road.features().posix_rename || road.features().limits);
  for (const uint32_t seed : {1u, 2u}) {
    WriteFile(local / "a", Content(3'000'000, seed));
    const FileEnd end = road.Send(local / "a", "CAM1/a");
    EXPECT_EQ(end.outcome, FileOutcome::kDurable) << end.status;
    EXPECT_TRUE(ReadFile(server.incoming() + "/CAM1/a") == Content(3'000'000, seed));
  }
  EXPECT_THAT(FilesBelow(server.incoming()), ElementsAre("CAM1/a"));
}

TEST(ServerFaults, ASilentServerIsLeft) {
  RealServer server;
  ClientOptions options = server.Options();
  options.answer_timeout = absl::Seconds(1);
  options.keepalive = absl::Milliseconds(200);
  Road road(options);
  ASSERT_TRUE(road.Ready());
  server.StopSessions(true);
  EXPECT_EQ(road.End().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(road.ended().message()), HasSubstr("no sign of life"));
  server.StopSessions(false);
}

// While the window is full, and while another has the part.
TEST(ServerFaults, DeadlinesAreKeptWhereNothingMoves) {
  RealServer server;
  TestFolder local;
  ClientOptions options = server.Options();
  options.window_bytes = 1u << 20;
  Road road(options);
  ASSERT_TRUE(road.Ready());
  WriteFile(local / "a", Content(60'000'000, 1));
  FileJob job = road.JobOf(local / "a", "CAM1/a");
  FileJob other = road.JobOf(local / "a", "CAM1/a", /*offset=*/5);
  job.deadline_ns = other.deadline_ns = MonotonicNs() + 3'000'000'000;
  job.max_bytes_per_second = 8'000'000;
  ASSERT_TRUE(road.client->Begin(job).ok());
  ASSERT_TRUE(road.client->Begin(other).ok());
  ASSERT_TRUE(Eventually([&] { return road.moved(job.token) > 0; }));
  EXPECT_TRUE(Eventually([&] { return road.moved(other.token) > 0; })) << "it seems to stand still";
  server.StopSessions(true);
  for (const uint64_t token : {job.token, other.token}) {
    const FileEnd end = road.EndOf(token);
    EXPECT_EQ(end.outcome, FileOutcome::kRetry);
    EXPECT_EQ(end.status.code(), absl::StatusCode::kDeadlineExceeded) << end.status;
  }
  EXPECT_EQ(road.EndOf(other.token).durable_offset, 5u);
  server.StopSessions(false);
}

TEST(ServerFaults, AProgramThatHangsWhileOthersAnswerIsLeft) {
  RealServer server("", "/usr/lib/openssh/sftp-server");
  TestFolder local;
  ClientOptions options = server.Options();
  options.answer_timeout = absl::Seconds(1);
  Road road(options);
  ASSERT_TRUE(road.Ready());
  WriteFile(local / "a", Content(8'000'000, 1));
  std::vector<FileJob> jobs;
  for (int i = 0; i < 16; ++i) {
    FileJob job = road.JobOf(local / "a", absl::StrCat("CAM1/", i));
    job.max_bytes_per_second = 400'000;
    ASSERT_TRUE(road.client->Begin(job).ok());
    jobs.push_back(std::move(job));
  }
  ASSERT_TRUE(Eventually([&] { return road.moved(jobs[0].token) > 0; }));
  std::vector<pid_t> programs;
  for (const pid_t pid : support::DescendantsOf(server.pid())) {
    if (ReadFile(absl::StrCat("/proc/", pid, "/comm")) == "sftp-server\n") programs.push_back(pid);
  }
  ASSERT_EQ(programs.size(), options.channels);
  kill(programs[1], SIGSTOP);
  EXPECT_EQ(road.End().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(road.ended().message()), HasSubstr("one of its programs"));
  for (const FileJob& job : jobs) EXPECT_EQ(road.EndOf(job.token).outcome, FileOutcome::kRetry);
  kill(programs[1], SIGCONT);
}

}  // namespace
}  // namespace viaduct::sftp
