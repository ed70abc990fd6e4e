#include "core/transfer/transfer_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/sqlite.h"
#include "core/transfer/transfer_test_support.h"

namespace viaduct {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TransferQueueTest : public testing::Test {
 protected:
  TransferQueueTest() { options_.path = folder_.File("transfers.db"); }
  std::unique_ptr<TransferQueue> Open() {
    auto queue = TransferQueue::Open(options_, &clock_, &log_);
    EXPECT_TRUE(queue.ok()) << queue.status();
    return queue.ok() ? *std::move(queue) : nullptr;
  }
  static std::vector<std::string> Ids(const TransferQueue& queue, TransferFilter filter = {}) {
    std::vector<std::string> ids;
    auto page = queue.List(filter, 1000, "");
    EXPECT_TRUE(page.ok()) << page.status();
    for (const Transfer& transfer : page->transfers) ids.push_back(transfer.id);
    return ids;
  }

  TransferTestFolder folder_;
  SystemClock clock_;
  NullLog log_;
  TransferQueueOptions options_;
};

TEST_F(TransferQueueTest, KeepsEveryFieldOverARestart) {
  Transfer transfer = TestTransfer(7, Priority::kHigh, uint64_t{20} << 30);
  transfer.owner = FileOwner::kWatch;
  transfer.held = true;
  transfer.index = 3;
  transfer.attempts = 4;
  transfer.strikes = 2;
  transfer.last_error = "a \"quoted\" \xff error";
  transfer.road = "north";
  transfer.durable = {{"north", uint64_t{1} << 33}, {"south", 5}};
  transfer.announced = transfer.server_stored = true;
  transfer.state = TransferState::kWaitingConfirmation;
  ASSERT_TRUE(AddOne(Open().get(), transfer).ok());
  const auto queue = Open();
  const auto again = queue->Get(TestId(7));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->sequence, 1);
  EXPECT_EQ(again->size, uint64_t{20} << 30);
  EXPECT_EQ(again->priority, Priority::kHigh);
  EXPECT_EQ(again->owner, FileOwner::kWatch);
  EXPECT_TRUE(again->held && again->announced && again->server_stored);
  EXPECT_EQ(again->durable, transfer.durable);
  EXPECT_THAT(again->last_error, HasSubstr("\"quoted\""));
  EXPECT_EQ(std::make_tuple(again->index, again->attempts, again->strikes),
            std::make_tuple(3u, 4u, 2u));
  EXPECT_EQ(again->captured, transfer.captured);
  EXPECT_EQ(again->state, TransferState::kWaitingConfirmation);
  EXPECT_EQ(again->message_id, "m-7");
}

TEST_F(TransferQueueTest, GivesTheSameAnswerForTheSameId) {
  const auto queue = Open();
  const auto first = AddOne(queue.get(), TestTransfer(1));
  const auto second = AddOne(queue.get(), TestTransfer(1));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_FALSE(first->duplicate);
  EXPECT_TRUE(second->duplicate);
  EXPECT_EQ(second->transfer.sequence, first->transfer.sequence);
  Transfer other = TestTransfer(1);
  other.sha256 = HexSha256("other");
  EXPECT_TRUE(absl::IsAlreadyExists(AddOne(queue.get(), other).status()));
  EXPECT_THAT(Ids(*queue), ElementsAre(TestId(1)));
}

TEST_F(TransferQueueTest, WhatIsActiveIsQueuedAfterACrash) {
  auto queue = Open();
  ASSERT_TRUE(AddOne(queue.get(), TestTransfer(1)).ok());
  ASSERT_TRUE(ChangeOne(queue.get(), TestId(1), SetState(TransferState::kActive)).ok());
  EXPECT_EQ(queue->Counts().files[static_cast<size_t>(TransferState::kQueued)], 1u);
  queue.reset();
  EXPECT_EQ(Open()->Get(TestId(1))->state, TransferState::kQueued);
}

TEST_F(TransferQueueTest, IsBoundedByFilesAndByBytesOfItsOwn) {
  options_.max_files = 3;
  options_.max_bytes = 2'500;
  const auto queue = Open();
  for (int i = 0; i < 2; ++i) {
    Transfer ours = TestTransfer(i);
    ours.owner = FileOwner::kNode;
    ours.held = true;
    ASSERT_TRUE(AddOne(queue.get(), ours).ok());
  }
  Transfer third = TestTransfer(2);
  third.owner = FileOwner::kNode;
  third.held = true;
  const absl::Status too_large = AddOne(queue.get(), third).status();
  EXPECT_TRUE(absl::IsResourceExhausted(too_large)) << too_large;
  ASSERT_TRUE(AddOne(queue.get(), TestTransfer(3)).ok());  // The sender's own disk.
  EXPECT_TRUE(absl::IsResourceExhausted(AddOne(queue.get(), TestTransfer(4)).status()));
  EXPECT_TRUE(queue->Counts().full);
  ASSERT_TRUE(ChangeOne(queue.get(), TestId(3), SetState(TransferState::kDone)).ok());
  EXPECT_TRUE(AddOne(queue.get(), TestTransfer(5)).ok());
}

TEST_F(TransferQueueTest, ForgetsOldFinishedOnesButNoneWhoseFileIsHeld) {
  options_.max_finished = 5;
  const auto queue = Open();
  Transfer held = TestTransfer(0);
  held.held = true;
  held.announced = true;
  ASSERT_TRUE(AddOne(queue.get(), held).ok());
  for (int i = 1; i < 12; ++i) {
    Transfer transfer = TestTransfer(i);
    transfer.announced = i != 2;  // The server does not know of it yet.
    ASSERT_TRUE(AddOne(queue.get(), transfer).ok());
  }
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(ChangeOne(queue.get(), TestId(i), SetState(TransferState::kDone)).ok());
  }
  EXPECT_THAT(Ids(*queue), ElementsAre(TestId(0), TestId(2), TestId(9), TestId(10), TestId(11)));
}

TEST_F(TransferQueueTest, ManyWhoseFileIsHeldDoNotPushOutTheOthers) {
  options_.max_finished = 4;
  const auto queue = Open();
  for (int i = 0; i < 16; ++i) {
    Transfer transfer = TestTransfer(i);
    transfer.held = i < 6;
    transfer.announced = true;
    ASSERT_TRUE(AddOne(queue.get(), transfer).ok());
    ASSERT_TRUE(ChangeOne(queue.get(), TestId(i), SetState(TransferState::kDone)).ok());
  }
  EXPECT_THAT(Ids(*queue), ElementsAre(TestId(0), TestId(1), TestId(2), TestId(3), TestId(4),
                                       TestId(5), TestId(14), TestId(15)));
}

TEST_F(TransferQueueTest, NoTwoOnTheirWayHaveOneName) {
  auto queue = Open();
  const auto add = [&](int number, bool named) {
    Transfer transfer = TestTransfer(number);
    transfer.remote_name = "CAM001/2024/01/15/img.jpg";
    transfer.named = named;
    return AddOne(queue.get(), transfer);
  };
  ASSERT_TRUE(add(1, true).ok());
  const auto clash = add(2, true);
  EXPECT_TRUE(absl::IsAlreadyExists(clash.status()));
  EXPECT_THAT(clash.status().message(), HasSubstr(TestId(1)));
  const std::string own = "CAM001/2024/01/15/" + TestId(3) + "/img.jpg";
  EXPECT_EQ(add(3, false)->transfer.remote_name, own);
  EXPECT_EQ(queue->Get(TestId(3))->remote_name, own);
  ASSERT_TRUE(ChangeOne(queue.get(), TestId(1), SetState(TransferState::kFailed)).ok());
  ASSERT_TRUE(add(2, true).ok());
  const auto retried = ChangeOne(queue.get(), TestId(1), SetState(TransferState::kQueued));
  EXPECT_TRUE(absl::IsAlreadyExists(retried.status()));
  ASSERT_TRUE(ChangeOne(queue.get(), TestId(2), SetState(TransferState::kDone)).ok());
  queue.reset();
  queue = Open();
  EXPECT_THAT(add(4, false)->transfer.remote_name, HasSubstr(TestId(4)));  // It is remembered.
  EXPECT_TRUE(add(5, true).ok());  // To be replaced, as its sender wants it.
  EXPECT_TRUE(absl::IsAlreadyExists(add(6, true).status()));
}

TEST_F(TransferQueueTest, ListsByFilterPageByPage) {
  const auto queue = Open();
  for (int i = 0; i < 10; ++i) {
    Transfer transfer = TestTransfer(i, i % 2 == 0 ? Priority::kHigh : Priority::kLow);
    if (i == 4) transfer.device = "CAM002";
    ASSERT_TRUE(AddOne(queue.get(), transfer).ok());
  }
  ASSERT_TRUE(ChangeOne(queue.get(), TestId(8), SetState(TransferState::kFailed)).ok());
  TransferFilter filter;
  filter.priority = Priority::kHigh;
  filter.device = "CAM001";
  auto first = queue->List(filter, 2, "");
  ASSERT_TRUE(first.ok());
  ASSERT_EQ(first->transfers.size(), 2u);
  EXPECT_EQ(first->transfers[1].id, TestId(2));
  auto second = queue->List(filter, 2, first->next_page_token);
  ASSERT_TRUE(second.ok());
  ASSERT_EQ(second->transfers.size(), 2u);
  EXPECT_EQ(second->transfers[0].id, TestId(6));
  filter.states = {TransferState::kFailed};
  EXPECT_THAT(Ids(*queue, filter), ElementsAre(TestId(8)));
  EXPECT_TRUE(absl::IsInvalidArgument(queue->List({}, 2, "x").status()));
}

TEST_F(TransferQueueTest, AnEditThatFailsChangesNothing) {
  const auto queue = Open();
  ASSERT_TRUE(AddOne(queue.get(), TestTransfer(1)).ok());
  const auto refused = ChangeOne(queue.get(), TestId(1), [](Transfer* transfer) {
    transfer->state = TransferState::kDone;
    return absl::FailedPreconditionError("no");
  });
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status()));
  EXPECT_EQ(queue->Get(TestId(1))->state, TransferState::kQueued);
  EXPECT_TRUE(
      absl::IsNotFound(ChangeOne(queue.get(), TestId(2), SetState(TransferState::kDone)).status()));
}

TEST_F(TransferQueueTest, IsOpenedByOneOnly) {
  const auto queue = Open();
  const auto second = TransferQueue::Open(options_, &clock_, &log_);
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
}

TEST_F(TransferQueueTest, LeavesTheFileOfANewerProgramAlone) {
  ASSERT_TRUE(AddOne(Open().get(), TestTransfer(1)).ok());
  {
    const auto db = sqlite::OpenSqlite(options_.path, SQLITE_OPEN_READWRITE, "");
    const std::string version =
        absl::StrCat("PRAGMA user_version=9;PRAGMA application_id=", 0x76644609);
    ASSERT_TRUE(sqlite::Execute(db->get(), version.c_str()).ok());
  }
  const auto newer = TransferQueue::Open(options_, &clock_, &log_);
  EXPECT_TRUE(absl::IsFailedPrecondition(newer.status())) << newer.status();
  EXPECT_FALSE(disk::FileExists(options_.path + ".damaged-1"));
}

TEST_F(TransferQueueTest, GroupsWhatComesTogether) {
  const auto queue = Open();
  constexpr int kFiles = 2'000;
  std::atomic<int> done{0};
  for (int i = 0; i < kFiles; ++i) {
    queue->Add(TestTransfer(i), [&](const absl::StatusOr<TransferQueue::Added>& added) {
      if (added.ok()) ++done;
    });
  }
  ASSERT_TRUE(Eventually([&] { return done == kFiles; }));
  EXPECT_LT(queue->Counts().commits, kFiles / 10u);
}

TEST_F(TransferQueueTest, AnswersWhatComesAfterTheEnd) {
  const auto queue = Open();
  queue->Close();
  EXPECT_TRUE(absl::IsUnavailable(AddOne(queue.get(), TestTransfer(1)).status()));
  EXPECT_TRUE(absl::IsUnavailable(queue->Get(TestId(1)).status()));
}

}  // namespace
}  // namespace viaduct
