#include "core/transfer/transfer_scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace viaduct {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Next = TransferScheduler::Next;

constexpr uint64_t kMiB = 1u << 20;

class SchedulerTest : public testing::Test {
 protected:
  void Make() { scheduler_ = std::make_unique<TransferScheduler>(options_); }
  void Add(int64_t sequence, Priority priority = Priority::kNormal, uint64_t size = 100'000) {
    scheduler_->Add({sequence, priority, size, 0});
  }
  static TransferScheduler::RoadView Road(const std::string& name, const std::string& plugin) {
    TransferScheduler::RoadView road;
    road.name = name;
    road.plugin = plugin;
    road.ready = true;
    road.credit = 100;
    road.quality = LinkQuality::kGood;
    return road;
  }
  std::vector<TransferScheduler::Start> Plan() { return scheduler_->Plan(roads_, now_ns_, wall_); }
  std::vector<int64_t> Started() {
    std::vector<int64_t> sequences;
    for (const auto& start : Plan()) sequences.push_back(start.sequence);
    return sequences;
  }
  std::string RoadTaken() {
    const auto starts = Plan();
    return starts.empty() ? "" : starts.front().road;
  }
  TransferScheduler::Verdict End(int64_t sequence, Outcome outcome,
                                 absl::StatusCode code = absl::StatusCode::kUnavailable) {
    TransferScheduler::Ended ended;
    ended.outcome = outcome;
    ended.code = code;
    return scheduler_->OnEnded(sequence, ended, now_ns_);
  }
  void Pass(absl::Duration time) {
    now_ns_ += absl::ToInt64Nanoseconds(time);
    wall_ += time;
  }

  TransferSchedulerOptions options_;
  std::unique_ptr<TransferScheduler> scheduler_;
  // As the standard rules name them; the scheduler knows none by itself.
  std::vector<TransferScheduler::RoadView> roads_ = {Road("north", "sftp"), Road("south", "rsync")};
  int64_t now_ns_ = 1'000'000'000;
  absl::Time wall_ = absl::FromUnixSeconds(1705276800);  // A midnight, UTC.
};

TEST_F(SchedulerTest, GoesByPriorityThenByOrder) {
  options_.files = 1;
  options_.urgent = 0;
  Make();
  Add(1, Priority::kLow);
  Add(2);
  Add(3, Priority::kHigh);
  Add(4);
  std::vector<int64_t> order;
  for (int i = 0; i < 4; ++i) {
    const auto started = Started();
    ASSERT_EQ(started.size(), 1u);
    order.push_back(started.front());
    EXPECT_EQ(End(started.front(), Outcome::kDurable).next, Next::kDone);
  }
  EXPECT_THAT(order, ElementsAre(3, 2, 4, 1));
}

TEST_F(SchedulerTest, ExplainsWhereAFileWouldGo) {
  Make();
  const Explanation small = scheduler_->Explain(1'000, Priority::kNormal, roads_, now_ns_);
  EXPECT_EQ(small.link, "north");
  EXPECT_EQ(small.why, "rule 2");
  roads_[0].ready = false;
  const Explanation down = scheduler_->Explain(1'000, Priority::kNormal, roads_, now_ns_);
  EXPECT_EQ(down.link, "south");
  EXPECT_EQ(down.why, "rule 2 says sftp, which cannot take it; it falls back to rsync");
  EXPECT_EQ(scheduler_->Explain(5u << 20, Priority::kNormal, roads_, now_ns_).link, "south");
}

TEST_F(SchedulerTest, TheConfigurationNamesTheFallback) {
  options_.fallback = {{"sftp", {"east"}}};
  roads_.push_back(Road("east", "other"));
  roads_[0].ready = false;
  Make();
  Add(1);
  EXPECT_EQ(RoadTaken(), "east");
}

TEST_F(SchedulerTest, IsBoundedByFilesBytesAndCredit) {
  options_.files = 5;
  options_.bytes = 250'000;
  Make();
  for (int i = 1; i <= 8; ++i) Add(i);
  EXPECT_EQ(Started().size(), 2u);  // 250 kB.
  roads_[0].credit = roads_[1].credit = 0;
  Add(9, Priority::kHigh);
  EXPECT_THAT(Started(), IsEmpty());
  roads_[0].credit = 1;
  EXPECT_THAT(Started(), ElementsAre(9));  // Beyond the bytes, within the credit.
}

TEST_F(SchedulerTest, FilesThatEveryRoadHasRefusedKeepNobodyWaiting) {
  constexpr int kRefused = TransferScheduler::kMaxAsked + 50;
  options_.files = kRefused;
  options_.bytes = uint64_t{kRefused} * 100'000;
  roads_[0].credit = roads_[1].credit = kRefused;
  Make();
  for (int i = 1; i <= kRefused; ++i) Add(i);
  for (int round = 0; round < 4; ++round) {
    for (const int64_t sequence : Started()) {
      End(sequence, Outcome::kRetry, absl::StatusCode::kInternal);
    }
  }
  Add(kRefused + 1);
  EXPECT_THAT(Started(), ElementsAre(kRefused + 1));
}

TEST_F(SchedulerTest, AHugeFileKeepsNobodyWaiting) {
  options_.large = 1;
  Make();
  Add(1, Priority::kNormal, 20'000 * kMiB);
  Add(2, Priority::kNormal, 20'000 * kMiB);
  Add(3, Priority::kLow);
  EXPECT_THAT(Started(), ElementsAre(1, 3));
  Add(4, Priority::kHigh, 20'000 * kMiB);
  EXPECT_THAT(Started(), ElementsAre(4));
}

TEST_F(SchedulerTest, FollowsTheStandardRulesOfFiles) {
  Make();
  Add(1, Priority::kHigh, 50 * kMiB);
  EXPECT_EQ(RoadTaken(), "north");
  Add(2, Priority::kNormal, kMiB - 1);
  EXPECT_EQ(RoadTaken(), "north");
  Add(3, Priority::kNormal, kMiB);
  EXPECT_EQ(RoadTaken(), "south");
  roads_[0].quality = LinkQuality::kFair;
  Add(4, Priority::kNormal, 1'000);
  EXPECT_EQ(RoadTaken(), "south");
  roads_[1].ready = false;
  Add(5, Priority::kNormal, 1'000);
  EXPECT_EQ(RoadTaken(), "north");
}

TEST_F(SchedulerTest, FallsBackAtOnceAndThenWaitsLonger) {
  options_.failures_to_open = 100;
  options_.retry = {absl::Seconds(1), absl::Seconds(8), 2, 0};
  Make();
  Add(1);
  EXPECT_EQ(RoadTaken(), "north");
  EXPECT_TRUE(End(1, Outcome::kRetry).attempt);
  EXPECT_EQ(RoadTaken(), "south");
  End(1, Outcome::kRetry);
  EXPECT_EQ(RoadTaken(), "");  // Both have failed.
  EXPECT_EQ(scheduler_->NextDueNanos(now_ns_), now_ns_ + 2'000'000'000);
  Pass(absl::Seconds(2));
  EXPECT_EQ(RoadTaken(), "north");
}

TEST_F(SchedulerTest, WithoutFallbackAFileStaysWithItsRoad) {
  options_.falls_back = false;
  options_.files = 2;
  options_.failures_to_open = 1'000;
  options_.retry = {absl::Seconds(1), absl::Seconds(1), 1, 0};
  Make();
  Add(1, Priority::kHigh);  // By the rules: sftp.
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(RoadTaken(), "north") << i;
    EXPECT_EQ(End(1, Outcome::kRetry).next, Next::kAgain);
    EXPECT_THAT(Started(), IsEmpty());  // Not the other one, though that is ready.
    Pass(absl::Milliseconds(1'001));
  }
  roads_[0].ready = false;
  EXPECT_THAT(Started(), IsEmpty());
  Add(2, Priority::kNormal, 10 * kMiB);
  EXPECT_EQ(RoadTaken(), "south");  // Whose rule names that.
  roads_[0].ready = true;
  EXPECT_EQ(RoadTaken(), "north");
}

TEST_F(SchedulerTest, LeavesARoadThatOnlyFailsAndTriesItWithOneFile) {
  options_.failures_to_open = 3;
  options_.retry = {absl::Seconds(1), absl::Seconds(60), 2, 0};
  roads_.pop_back();
  Make();
  for (int i = 1; i <= 5; ++i) Add(i);
  ASSERT_EQ(Started().size(), 5u);
  for (int i = 1; i <= 5; ++i) EXPECT_EQ(End(i, Outcome::kRetry).next, Next::kAgain);
  EXPECT_EQ(scheduler_->breaker("north", now_ns_), BreakerState::kOpen);
  EXPECT_THAT(Started(), IsEmpty());
  Pass(absl::Seconds(1));
  ASSERT_EQ(Started().size(), 1u);
  EXPECT_THAT(Started(), IsEmpty());
  EXPECT_EQ(End(1, Outcome::kDurable).next, Next::kDone);
  EXPECT_EQ(Started().size(), 4u);
}

TEST_F(SchedulerTest, AnOutageGivesUpNothingAndABadFileIsGivenUp) {
  options_.max_attempts = 3;
  options_.failures_to_open = 1'000'000;
  options_.retry = {absl::Milliseconds(1), absl::Milliseconds(1), 1, 0};
  roads_.pop_back();
  Make();
  Add(1);
  for (int i = 0; i < 50; ++i) {
    ASSERT_THAT(Started(), ElementsAre(1));
    ASSERT_EQ(End(1, Outcome::kRetry).next, Next::kAgain);
    Pass(absl::Seconds(1));
  }
  Next next = Next::kAgain;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(next, Next::kAgain);
    ASSERT_THAT(Started(), ElementsAre(1));
    next = End(1, Outcome::kRetry, absl::StatusCode::kPermissionDenied).next;
    Pass(absl::Seconds(1));
  }
  EXPECT_EQ(next, Next::kGiveUp);
  Add(2);
  ASSERT_THAT(Started(), ElementsAre(2));
  EXPECT_EQ(End(2, Outcome::kReject, absl::StatusCode::kAborted).next, Next::kGiveUp);
}

TEST_F(SchedulerTest, WhatWasTakenBackCountsNothing) {
  Make();
  Add(1);
  ASSERT_THAT(Started(), ElementsAre(1));
  const auto verdict = End(1, Outcome::kCancelled);
  EXPECT_EQ(verdict.next, Next::kAgain);
  EXPECT_FALSE(verdict.attempt);
  Pass(absl::Seconds(1));
  EXPECT_EQ(RoadTaken(), "north");
}

TEST_F(SchedulerTest, KeepsToTheWindowsButForWhatIsUrgent) {
  options_.schedule.windows = {{22 * 60, 6 * 60}};
  Make();
  Add(1);
  EXPECT_THAT(Started(), ElementsAre(1));  // Midnight.
  Pass(absl::Hours(6));
  EXPECT_THAT(scheduler_->Outside(roads_, wall_), ElementsAre(1));
  Add(2);
  Add(3, Priority::kHigh);
  EXPECT_THAT(Started(), ElementsAre(3));
  EXPECT_THAT(scheduler_->Outside(roads_, wall_), ElementsAre(1));
  Pass(absl::Hours(16));
  EXPECT_THAT(Started(), ElementsAre(2));
  EXPECT_THAT(scheduler_->Outside(roads_, wall_), IsEmpty());
}

TEST_F(SchedulerTest, WaitsForAGoodAndAFreeNetwork) {
  options_.schedule.min_quality = LinkQuality::kGood;
  options_.schedule.unmetered_only = true;
  Make();
  roads_[0].quality = LinkQuality::kFair;
  roads_[1].metered = true;
  Add(1);
  EXPECT_THAT(Started(), IsEmpty());
  Add(2, Priority::kHigh);
  EXPECT_THAT(Started(), ElementsAre(2));
  roads_[0].quality = LinkQuality::kExcellent;
  EXPECT_EQ(RoadTaken(), "north");
  roads_[0].metered = true;
  EXPECT_THAT(scheduler_->Outside(roads_, wall_), ElementsAre(1));
}

TEST_F(SchedulerTest, SharesTheBandwidthAndKeepsSomeForWhatIsUrgent) {
  options_.bytes_per_second = 1'000'000;
  Make();
  for (int i = 1; i <= 20; ++i) Add(i);
  uint64_t sum = 0;
  for (const auto& start : Plan()) {
    EXPECT_GT(start.bytes_per_second, 0u);
    sum += start.bytes_per_second;
  }
  EXPECT_LE(sum, 750'000u);
  EXPECT_GE(sum, 500'000u);
  Add(21, Priority::kHigh);
  const auto urgent = Plan();
  ASSERT_EQ(urgent.size(), 1u);
  EXPECT_LE(sum + urgent.front().bytes_per_second, 1'000'000u);
}

// Any order of events: every file ends once, bounds hold, nothing is begun twice.
TEST_F(SchedulerTest, EveryFileEndsWhateverHappens) {
  const char* given = std::getenv("VIADUCT_SEED");
  const uint64_t seed = given == nullptr ? absl::BitGen()() : std::stoull(given);
  SCOPED_TRACE(testing::Message() << "VIADUCT_SEED=" << seed);
  std::mt19937_64 random(seed);
  options_.files = 6;
  options_.urgent = 2;
  options_.bytes_per_second = 2'000'000;
  options_.retry = {absl::Milliseconds(100), absl::Seconds(2), 2, 0.2};
  Make();
  constexpr int kFiles = 400;
  std::set<int64_t> waiting;
  std::map<int64_t, uint64_t> active;
  std::set<int64_t> ended;
  for (int added = 0, step = 0; ended.size() < kFiles; ++step) {
    ASSERT_LT(step, 200'000);
    if (added < kFiles && random() % 3 == 0) {
      Add(++added, static_cast<Priority>(random() % 3), random() % (20 * kMiB));
      waiting.insert(added);
    }
    for (auto& road : roads_) {
      if (random() % 50 == 0) road.ready = !road.ready;
      road.credit = random() % 4;
      road.quality = static_cast<LinkQuality>(random() % 5);
    }
    uint64_t rate = 0;
    for (const auto& start : Plan()) {
      ASSERT_EQ(waiting.erase(start.sequence), 1u);
      ASSERT_TRUE(active.emplace(start.sequence, start.bytes_per_second).second);
    }
    for (const auto& [sequence, share] : active) rate += share;
    ASSERT_LE(active.size(), 8u);
    ASSERT_LE(rate, 2'000'000u);
    if (!active.empty() && random() % 2 == 0) {
      auto it = std::next(active.begin(), static_cast<std::ptrdiff_t>(random() % active.size()));
      const int64_t sequence = it->first;
      active.erase(it);
      const Outcome outcomes[] = {Outcome::kDurable, Outcome::kRetry, Outcome::kDurable,
                                  Outcome::kCancelled, Outcome::kReject};
      const auto verdict = End(sequence, outcomes[random() % 5]);
      if (verdict.next == Next::kAgain) {
        waiting.insert(sequence);
      } else {
        ASSERT_TRUE(ended.insert(sequence).second);
      }
    }
    Pass(absl::Milliseconds(random() % 200));
  }
  EXPECT_EQ(scheduler_->waiting() + scheduler_->active(), 0u);
}

}  // namespace
}  // namespace viaduct
