// Connections that are cut at any octet, and servers that are killed: everything arrives in the
// end, nothing else does, and little is sent twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "plugins/sftp/tests/real_server.h"
#include "tests/support/relay_in_front.h"

namespace viaduct::sftp {
namespace {

using ::testing::UnorderedElementsAreArray;

constexpr size_t kWindow = 1u << 20;

class InterruptionsTest : public ::testing::Test {
 protected:
  struct Piece {
    std::string path, name;
    uint64_t size = 0;
    uint64_t offset = 0;  // Durable, as the road said.
    bool arrived = false;
  };

  // Connected, or tried as often as the host would.
  std::unique_ptr<Road> Connect(const ClientOptions& options) {
    while (true) {
      auto road = std::make_unique<Road>(options);
      if (road->Ready()) return road;
      EXPECT_TRUE(absl::IsUnavailable(road->ended())) << road->ended();
    }
  }
  void MakePieces(std::mt19937* random) {
    pieces_.clear();
    for (const size_t most : {size_t{200'000}, size_t{2'000'000}, size_t{12'000'000}}) {
      Piece piece;
      piece.size = (*random)() % most;
      piece.path = local_ / std::to_string(most);
      piece.name = absl::StrCat("CAM1/", made_++);
      WriteFile(piece.path, Content(piece.size, made_));
      pieces_.push_back(std::move(piece));
    }
  }
  // One life of a road: sends what has not arrived until all has or the connection breaks. False:
  // it broke.
  template <typename Break>
  bool Live(const ClientOptions& options, const Break& begin_breaking) {
    const std::unique_ptr<Road> road = Connect(options);
    std::vector<std::pair<Piece*, FileJob>> begun;
    for (Piece& piece : pieces_) {
      if (piece.arrived) continue;
      begun.emplace_back(&piece, road->JobOf(piece.path, piece.name, piece.offset));
    }
    begin_breaking();
    for (auto& [piece, job] : begun) {
      if (!road->client->Begin(job).ok()) job.token = 0;
    }
    bool all = true;
    for (auto& [piece, job] : begun) {
      const FileEnd end = job.token == 0 ? FileEnd() : road->EndOf(job.token);
      piece->arrived = end.outcome == FileOutcome::kDurable;
      all = all && piece->arrived;
      if (job.token != 0) piece->offset = end.durable_offset;
      if (!piece->arrived && job.token != 0) {
        EXPECT_EQ(end.outcome, FileOutcome::kRetry);
        EXPECT_TRUE(absl::IsUnavailable(end.status)) << end.status;
      }
    }
    road->client->Stop();
    sent_ += road->client->stats().sent_bytes;
    return all;
  }
  uint64_t Left() const {
    uint64_t left = 0;
    for (const Piece& piece : pieces_) left += piece.arrived ? 0 : piece.size - piece.offset;
    return left;
  }
  void ExpectAllArrived() {
    std::vector<std::string> names;
    for (const Piece& piece : pieces_) {
      EXPECT_TRUE(ReadFile(server_.incoming() + "/" + piece.name) == ReadFile(piece.path))
          << piece.name;
      names.push_back(piece.name);
    }
    EXPECT_THAT(FilesBelow(server_.incoming()), UnorderedElementsAreArray(names));
    std::filesystem::remove_all(server_.incoming() + "/CAM1");
  }

  TestFolder local_;
  RealServer server_;
  std::vector<Piece> pieces_;
  uint32_t made_ = 0;
  uint64_t sent_ = 0;
};

TEST_F(InterruptionsTest, CutAtAnyOctet) {
  std::mt19937 random(20261126);
  support::RelayInFront relay(server_.port());
  ClientOptions options = server_.Options();
  options.transport.port = relay.port();
  options.transport.host_key.known_hosts = server_.folder() / "relay_hosts";
  options.window_bytes = kWindow;
  server_.TrustHostKey("relay_hosts", relay.port());
  size_t cuts = 0;
  while (cuts < Rounds(60, 200)) {
    MakePieces(&random);
    const uint64_t total = Left();
    sent_ = 0;
    uint64_t allowed = total;
    bool done = false;
    while (!done) {
      // Now and then later than the end: then all arrives.
      const uint64_t cut = random() % (Left() + 20'000);
      done = Live(options, [&] { relay.Say(absl::StrCat("budget ", cut, " reset")); });
      relay.Say("pass");
      if (done) break;
      ++cuts;
      // Of each file at most 8 MiB after its last FSYNC, and what was in flight.
      for (const Piece& piece : pieces_) allowed += std::min(piece.size, Upload::kSyncBytes);
      allowed += kWindow;
    }
    EXPECT_LE(sent_, allowed) << total;
    EXPECT_GE(sent_, total) << "not all was counted";
    ExpectAllArrived();
  }
}

TEST_F(InterruptionsTest, KilledServers) {
  std::mt19937 random(7);
  ClientOptions options = server_.Options();
  options.window_bytes = kWindow;
  size_t kills = 0;
  while (kills < Rounds(10, 60)) {
    MakePieces(&random);
    bool done = false;
    while (!done) {
      std::thread killer;
      done = Live(options, [&] {
        killer = std::thread([&, after = absl::Microseconds(random() % 150'000)] {
          absl::SleepFor(after);
          server_.KillSessions();
        });
      });
      killer.join();
      if (!done) ++kills;
    }
    ExpectAllArrived();
  }
}

TEST_F(InterruptionsTest, OfALargeFileAWindowIsSentTwiceAtMost) {
  ClientOptions options = server_.Options();
  options.window_bytes = kWindow;
  const std::string content = Content(48'000'000, 3);
  WriteFile(local_ / "large", content);
  uint64_t offset = 0;
  uint64_t sent = 0;
  for (const uint64_t stop : {uint64_t{12'000'000}, uint64_t{30'000'000}}) {
    Road road(options);
    ASSERT_TRUE(road.Ready());
    FileJob job = road.JobOf(local_ / "large", "CAM1/large", offset);
    job.max_bytes_per_second = 60'000'000;
    ASSERT_TRUE(road.client->Begin(job).ok());
    ASSERT_TRUE(Eventually([&] { return road.moved(job.token) >= stop; }));
    server_.KillSessions();
    const FileEnd end = road.EndOf(job.token);
    EXPECT_EQ(end.outcome, FileOutcome::kRetry);
    EXPECT_GE(end.durable_offset + Upload::kSyncBytes + kWindow, stop);
    offset = end.durable_offset;
    road.client->Stop();
    sent += road.client->stats().sent_bytes;
  }
  Road road(options);
  ASSERT_TRUE(road.Ready());
  EXPECT_EQ(road.Send(road.JobOf(local_ / "large", "CAM1/large", offset)).outcome,
            FileOutcome::kDurable);
  road.client->Stop();
  sent += road.client->stats().sent_bytes;
  EXPECT_GT(sent, content.size()) << "what was in flight when the connection broke";
  EXPECT_LE(sent, content.size() + 2 * (Upload::kSyncBytes + kWindow));
  EXPECT_TRUE(ReadFile(server_.incoming() + "/CAM1/large") == content);
  EXPECT_THAT(FilesBelow(server_.incoming()), UnorderedElementsAreArray({"CAM1/large"}));
}

}  // namespace
}  // namespace viaduct::sftp
