#include "host/node/command_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CommandMemoryTest : public ::testing::Test {
 protected:
  // The reply to a command that is new, else nothing.
  ReplyFn Enter(const std::string& key) {
    return memory_.Enter(key, [this](CallReply reply) { replies_.push_back(std::move(reply)); });
  }
  std::vector<std::string> Bodies() const {
    std::vector<std::string> bodies;
    for (const CallReply& reply : replies_) bodies.push_back(reply.body);
    return bodies;
  }

  CommandMemory memory_;
  std::vector<CallReply> replies_;
};

TEST_F(CommandMemoryTest, OneThatComesTwiceGetsTheAnswerOfTheFirst) {
  const ReplyFn first = Enter("a");
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(Enter("a"), nullptr);
  EXPECT_THAT(replies_, IsEmpty()) << "there is no answer yet";
  EXPECT_NE(Enter("b"), nullptr) << "another one";
  first({200, {}, "done"});
  EXPECT_EQ(Enter("a"), nullptr);
  EXPECT_THAT(Bodies(), ElementsAre("done", "done", "done"));
}

TEST_F(CommandMemoryTest, WhatWasNotDoneMayComeAgain) {
  Enter("a")({503, {}, "busy"});
  EXPECT_NE(Enter("a"), nullptr);
}

TEST_F(CommandMemoryTest, IsBounded) {
  const ReplyFn first = Enter("0");
  for (size_t i = 0; i < CommandMemory::kMaxWaiting; ++i) EXPECT_EQ(Enter("0"), nullptr);
  EXPECT_EQ(Enter("0"), nullptr);
  ASSERT_EQ(replies_.size(), 1u);
  EXPECT_EQ(replies_[0].status, 503);
  for (size_t i = 1; i <= CommandMemory::kMaxCommands; ++i) {
    EXPECT_NE(Enter(absl::StrCat(i)), nullptr);
  }
  first({200, {}, "done"});  // Forgotten, and yet it answers who waits for it.
  EXPECT_EQ(replies_.size(), 2 + CommandMemory::kMaxWaiting);
  EXPECT_NE(Enter("0"), nullptr);
  Enter("large")({200, {}, std::string(CommandMemory::kMaxAnswerBytes + 1, 'x')});
  EXPECT_EQ(Enter("large"), nullptr);
  EXPECT_LT(replies_.back().body.size(), 100u);
  EXPECT_EQ(replies_.back().status, 200);
}

}  // namespace
}  // namespace viaduct
