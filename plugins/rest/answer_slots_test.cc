#include "plugins/rest/answer_slots.h"

#include <gtest/gtest.h>

#include <thread>

namespace viaduct::rest {
namespace {

constexpr absl::Duration kDeadline = absl::Seconds(20);

HttpReply Reply(int status) { return HttpReply{status, {}, ""}; }

TEST(AnswerSlots, GivesTheAnswerToItsWaiter) {
  AnswerSlots slots(2);
  const auto first = slots.Open();
  const auto second = slots.Open();
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(slots.Open());
  std::thread host([&] {
    slots.Answer(*second, Reply(202));
    slots.Answer(*first, Reply(201));
  });
  EXPECT_EQ(slots.Wait(*first, kDeadline)->status, 201);
  EXPECT_EQ(slots.Wait(*second, kDeadline)->status, 202);
  host.join();
  EXPECT_TRUE(slots.Open());
}

TEST(AnswerSlots, ALateAnswerIsNotMistakenForTheNext) {
  AnswerSlots slots(1);
  const auto old = slots.Open();
  EXPECT_FALSE(slots.Wait(*old, absl::Milliseconds(1)));
  const auto next = slots.Open();
  ASSERT_TRUE(next);
  EXPECT_NE(*old, *next);
  slots.Answer(*old, Reply(500));
  slots.Answer(*next, Reply(200));
  slots.Answer(*next, Reply(500));
  EXPECT_EQ(slots.Wait(*next, kDeadline)->status, 200);
}

TEST(AnswerSlots, CloseEndsEveryWait) {
  AnswerSlots slots(1);
  const auto token = slots.Open();
  std::thread stopper([&] { slots.Close(); });
  EXPECT_FALSE(slots.Wait(*token, absl::InfiniteDuration()));
  stopper.join();
  EXPECT_FALSE(slots.Open());
}

}  // namespace
}  // namespace viaduct::rest
