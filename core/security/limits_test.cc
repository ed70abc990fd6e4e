#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/security/bucket_table.h"
#include "core/security/connection_caps.h"
#include "core/security/memory_budget.h"
#include "core/security/rate_limiter.h"

namespace viaduct::security {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kSecond = 1'000'000'000;

TEST(BucketTableTest, GivesItsBurstThenItsRate) {
  BucketTable table({10, 5}, 100);
  int64_t now = kSecond;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(table.WaitFor("a", 1, now), absl::ZeroDuration()) << i;
    table.Take("a", 1, now);
  }
  EXPECT_EQ(table.WaitFor("a", 1, now), absl::Milliseconds(100));
  EXPECT_EQ(table.WaitFor("b", 1, now), absl::ZeroDuration());
  now += kSecond / 10;
  EXPECT_EQ(table.WaitFor("a", 1, now), absl::ZeroDuration());
  table.Take("a", 1, now);
  EXPECT_GT(table.WaitFor("a", 1, now), absl::ZeroDuration());
  // A long pause gives the burst, not more.
  now += 1000 * kSecond;
  table.Take("a", 5, now);
  EXPECT_EQ(table.WaitFor("a", 1, now), absl::Milliseconds(100));
}

TEST(BucketTableTest, WhatIsLargerThanTheBurstPassesAndIsPaidOff) {
  BucketTable table({1, 2}, 10);
  EXPECT_EQ(table.WaitFor("a", 10, 0), absl::ZeroDuration());
  table.Take("a", 10, 0);
  EXPECT_EQ(table.WaitFor("a", 1, 0), absl::Seconds(9));
}

TEST(BucketTableTest, ACrowdOfNamesForgivesNobody) {
  BucketTable table({1, 1}, 100);
  const int64_t now = kSecond;
  table.Take("debtor", 1, now);
  int admitted = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::string name = absl::StrCat("crowd ", i);
    if (table.WaitFor(name, 1, now) > absl::ZeroDuration()) continue;
    table.Take(name, 1, now);
    ++admitted;
  }
  EXPECT_EQ(table.size(), 100u);
  EXPECT_EQ(admitted, 100);  // 99 of their own, and one of all the others.
  EXPECT_GT(table.WaitFor("debtor", 1, now), absl::ZeroDuration());
  // When they have paid, others take their places.
  EXPECT_EQ(table.WaitFor("later", 1, now + 2 * kSecond), absl::ZeroDuration());
  EXPECT_EQ(table.size(), 100u);
}

TEST(BucketTableTest, NoRateIsNoLimitAndNoMemory) {
  BucketTable table({0, 1}, 100);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(table.WaitFor(absl::StrCat(i), 1, 0), absl::ZeroDuration());
    table.Take(absl::StrCat(i), 1, 0);
  }
  EXPECT_EQ(table.size(), 0u);
}

TEST(BucketTableTest, AClockThatStandsStillGivesNothing) {
  BucketTable table({1000, 1}, 10);
  table.Take("a", 1, 5 * kSecond);
  EXPECT_GT(table.WaitFor("a", 1, 5 * kSecond), absl::ZeroDuration());
  EXPECT_GT(table.WaitFor("a", 1, 4 * kSecond), absl::ZeroDuration());
}

TEST(AddressKeyTest, IsTheHostOrItsNetwork) {
  const struct {
    const char* peer;
    const char* key;
  } kCases[] = {
      {"192.0.2.7:51234", "192.0.2.7"},
      {"192.0.2.7", "192.0.2.7"},
      {"[2001:db8:1:2:3:4:5:6]:443", "net 20010db800010002"},
      {"2001:db8:1:2::9", "net 20010db800010002"},
      {"[::ffff:192.0.2.7]:1", "192.0.2.7"},
      {"[fe80::1%eth0]:1", "net fe80000000000000"},
      {"unix:", "unix:"},
      {"mqtt:CAM001", "mqtt:CAM001"},
      {"", ""},
      {"[", "["},
  };
  for (const auto& one : kCases) EXPECT_EQ(AddressKey(one.peer), one.key) << one.peer;
  EXPECT_LE(AddressKey(std::string(10'000, 'x')).size(), 128u);
}

class RateLimiterTest : public testing::Test {
 protected:
  absl::Status Admit(std::string_view device, std::string_view credential,
                     std::string_view address) {
    retry_after_ = absl::ZeroDuration();
    return limiter_->Admit({device, credential, address}, 1, &retry_after_);
  }
  void Make(const RateLimits& limits) { limiter_ = std::make_unique<RateLimiter>(limits, &clock_); }

  FakeClock clock_;
  std::unique_ptr<RateLimiter> limiter_;
  absl::Duration retry_after_;
};

TEST_F(RateLimiterTest, EachOfTheThreeLimits) {
  RateLimits limits;
  limits.device = {1, 2};
  limits.credential = {1, 3};
  limits.address = {1, 4};
  Make(limits);
  EXPECT_TRUE(Admit("A", "k", "192.0.2.1:1").ok());
  EXPECT_TRUE(Admit("A", "k", "192.0.2.1:2").ok());
  const absl::Status device = Admit("A", "k", "192.0.2.1:3");
  EXPECT_EQ(device.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(device.message()), HasSubstr("device: too many requests"));
  EXPECT_EQ(retry_after_, absl::Seconds(1));
  EXPECT_TRUE(Admit("B", "k", "192.0.2.1:1").ok());  // The refusal before cost nobody anything.
  EXPECT_THAT(std::string(Admit("C", "k", "192.0.2.1:1").message()), HasSubstr("credential"));
  EXPECT_TRUE(Admit("C", "l", "192.0.2.1:1").ok());
  EXPECT_THAT(std::string(Admit("D", "m", "192.0.2.1:9").message()), HasSubstr("address"));
  EXPECT_TRUE(Admit("D", "m", "192.0.2.2:9").ok());
  EXPECT_EQ(limiter_->refused(), 3u);
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(Admit("A", "k", "192.0.2.1:1").ok());
  clock_.JumpWall(absl::Hours(-1000));  // Nothing hangs on the wall clock.
  EXPECT_FALSE(Admit("A", "k", "192.0.2.1:1").ok());
}

TEST_F(RateLimiterTest, WhatHasNoNameIsNotCounted) {
  RateLimits limits;
  limits.device = limits.credential = limits.address = {1, 1};
  Make(limits);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(Admit("", "", "").ok());
}

TEST_F(RateLimiterTest, FailuresOfAnAddressAreSlowedDown) {
  RateLimits limits;
  limits.failure = {0.1, 3};
  Make(limits);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(limiter_->AdmitAttempt("192.0.2.1:1", &retry_after_).ok());
    limiter_->NoteFailure("192.0.2.1:1");
  }
  EXPECT_FALSE(limiter_->AdmitAttempt("192.0.2.1:2", &retry_after_).ok());
  EXPECT_EQ(retry_after_, absl::Seconds(10));
  EXPECT_TRUE(limiter_->AdmitAttempt("192.0.2.2:1", &retry_after_).ok());
  clock_.Advance(absl::Seconds(10));
  EXPECT_TRUE(limiter_->AdmitAttempt("192.0.2.1:2", &retry_after_).ok());
}

TEST(IdentityKeyTest, IsWhoItIsAndByWhat) {
  Principal anna;
  anna.id = "anna";
  anna.proof = Proof::kToken;
  anna.proof_id = "k1";
  Principal bert = anna;
  bert.id = "bert";
  EXPECT_NE(IdentityKey(anna), IdentityKey(bert));  // Tokens share the kid.
  Principal tool = anna;
  tool.kind = PrincipalKind::kTool;
  EXPECT_NE(IdentityKey(anna), IdentityKey(tool));
  anna.proof = bert.proof = Proof::kPassword;
  anna.proof_id = bert.proof_id = "";
  EXPECT_NE(IdentityKey(anna), IdentityKey(bert));
  Principal longer = anna;
  longer.id = std::string(kMaxPrincipalIdBytes, 'a');
  longer.proof_id = "1";
  Principal other = longer;
  other.proof_id = "2";
  EXPECT_NE(IdentityKey(longer), IdentityKey(other));
}

TEST_F(RateLimiterTest, AFailureCostsAnAddressManyCalls) {
  RateLimits limits;
  limits.address = {0.1, 11};
  Make(limits);
  limiter_->NoteFailure("192.0.2.1:1");
  EXPECT_TRUE(Admit("", "", "192.0.2.1:1").ok());
  EXPECT_FALSE(Admit("", "", "192.0.2.1:1").ok());
}

TEST_F(RateLimiterTest, ManyThreadsGetNoMoreThanThereIs) {
  RateLimits limits;
  limits.address = {1, 1000};
  Make(limits);
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) {
        absl::Duration wait;
        if (limiter_->Admit({"", "", "192.0.2.1:1"}, 1, &wait).ok()) ++admitted;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 1000);
}

TEST(ConnectionCapsTest, CountsAllAndEachAddress) {
  ConnectionCaps caps({4, 2});
  auto a = caps.Open("192.0.2.1:1");
  auto b = caps.Open("192.0.2.1:2");
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_THAT(std::string(caps.Open("192.0.2.1:3").status().message()), HasSubstr("address"));
  auto c = caps.Open("192.0.2.2:1");
  auto d = caps.Open("192.0.2.3:1");
  EXPECT_EQ(caps.Open("192.0.2.4:1").status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(caps.open(), 4u);
  EXPECT_EQ(caps.refused(), 2u);
  ConnectionSlot moved = std::move(*a);
  *b = std::move(moved);  // One of two of the first address ends.
  EXPECT_EQ(caps.open(), 3u);
  EXPECT_TRUE(caps.Open("192.0.2.1:3").ok());  // And ends at once.
  b->Release();
  b->Release();
  EXPECT_EQ(caps.open(), 2u);
}

TEST(MemoryBudgetTest, GivesWhatThereIsAndTakesItBack) {
  MemoryBudget budget(100);
  MemoryShare a;
  MemoryShare b;
  ASSERT_TRUE(budget.Acquire(60, &a).ok());
  EXPECT_EQ(budget.Acquire(41, &b).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(budget.Acquire(SIZE_MAX, &b).code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(budget.Acquire(40, &b).ok());
  EXPECT_FALSE(a.Resize(61).ok());
  EXPECT_EQ(a.bytes(), 60u);
  ASSERT_TRUE(a.Resize(10).ok());
  ASSERT_TRUE(b.Resize(90).ok());
  EXPECT_EQ(budget.used(), 100u);
  MemoryShare moved = std::move(b);
  a = std::move(moved);
  EXPECT_EQ(budget.used(), 90u);
  a.Release();
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_EQ(budget.peak(), 100u);
  EXPECT_EQ(budget.refused(), 3u);
  EXPECT_FALSE(a.Resize(1).ok());
}

TEST(MemoryBudgetTest, HoldsUnderManyThreads) {
  MemoryBudget budget(1000);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (size_t n = 0; n < 5000; ++n) {
        MemoryShare share;
        if (!budget.Acquire(n % 700, &share).ok()) continue;
        EXPECT_LE(budget.used(), 1000u);
        share.Resize(n % 900).IgnoreError();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_LE(budget.peak(), 1000u);
}

}  // namespace
}  // namespace viaduct::security
