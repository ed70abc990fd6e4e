// What arrives, and how, at a real sshd.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "plugins/common/remote_name.h"
#include "plugins/sftp/tests/real_server.h"

namespace viaduct::sftp {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

class UploadTest : public ::testing::TestWithParam<const char*> {
 protected:
  UploadTest() : server_("", GetParam()) {}

  std::string Local(const std::string& name, const std::string& content) {
    WriteFile(local_ / name, content);
    return local_ / name;
  }
  std::string Remote(const std::string& name) const {
    return ReadFile(server_.incoming() + "/" + name);
  }

  TestFolder local_;
  RealServer server_;
};
INSTANTIATE_TEST_SUITE_P(Servers, UploadTest,
                         ::testing::Values("internal-sftp", "/usr/lib/openssh/sftp-server"),
                         [](const auto& info) {
                           return std::string(info.index == 0 ? "Internal" : "Program");
                         });

TEST_P(UploadTest, ArrivesCompleteUnderItsName) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready()) << road.ended();
  EXPECT_TRUE(road.features().fsync && road.features().posix_rename && road.features().limits);
  EXPECT_EQ(road.features().max_write_bytes, Requests::kMaxWriteBytes);
  const std::string content = Content(3'000'000, 1);
  const FileEnd end = road.Send(Local("a.jpg", content), "CAM1/2026/01/02/a.jpg");
  EXPECT_EQ(end.outcome, FileOutcome::kDurable) << end.status;
  EXPECT_EQ(end.durable_offset, content.size());
  EXPECT_EQ(end.sha256, DigestOf(content));
  EXPECT_TRUE(Remote("CAM1/2026/01/02/a.jpg") == content);
  EXPECT_THAT(FilesBelow(server_.incoming()), ElementsAre("CAM1/2026/01/02/a.jpg"));
}

TEST_P(UploadTest, SizesAroundThePieceArrive) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  constexpr size_t kPiece = Requests::kMaxWriteBytes;
  for (const size_t size : {size_t{0}, size_t{1}, kPiece - 1, kPiece, kPiece + 1, 40 * kPiece}) {
    const std::string content = Content(size, 7);
    const FileEnd end = road.Send(Local("s", content), absl::StrCat("CAM1/", size));
    EXPECT_EQ(end.outcome, FileOutcome::kDurable) << size << end.status;
    EXPECT_TRUE(Remote(absl::StrCat("CAM1/", size)) == content) << size;
  }
}

TEST_P(UploadTest, ManyFilesShareTheSession) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  std::vector<std::string> names;
  std::vector<FileJob> jobs;
  for (uint32_t i = 0; i < 100; ++i) {
    names.push_back(absl::StrCat("CAM1/2026/", i % 3, "/", i, ".jpg"));
    jobs.push_back(road.JobOf(Local(std::to_string(i), Content(1000 * i, i)), names.back()));
  }
  for (const FileJob& job : jobs) {
    ASSERT_TRUE(Eventually([&] { return road.client->credit() > 0; }));
    ASSERT_TRUE(road.client->Begin(job).ok());
  }
  for (const FileJob& job : jobs) {
    EXPECT_EQ(road.EndOf(job.token).outcome, FileOutcome::kDurable) << road.EndOf(job.token).status;
    EXPECT_TRUE(Remote(job.remote_name) == ReadFile(job.local_path)) << job.remote_name;
  }
  EXPECT_THAT(FilesBelow(server_.incoming()), UnorderedElementsAreArray(names));
  EXPECT_EQ(road.client->stats().files, 100u);
}

TEST_P(UploadTest, NamesThatShellsAndOptionsWouldMisread) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  std::vector<std::string> names = {"-rf",       "a b/c d", "*",         "$(id)",    "`id`;id",
                                    "\"q\" 'q'", "back\\s", "ä/ü €.jpg", "..hidden", "-o/-i"};
  for (const std::string& name : names) {
    const FileEnd end = road.Send(Local("n", Content(10, 3)), name);
    EXPECT_EQ(end.outcome, FileOutcome::kDurable) << name << end.status;
  }
  EXPECT_THAT(FilesBelow(server_.incoming()), UnorderedElementsAreArray(names));
}

TEST_P(UploadTest, ReplacesWhatBearsTheName) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  for (const uint32_t seed : {1u, 2u}) {
    const FileEnd end = road.Send(Local("a", Content(5000, seed)), "CAM1/a");
    EXPECT_EQ(end.outcome, FileOutcome::kDurable) << end.status;
    EXPECT_TRUE(Remote("CAM1/a") == Content(5000, seed));
  }
}

TEST_P(UploadTest, GoesOnWhereThePartEnds) {
  const std::string content = Content(5'000'000, 5);
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  std::filesystem::create_directory(server_.incoming() + "/CAM1");
  const std::string part = server_.incoming() + "/" + PartName("CAM1/r", DigestOf(content), "");
  const struct {
    size_t part_bytes;
    uint64_t offset;
    uint64_t sent;
  } kCases[] = {
      {4'000'000, 4'000'000, 1'000'000},  // As left.
      {4'500'000, 4'000'000, 1'000'000},  // What came after the last FSYNC is sent again.
      {3'000'000, 4'000'000, 2'000'000},  // The server has lost some.
      {6'000'000, 4'000'000, 5'000'000},  // Not ours.
      {4'000'000, 0, 5'000'000},          // Of another road, or forgotten.
  };
  for (const auto& c : kCases) {
    std::string left = content.substr(0, c.part_bytes);
    left.resize(c.part_bytes, 'x');
    // Behind the offset there may be anything.
    if (left.size() > c.offset) left.replace(c.offset, left.size() - c.offset, 100, 'x');
    left.resize(c.part_bytes, 'x');
    WriteFile(part, left);
    const uint64_t before = road.client->stats().sent_bytes;
    const FileEnd end = road.Send(road.JobOf(Local("r", content), "CAM1/r", c.offset));
    EXPECT_EQ(end.outcome, FileOutcome::kDurable) << end.status;
    EXPECT_TRUE(Remote("CAM1/r") == content);
    EXPECT_TRUE(Eventually([&] { return road.client->stats().sent_bytes - before == c.sent; }))
        << road.client->stats().sent_bytes - before;
  }
  EXPECT_THAT(FilesBelow(server_.incoming()), ElementsAre("CAM1/r"));
}

TEST_P(UploadTest, OneContentUnderOneNameTwiceAtOnce) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  const std::string path = Local("t", Content(2'000'000, 9));
  const FileJob first = road.JobOf(path, "CAM1/t");
  const FileJob second = road.JobOf(path, "CAM1/t");
  ASSERT_TRUE(road.client->Begin(first).ok());
  ASSERT_TRUE(road.client->Begin(second).ok());
  EXPECT_EQ(road.EndOf(first.token).outcome, FileOutcome::kDurable);
  EXPECT_EQ(road.EndOf(second.token).outcome, FileOutcome::kDurable) << road.EndOf(2).status;
  EXPECT_TRUE(Remote("CAM1/t") == ReadFile(path));
}

TEST_P(UploadTest, KeepsToItsRate) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  FileJob job = road.JobOf(Local("slow", Content(400'000, 1)), "CAM1/slow");
  job.max_bytes_per_second = 400'000;
  const absl::Time begin = absl::Now();
  EXPECT_EQ(road.Send(job).outcome, FileOutcome::kDurable);
  const absl::Duration took = absl::Now() - begin;
  EXPECT_GT(took, absl::Milliseconds(850));
  EXPECT_LT(took, absl::Seconds(5));
}

TEST_P(UploadTest, CancelAndDeadlineKeepWhatIsDurable) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  const std::string path = Local("c", Content(20'000'000, 1));
  FileJob job = road.JobOf(path, "CAM1/c");
  job.max_bytes_per_second = 10'000'000;
  ASSERT_TRUE(road.client->Begin(job).ok());
  ASSERT_TRUE(Eventually([&] { return road.durable(job.token) >= Upload::kSyncBytes; }));
  road.client->Cancel(job.token);
  const FileEnd cancelled = road.EndOf(job.token);
  EXPECT_EQ(cancelled.outcome, FileOutcome::kCancelled);
  EXPECT_GE(cancelled.durable_offset, Upload::kSyncBytes);
  FileJob late = road.JobOf(path, "CAM1/c", cancelled.durable_offset);
  late.max_bytes_per_second = 100'000;
  late.deadline_ns = MonotonicNs() + 300'000'000;
  const FileEnd expired = road.Send(late);
  EXPECT_EQ(expired.outcome, FileOutcome::kRetry);
  EXPECT_EQ(expired.status.code(), absl::StatusCode::kDeadlineExceeded);
  const FileEnd end = road.Send(road.JobOf(path, "CAM1/c", expired.durable_offset));
  EXPECT_EQ(end.outcome, FileOutcome::kDurable) << end.status;
  EXPECT_TRUE(Remote("CAM1/c") == ReadFile(path));
  EXPECT_THAT(FilesBelow(server_.incoming()), ElementsAre("CAM1/c"));
}

TEST_P(UploadTest, WhatNobodyGoesOnWithIsRemoved) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  FileJob job = road.JobOf(Local("c", Content(20'000'000, 1)), "CAM1/c");
  job.max_bytes_per_second = 10'000'000;
  ASSERT_TRUE(road.client->Begin(job).ok());
  ASSERT_TRUE(Eventually([&] { return road.moved(job.token) > 0; }));
  ASSERT_TRUE(road.client->Discard({job.remote_name, job.sha256}).ok());
  ASSERT_TRUE(road.Send(Local("d", "d"), "CAM1/d").status.ok());
  EXPECT_THAT(FilesBelow(server_.incoming()), SizeIs(2));  // Who is under way keeps its part.
  road.client->Cancel(job.token);
  EXPECT_EQ(road.EndOf(job.token).outcome, FileOutcome::kCancelled);
  ASSERT_TRUE(road.client->Discard({job.remote_name, job.sha256}).ok());
  EXPECT_TRUE(Eventually([&] { return FilesBelow(server_.incoming()).size() == 1; }));
  ASSERT_TRUE(road.client->Discard({"CAM1/d", DigestOf("d")}).ok());
  ASSERT_TRUE(road.Send(Local("e", "e"), "CAM1/e").status.ok());
  EXPECT_THAT(FilesBelow(server_.incoming()), UnorderedElementsAre("CAM1/d", "CAM1/e"));
}

TEST_P(UploadTest, AnotherFileThanTheOneThatIsMeantIsNotSent) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  FileJob job = road.JobOf(Local("a", "meant"), "CAM1/a");
  struct stat facts {};
  ASSERT_EQ(stat(job.local_path.c_str(), &facts), 0);
  job.identity = {facts.st_dev, facts.st_ino};
  EXPECT_EQ(road.Send(job).outcome, FileOutcome::kDurable);
  Local("b", "meant");
  std::filesystem::rename(local_ / "b", local_ / "a");
  job.token = 100;
  const FileEnd end = road.Send(job);
  EXPECT_EQ(end.outcome, FileOutcome::kReject);
  EXPECT_TRUE(absl::IsAborted(end.status)) << end.status;
}

TEST_P(UploadTest, RoadIsMeasured) {
  Road road(server_.Options());
  absl::Mutex mutex;
  absl::Status found = absl::UnknownError("");
  absl::Duration round_trip;
  ProbeCost cost;
  const auto done = [&](const absl::Status& status, absl::Duration took, const ProbeCost& spent) {
    absl::MutexLock lock(&mutex);
    found = status;
    round_trip = took;
    cost = spent;
  };
  ASSERT_TRUE(road.client->Probe(absl::Seconds(10), done));  // Waits for the session.
  ASSERT_TRUE(Eventually([&] {
    absl::MutexLock lock(&mutex);
    return found.ok();
  }));
  EXPECT_GT(round_trip, absl::ZeroDuration());
  EXPECT_LT(round_trip, absl::Seconds(5));
  EXPECT_EQ(cost.sent, 14u) << "realpath of \".\"";
  EXPECT_GT(cost.received, 25u);
  EXPECT_LT(cost.received, 1'000u);
}

TEST_P(UploadTest, StopEndsWhatIsUnderWay) {
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready());
  FileJob job = road.JobOf(Local("x", Content(1'000'000, 1)), "CAM1/x");
  job.max_bytes_per_second = 1000;
  ASSERT_TRUE(road.client->Begin(job).ok());
  EXPECT_FALSE(road.client->Drain(absl::Milliseconds(100)));
  road.client->Stop();
  EXPECT_EQ(road.EndOf(job.token).outcome, FileOutcome::kCancelled);
  EXPECT_EQ(road.client->credit(), 0u);
  EXPECT_TRUE(absl::IsUnavailable(road.client->Begin(job)));
}

TEST_P(UploadTest, MoreThanItsCreditIsRefused) {
  ClientOptions options = server_.Options();
  options.max_transfers = 2;
  Road road(options);
  ASSERT_TRUE(road.Ready());
  EXPECT_EQ(road.client->credit(), 2u);
  FileJob job = road.JobOf(Local("x", Content(1'000'000, 1)), "CAM1/x");
  job.max_bytes_per_second = 1000;
  ASSERT_TRUE(road.client->Begin(job).ok());
  job.token = 100;
  ASSERT_TRUE(road.client->Begin(job).ok());
  EXPECT_EQ(road.client->credit(), 0u);
  job.token = 101;
  EXPECT_TRUE(absl::IsResourceExhausted(road.client->Begin(job)));
  road.client->Cancel(100);  // It waits for the other.
  EXPECT_EQ(road.EndOf(100).outcome, FileOutcome::kCancelled);
  EXPECT_EQ(road.client->credit(), 1u);
}

}  // namespace
}  // namespace viaduct::sftp
