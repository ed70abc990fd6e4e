#include "plugins/mqtt/answer_watch.h"

#include <gtest/gtest.h>

namespace viaduct::mqtt {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kLimit = 60 * kSecond;

AnswerWatch::Wire Idle(uint64_t received_bytes = 0) { return {true, true, received_bytes}; }

TEST(AnswerWatchTest, NothingSentIsNeverOverdue) {
  AnswerWatch watch(kLimit);
  EXPECT_FALSE(watch.Overdue(kSecond, Idle()));
  EXPECT_FALSE(watch.Overdue(1000 * kSecond, Idle()));
}

TEST(AnswerWatchTest, SentAndNeverAnswered) {
  AnswerWatch watch(kLimit);
  watch.Sent();
  EXPECT_FALSE(watch.Overdue(kSecond, Idle()));
  EXPECT_FALSE(watch.Overdue(60 * kSecond, Idle()));
  watch.Sent();  // More of it changes nothing, nor does a trickle that comes the other way.
  EXPECT_TRUE(watch.Overdue(61 * kSecond, Idle(600)));
}

TEST(AnswerWatchTest, EachAnswerBeginsAnew) {
  AnswerWatch watch(kLimit);
  watch.Sent();
  watch.Sent();
  EXPECT_FALSE(watch.Overdue(kSecond, Idle()));
  watch.Answered();
  EXPECT_FALSE(watch.Overdue(61 * kSecond, Idle()));
  EXPECT_TRUE(watch.Overdue(121 * kSecond, Idle()));
  watch.Answered();
  EXPECT_FALSE(watch.Overdue(400 * kSecond, Idle()));
}

TEST(AnswerWatchTest, SlowLineIsNoBrokenOne) {
  AnswerWatch watch(kLimit);
  watch.Sent();
  // Not sent yet: no answer is due.
  EXPECT_FALSE(watch.Overdue(kSecond, {false, true, 0}));
  EXPECT_FALSE(watch.Overdue(300 * kSecond, {false, true, 0}));
  EXPECT_FALSE(watch.Overdue(301 * kSecond, Idle()));
  // A large packet comes in before it.
  EXPECT_FALSE(watch.Overdue(361 * kSecond, Idle(1'000'000)));
  EXPECT_TRUE(watch.Overdue(421 * kSecond, Idle(1'000'000)));
}

TEST(AnswerWatchTest, WhoDoesNotReadCanNotComplain) {
  AnswerWatch watch(kLimit);
  watch.Sent();
  EXPECT_FALSE(watch.Overdue(kSecond, Idle()));
  EXPECT_FALSE(watch.Overdue(100 * kSecond, {true, false, 0}));
  EXPECT_FALSE(watch.Overdue(101 * kSecond, Idle()));
  EXPECT_TRUE(watch.Overdue(161 * kSecond, Idle()));
}

}  // namespace
}  // namespace viaduct::mqtt
