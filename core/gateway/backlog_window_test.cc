#include "core/gateway/backlog_window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <random>

#include "core/gateway/backlog_pace.h"

namespace viaduct {
namespace {

constexpr double kSecond = 1e9;

// A road that takes `delay` and passes so many octets a second, in order; its peer confirms what
// has come every `sync` at once. Something live goes over it now and then.
class Road {
 public:
  Road(double delay_s, double bytes_per_second, double sync_s, uint64_t message)
      : delay_s_(delay_s), rate_(bytes_per_second), sync_s_(sync_s), message_(message) {}

  // Fills the window for so long.
  void Drain(double seconds) {
    const double end = now_ + seconds;
    double next_sync = now_;
    double next_live = now_;
    confirmed_ = 0;
    live_worst_ = 0;
    while (now_ < end) {
      now_ += std::min(sync_s_, delay_s_) / 8;
      while (now_ >= next_live) Send(true), next_live += 0.1;
      while (window_.bytes(static_cast<int64_t>(now_ * kSecond)) > in_flight_ || (in_flight_ == 0))
        Send(false);
      if (now_ < next_sync) continue;
      next_sync = now_ + sync_s_;
      Confirm();
    }
  }
  double throughput(double seconds) const { return static_cast<double>(confirmed_) / seconds; }
  double live_worst() const { return live_worst_; }
  const BacklogWindow& window() const { return window_; }

 private:
  struct Sent {
    double at;
    double arrives;
    bool alone;
    bool live;
  };

  void Send(bool live) {
    passed_ = std::max(passed_, now_) + static_cast<double>(message_) / rate_;
    sent_.push_back({now_, passed_ + delay_s_, in_flight_ == 0, live});
    in_flight_ += message_;
  }
  void Confirm() {
    double slowest = 0;
    uint64_t bytes = 0;
    bool alone = false;
    while (!sent_.empty() && sent_.front().arrives <= now_) {
      const Sent& one = sent_.front();
      slowest = std::max(slowest, now_ - one.at);
      if (one.live) live_worst_ = std::max(live_worst_, now_ - one.at);
      alone = alone || one.alone;
      bytes += message_;
      sent_.pop_front();
    }
    if (bytes == 0) return;
    confirmed_ += bytes;
    window_.OnConfirmed(static_cast<int64_t>(slowest * kSecond), bytes, in_flight_, alone,
                        static_cast<int64_t>(now_ * kSecond));
    in_flight_ -= bytes;
  }

  const double delay_s_;
  const double rate_;
  const double sync_s_;
  const uint64_t message_;
  BacklogWindow window_;
  std::deque<Sent> sent_;
  double now_ = 1;
  double passed_ = 0;
  uint64_t in_flight_ = 0;
  uint64_t confirmed_ = 0;
  double live_worst_ = 0;
};

struct Case {
  const char* name;
  double delay_s;
  double bytes_per_second;
  double sync_s;
  uint64_t message;
};

class BacklogWindowTest : public testing::TestWithParam<Case> {};

TEST_P(BacklogWindowTest, DrainsWellAndLeavesTheRoadToWhatIsLive) {
  const Case& c = GetParam();
  Road road(c.delay_s, c.bytes_per_second, c.sync_s, c.message);
  road.Drain(60 + 50 * c.delay_s);               // Until it knows the road.
  for (int minute = 0; minute < 15; ++minute) {  // Longer than minima are kept.
    road.Drain(60);
    EXPECT_GE(road.throughput(60), 0.85 * c.bytes_per_second) << "minute " << minute;
    const double idle =
        c.delay_s + c.sync_s * 1.5 + static_cast<double>(c.message) / c.bytes_per_second;
    EXPECT_LE(road.live_worst(), 2 * idle + 0.03) << "minute " << minute;
  }
}

INSTANTIATE_TEST_SUITE_P(Roads, BacklogWindowTest,
                         testing::Values(Case{"loopback", 0.002, 8e6, 0.002, 300},
                                         Case{"urban", 0.010, 4e6, 0.003, 300},
                                         Case{"suburban", 0.160, 1e6, 0.003, 300},
                                         Case{"rural", 0.8, 32e3, 0.003, 300},
                                         Case{"groups", 0.002, 4e6, 0.050, 600},
                                         Case{"pictures", 0.1, 1e6, 0.003, 20'000}),
                         [](const auto& info) { return info.param.name; });

TEST(BacklogWindowFailureTest, FailuresHalveItOnceForATrouble) {
  BacklogWindow window;
  const uint64_t before = window.bytes(0);
  for (int i = 0; i < 10; ++i) window.OnFailed(1'000'000'000);
  EXPECT_EQ(window.bytes(0), before / 2);
  window.OnFailed(2'000'000'000);
  EXPECT_EQ(window.bytes(0), before / 4);
  for (int64_t i = 3; i < 60; ++i) window.OnFailed(i * 1'000'000'000);
  EXPECT_GT(window.bytes(0), 0u);
}

TEST(BacklogWindowFailureTest, ASlowDownEndsWhereNothingIsConfirmedAnyMore) {
  constexpr int64_t kMilli = 1'000'000;
  BacklogWindow window;
  int64_t now = kMilli;
  while (window.bytes(now) > 0 && now < 100'000 * kMilli) {
    now += 10 * kMilli;
    window.OnConfirmed(5 * kMilli, 1000, 1 << 20, /*alone=*/false, now);
  }
  ASSERT_EQ(window.bytes(now), 0u);
  EXPECT_GT(window.bytes(now + 1'000 * kMilli), 0u);
}

// From Ethernet to LTE: between the two nothing is confirmed for a while.
TEST(BacklogWindowRoadTest, IsLearnedAnewWhereNothingWasConfirmedForLong) {
  Road ethernet(0.01, 100e6, 0.002, 3000);
  ethernet.Drain(30);
  BacklogWindow window = ethernet.window();
  int64_t now = 31'000'000'000;
  const uint64_t large = window.bytes(now);
  ASSERT_GT(large, 500'000u);
  EXPECT_EQ(window.bytes(now + 5'000'000'000), large) << "a pause is no other road";
  now += 30'000'000'000;
  EXPECT_LE(window.bytes(now), 64'000u);
  window.OnConfirmed(300'000'000, 20'000, 20'000, /*alone=*/true, now);
  EXPECT_LE(window.bytes(now), 80'000u) << "the rate of the old road";
  EXPECT_EQ(window.base_ns(), 300'000'000) << "the delay of the old road";
}

TEST(BacklogPaceTest, GivesSoManyASecond) {
  BacklogPace pace(10);
  int64_t now = 1'000'000'000;
  EXPECT_EQ(pace.Available(now), 10u);
  pace.Spend(10);
  EXPECT_EQ(pace.Available(now), 0u);
  EXPECT_NEAR(static_cast<double>(pace.NextNanos() - now), 1e8, 1e3);
  now += 250'000'000;
  EXPECT_EQ(pace.Available(now), 2u);
  EXPECT_EQ(BacklogPace(0).NextNanos(), 0);
}

}  // namespace
}  // namespace viaduct
