// Runs of rsync that are cut anywhere: everything arrives in the end, nothing else does, and little
// is sent twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "plugins/rsync/tests/real_server.h"

namespace viaduct::rsync {
namespace {

using ::testing::ElementsAre;

class InterruptionsTest : public ::testing::Test {
 protected:
  // Sends until more than `octets` have passed, then breaks.
  template <typename Break>
  void Cut(const std::string& path, uint64_t octets, const Break& breaks) {
    Road road(server_.Options());
    ASSERT_TRUE(road.Ready()) << road.ended();
    FileJob job = road.JobOf(path, "CAM1/a");
    job.max_bytes_per_second = job.size / 3;
    ASSERT_TRUE(road.client->Begin(job).ok());
    ASSERT_TRUE(Eventually([&] { return road.moved(job.token) > octets; }));
    breaks(road.client->running());
    EXPECT_EQ(road.EndOf(job.token).outcome, FileOutcome::kRetry);
    EXPECT_EQ(road.End().code(), absl::StatusCode::kUnavailable) << road.ended();
    // The last of it may have been on its way: then it is all there.
    const std::string remote = server_.incoming() + "/CAM1/a";
    EXPECT_TRUE(!std::filesystem::exists(remote) || ReadFile(remote) == ReadFile(path));
  }
  // What it took on the road.
  uint64_t SendAll(const std::string& path) {
    Road road(server_.Options());
    EXPECT_TRUE(road.Ready()) << road.ended();
    EXPECT_EQ(road.Send(path, "CAM1/a").outcome, FileOutcome::kDurable);
    EXPECT_TRUE(Eventually([&] { return road.client->stats().sent_bytes > 0; }));
    EXPECT_TRUE(ReadFile(server_.incoming() + "/CAM1/a") == ReadFile(path));
    return road.client->stats().sent_bytes;
  }
  // The server keeps what it has when its end is told that the connection is lost.
  bool PartIsKept() {
    return Eventually(
        [&] { return std::filesystem::exists(server_.incoming() + "/CAM1/.viaduct-partial/a"); });
  }

  TestFolder local_;
  RealServer server_;
};

TEST_F(InterruptionsTest, GoesOnWhereItWasCut) {
  constexpr uint64_t kSize = 60'000'000;
  constexpr uint64_t kCut = 30'000'000;
  WriteFile(local_ / "a", Content(kSize, 1));
  const struct {
    const char* what;
    std::function<void(pid_t)> breaks;
  } kCases[] = {
      {"rsync", [](pid_t pid) { kill(pid, SIGKILL); }},
      {"rsync and ssh", [](pid_t pid) { kill(-pid, SIGKILL); }},
  };
  for (const auto& c : kCases) {
    Cut(local_ / "a", kCut, c.breaks);
    ASSERT_TRUE(PartIsKept()) << c.what;
    EXPECT_LT(SendAll(local_ / "a"), kSize - kCut + 2'000'000) << c.what;
    EXPECT_THAT(FilesBelow(server_.incoming()), ElementsAre("CAM1/a")) << c.what;
    std::filesystem::remove(server_.incoming() + "/CAM1/a");
  }
}

TEST_F(InterruptionsTest, ServersThatAreKilledLeaveNothingUnderTheName) {
  WriteFile(local_ / "a", Content(20'000'000, 1));
  Cut(local_ / "a", 5'000'000, [this](pid_t) { server_.KillSessions(); });
  SendAll(local_ / "a");
  for (const std::string& name : FilesBelow(server_.incoming())) {
    EXPECT_TRUE(name == "CAM1/a" || name.rfind(".viaduct-partial/", 0) == 0) << name;
  }
}

TEST_F(InterruptionsTest, KilledAtAnyTimeAllArrive) {
  std::mt19937 random(14);  // The same every time.
  for (int round = 0; round < 6; ++round) {
    std::filesystem::remove_all(server_.incoming() + "/CAM1");
    WriteFile(local_ / "a", Content(10'000'000 + random() % 1'000'000, 100 + round));
    Cut(local_ / "a", random() % 5'000'000, [&](pid_t pid) { kill(-pid, SIGKILL); });
    SendAll(local_ / "a");
  }
}

}  // namespace
}  // namespace viaduct::rsync
