#include "core/store/write_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class WriteQueueTest : public ::testing::Test {
 protected:
  static std::vector<StoreRecord> Records(size_t count) {
    return std::vector<StoreRecord>(count, CommunicationRecord());
  }
  void Hurried(size_t count) {
    queue_.Append(Records(count), [](std::vector<AppendResult>) {});
  }
  void Unhurried(size_t count) { queue_.Append(Records(count), nullptr); }
  // The records of each item of the next group.
  std::vector<size_t> Take() {
    std::vector<size_t> sizes;
    const WriteQueue::Group group = queue_.Take(absl::ZeroDuration());
    for (const auto& item : group) sizes.push_back(item->records.size());
    queue_.Forget(group);
    return sizes;
  }

  WriteQueue queue_{WriteQueue::Options()};
};

TEST_F(WriteQueueTest, WhatNobodyWaitsForGoesBesideWhatSomebodyWaitsFor) {
  Unhurried(3);
  Unhurried(3);
  Unhurried(3);
  EXPECT_THAT(Take(), IsEmpty());
  Hurried(3);
  EXPECT_THAT(Take(), ElementsAre(3, 3, 3));
  Hurried(1);
  EXPECT_THAT(Take(), ElementsAre(1));  // Which is not to wait for much more than itself.
  Hurried(2);
  EXPECT_THAT(Take(), ElementsAre(2, 3));
}

TEST_F(WriteQueueTest, MuchThatNobodyWaitsForGoesByItself) {
  Unhurried(kMostUnhurried - 1);
  EXPECT_THAT(Take(), IsEmpty());
  Unhurried(1);
  EXPECT_THAT(Take(), ElementsAre(kMostUnhurried - 1, 1));
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(WriteQueueTest, NothingComesAfterAllThatWasBeforeIt) {
  Unhurried(5);
  Hurried(0);
  Unhurried(20);
  EXPECT_THAT(Take(), ElementsAre(5, 0));
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(WriteQueueTest, AllIsHandedOutBeforeTheEnd) {
  Unhurried(5);
  queue_.Stop();
  EXPECT_FALSE(queue_.Exhausted());
  EXPECT_THAT(Take(), ElementsAre(5));
  EXPECT_TRUE(queue_.Exhausted());
}

TEST_F(WriteQueueTest, OnlyWhatSomebodyWaitsForIsToldAsQueued) {
  Unhurried(5);
  EXPECT_EQ(queue_.queued_records(), 0);
  Hurried(3);
  EXPECT_EQ(queue_.queued_records(), 3);
}

}  // namespace
}  // namespace viaduct
