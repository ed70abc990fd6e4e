// Connections that are cut at any octet, and programs that are killed on both sides: everything
// arrives in the end, nothing else does, and little is sent twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "plugins/rsync/tests/real_daemon.h"
#include "tests/support/relay_in_front.h"

namespace viaduct::rsync {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAreArray;

// What an attempt sends that is no content: greetings, keys, checksums; and what was in flight when
// it broke: a window of SSH (2 MiB) and what the pipes and rsync itself hold.
constexpr uint64_t kTalkBytes = 300'000;
constexpr uint64_t kInFlightBytes = 4u << 20;

class InterruptionsTest : public ::testing::Test {
 protected:
  static constexpr size_t kBreaks = 2;  // Of the same files.
  struct Piece {
    std::string path, name;
    uint64_t size = 0;
    bool arrived = false;
  };

  InterruptionsTest() { setenv("TMPDIR", temporary_.path().c_str(), 1); }
  ~InterruptionsTest() override { unsetenv("TMPDIR"); }

  // Connected, or tried as often as the host would.
  static std::unique_ptr<Road> Connect(const ClientOptions& options) {
    while (true) {
      auto road = std::make_unique<Road>(options);
      if (road->Ready()) return road;
      EXPECT_TRUE(absl::IsUnavailable(road->ended())) << road->ended();
    }
  }
  void MakePieces(std::mt19937* random) {
    pieces_.clear();
    for (const size_t most : {size_t{200'000}, size_t{2'000'000}, size_t{24'000'000}}) {
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
  bool Live(
      const ClientOptions& options, const std::function<void(Client*)>& begin_breaking,
      const std::function<void()>& end_breaking = [] {}) {
    const std::unique_ptr<Road> road = Connect(options);
    std::vector<std::pair<Piece*, FileJob>> begun;
    for (Piece& piece : pieces_) {
      if (!piece.arrived) begun.emplace_back(&piece, road->JobOf(piece.path, piece.name));
    }
    begin_breaking(road->client.get());
    for (auto& [piece, job] : begun) {
      if (!road->client->Begin(job).ok()) job.token = 0;
    }
    bool all = true;
    for (auto& [piece, job] : begun) {
      const FileEnd end = job.token == 0 ? FileEnd() : road->EndOf(job.token);
      piece->arrived = end.outcome == FileOutcome::kDurable;
      all = all && piece->arrived;
      if (piece->arrived || job.token == 0) continue;
      EXPECT_EQ(end.outcome, FileOutcome::kRetry);
      EXPECT_TRUE(absl::IsUnavailable(end.status)) << end.status;
    }
    end_breaking();
    return all;
  }
  uint64_t Left() const {
    uint64_t left = 0;
    for (const Piece& piece : pieces_) left += piece.arrived ? 0 : piece.size;
    return left;
  }
  // And nothing else is there or here.
  void ExpectAllArrived(const std::string& incoming) {
    std::vector<std::string> names;
    for (const Piece& piece : pieces_) {
      EXPECT_TRUE(ReadFile(incoming + "/" + piece.name) == ReadFile(piece.path)) << piece.name;
      names.push_back(piece.name);
    }
    EXPECT_THAT(FilesBelow(incoming), UnorderedElementsAreArray(names));
    for (const auto& entry : std::filesystem::directory_iterator(temporary_.path())) {
      EXPECT_FALSE(absl::StartsWith(entry.path().filename().string(), "viaduct-rsync-")) << entry;
    }
    std::filesystem::remove_all(incoming + "/CAM1");
  }
  // Cuts until `cuts` were made, each a reset after some octets from the client.
  void CutAtAnyOctet(ClientOptions options, const std::string& incoming,
                     support::RelayInFront* relay, size_t cuts) {
    std::mt19937 random(20261126);
    options.server.port = relay->port();
    while (cuts > 0) {
      MakePieces(&random);
      const uint64_t total = Left();
      const uint64_t before = Up(relay);
      uint64_t allowed = total + kTalkBytes;
      for (bool done = false; !done;) {
        // Now and then later than the end: then all arrives.
        const uint64_t cut = random() % (Left() + 20'000);
        done = Live(options, [&](Client*) { relay->Say(absl::StrCat("budget ", cut, " reset")); });
        relay->Say("pass");
        if (done) break;
        if (cuts > 0) --cuts;
        allowed += Client::kWindowBytes + kInFlightBytes + kTalkBytes;
      }
      EXPECT_LE(Up(relay) - before, allowed) << total;
      ExpectAllArrived(incoming);
    }
  }
  // Octets from the client.
  static uint64_t Up(support::RelayInFront* relay) {
    const std::string answer = relay->Say("stats");
    const auto stats = nlohmann::json::parse(answer.substr(answer.find('{')));
    return stats["up"].get<uint64_t>();
  }
  // Something dies in the midst of it, again and again, then all may arrive. `kill_it` says whether
  // it was there; `mend` is for what has to live again.
  using KillFn = std::function<bool(Client*)>;
  void Kill(
      const ClientOptions& options, const std::string& incoming, uint32_t seed,
      const KillFn& kill_it, const std::function<void()>& mend = [] {}) {
    std::mt19937 random(seed);
    const size_t kills = Rounds(2, 12);
    for (size_t made = 0; made < kills;) {
      MakePieces(&random);
      for (size_t broken = 0; broken < kBreaks; ++broken) {
        std::thread killer;
        std::atomic<bool> over{false};
        const bool done = Live(
            options,
            [&](Client* client) {
              killer = std::thread([&, client, wait = absl::Microseconds(random() % 200'000)] {
                while (!over.load() && client->running() == 0)
                  absl::SleepFor(absl::Milliseconds(1));
                absl::SleepFor(wait);  // What is varied is when it comes.
                while (!over.load() && !kill_it(client)) absl::SleepFor(absl::Milliseconds(1));
              });
            },
            [&] {
              over.store(true);
              killer.join();
            });
        mend();
        if (!done) ++made;
      }
      EXPECT_TRUE(Live(options, [](Client*) {}));
      ExpectAllArrived(incoming);
    }
  }

  TestFolder local_;
  TestFolder temporary_;
  std::vector<Piece> pieces_;
  uint32_t made_ = 0;
};

class SshInterruptionsTest : public InterruptionsTest {
 protected:
  RealServer server_;
};

TEST_F(SshInterruptionsTest, CutAtAnyOctet) {
  support::RelayInFront relay(server_.port());
  server_.TrustHostKey("relay_hosts", relay.port());
  ClientOptions options = server_.Options();
  options.server.known_hosts = server_.folder() / "relay_hosts";
  CutAtAnyOctet(options, server_.incoming(), &relay, Rounds(6, 100));
}

TEST_F(SshInterruptionsTest, RsyncIsKilled) {
  Kill(server_.Options(), server_.incoming(), 1, [](Client* client) {
    const pid_t pid = client->running();
    return pid > 0 && kill(pid, SIGKILL) == 0;
  });
}

TEST_F(SshInterruptionsTest, RsyncAndSshAreKilled) {
  Kill(server_.Options(), server_.incoming(), 2, [](Client* client) {
    const pid_t pid = client->running();
    return pid > 0 && kill(-pid, SIGKILL) == 0;
  });
}

TEST_F(SshInterruptionsTest, RsyncOfTheServerIsKilled) {
  Kill(server_.Options(), server_.incoming(), 3,
       [this](Client*) { return server_.KillSessions("rsync") > 0; });
}

TEST_F(SshInterruptionsTest, SshdIsKilled) {
  const auto kill_it = [this](Client*) {
    server_.Stop();
    return true;
  };
  Kill(server_.Options(), server_.incoming(), 4, kill_it, [this] { server_.Start(); });
}

// Half of it has passed each time: what follows is the other half.
TEST_F(SshInterruptionsTest, OfALargeFileAWindowIsSentTwiceAtMost) {
  constexpr uint64_t kSize = 40'000'000;
  const struct {
    const char* what;
    std::function<void(pid_t)> breaks;
  } kCases[] = {
      {"rsync", [](pid_t pid) { kill(pid, SIGKILL); }},
      {"rsync and ssh", [](pid_t pid) { kill(-pid, SIGKILL); }},
      {"rsync of the server", [this](pid_t) { server_.KillSessions("rsync"); }},
      {"sshd and all it has", [this](pid_t) { server_.KillSessions(); }},
  };
  WriteFile(local_ / "a", Content(kSize, 1));
  for (const auto& c : kCases) {
    uint64_t passed = 0;
    {
      Road road(server_.Options());
      ASSERT_TRUE(road.Ready()) << road.ended();
      FileJob job = road.JobOf(local_ / "a", "CAM1/a");
      job.max_bytes_per_second = 10'000'000;  // Progress is told once a second.
      ASSERT_TRUE(road.client->Begin(job).ok());
      ASSERT_TRUE(Eventually([&] { return road.moved(job.token) > kSize / 2; }));
      c.breaks(road.client->running());
      EXPECT_EQ(road.EndOf(job.token).outcome, FileOutcome::kRetry);
      passed = road.moved(job.token);
    }
    EXPECT_FALSE(std::filesystem::exists(server_.incoming() + "/CAM1/a")) << c.what;
    Road road(server_.Options());
    ASSERT_TRUE(road.Ready()) << road.ended();
    EXPECT_EQ(road.Send(local_ / "a", "CAM1/a").outcome, FileOutcome::kDurable);
    ASSERT_TRUE(Eventually([&] { return road.client->stats().sent_bytes > 0; }));
    EXPECT_LE(road.client->stats().sent_bytes, kSize - passed + kInFlightBytes) << c.what;
    EXPECT_TRUE(ReadFile(server_.incoming() + "/CAM1/a") == ReadFile(local_ / "a")) << c.what;
    EXPECT_THAT(FilesBelow(server_.incoming()), ElementsAre("CAM1/a")) << c.what;
    std::filesystem::remove(server_.incoming() + "/CAM1/a");
  }
}

// The client was not told that it had arrived.
TEST_F(SshInterruptionsTest, WhatIsThereIsNotSentAgain) {
  constexpr uint64_t kSize = 2 * Client::kWindowBytes;
  WriteFile(local_ / "a", Content(kSize, 1));
  std::filesystem::create_directory(server_.incoming() + "/CAM1");
  std::filesystem::copy_file(local_ / "a", server_.incoming() + "/CAM1/a");
  Road road(server_.Options());
  ASSERT_TRUE(road.Ready()) << road.ended();
  EXPECT_EQ(road.Send(local_ / "a", "CAM1/a").outcome, FileOutcome::kDurable);
  ASSERT_TRUE(Eventually([&] { return road.client->stats().sent_bytes > 0; }));
  EXPECT_LT(road.client->stats().sent_bytes, kTalkBytes);
  EXPECT_THAT(FilesBelow(server_.incoming()), ElementsAre("CAM1/a"));
}

class DaemonInterruptionsTest : public InterruptionsTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "needs root: mounts and users for the daemon alone";
    daemon_ = std::make_unique<RealDaemon>();
  }
  std::unique_ptr<RealDaemon> daemon_;
};

TEST_F(DaemonInterruptionsTest, CutAtAnyOctet) {
  support::RelayInFront relay(daemon_->port());
  CutAtAnyOctet(daemon_->Options(), daemon_->incoming(), &relay, Rounds(6, 100));
}

TEST_F(DaemonInterruptionsTest, TheDaemonIsKilled) {
  const auto kill_it = [this](Client*) {
    daemon_->Stop();
    return true;
  };
  Kill(daemon_->Options(), daemon_->incoming(), 5, kill_it, [this] { daemon_->Start(); });
}

}  // namespace
}  // namespace viaduct::rsync
