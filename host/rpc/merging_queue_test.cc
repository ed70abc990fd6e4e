#include "host/rpc/merging_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace viaduct::rpc {
namespace {

using ::testing::ElementsAre;

using Queue = MergingQueue<std::string>;
constexpr Queue::Limits kRoomy = {100, 1000};

std::vector<std::string> TakeAll(Queue* queue) {
  std::vector<std::string> all;
  while (!queue->empty()) all.push_back(queue->TakeFront());
  EXPECT_EQ(queue->size(), 0u);
  EXPECT_EQ(queue->bytes(), 0u);
  return all;
}

TEST(MergingQueue, OneWithAKeyTakesThePlaceOfTheOneThatWaits) {
  Queue queue;
  EXPECT_EQ(queue.Put("a", "a1", 10, kRoomy), 0u);
  EXPECT_EQ(queue.Put("", "x", 1, kRoomy), 0u);
  EXPECT_EQ(queue.Put("b", "b1", 10, kRoomy), 0u);
  EXPECT_EQ(queue.Put("a", "a2", 30, kRoomy), 0u);
  EXPECT_EQ(queue.Put("", "y", 1, kRoomy), 0u);
  EXPECT_EQ(queue.bytes(), 42u);
  EXPECT_THAT(TakeAll(&queue), ElementsAre("a2", "x", "b1", "y"));
  EXPECT_EQ(queue.Put("a", "a3", 10, kRoomy), 0u) << "what was taken waits no longer";
  EXPECT_EQ(queue.Put("b", "b2", 10, kRoomy), 0u);
  EXPECT_THAT(TakeAll(&queue), ElementsAre("a3", "b2"));
}

TEST(MergingQueue, TheOldestGoForWhatDoesNotFit) {
  Queue queue;
  for (const char* key : {"a", "b", "c"}) queue.Put(key, key, 10, {3, 100});
  EXPECT_EQ(queue.Put("d", "d", 10, {3, 100}), 1u);
  EXPECT_EQ(queue.Put("a", "a", 10, {3, 100}), 1u) << "it was dropped, so it is new";
  EXPECT_EQ(queue.Put("e", "e", 85, {3, 100}), 2u);
  EXPECT_EQ(queue.Put("", "large", 500, {3, 100}), 2u);
  EXPECT_EQ(queue.bytes(), 500u);
  EXPECT_THAT(TakeAll(&queue), ElementsAre("large"));
}

TEST(MergingQueue, ForgetsEverything) {
  Queue queue;
  queue.Put("a", "a1", 10, kRoomy);
  queue.Clear();
  EXPECT_TRUE(queue.empty());
  queue.Put("a", "a2", 5, kRoomy);
  EXPECT_EQ(queue.bytes(), 5u);
  EXPECT_THAT(TakeAll(&queue), ElementsAre("a2"));
}

}  // namespace
}  // namespace viaduct::rpc
