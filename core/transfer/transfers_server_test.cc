// What the server is told of files, and what it says of them.
#include <gtest/gtest.h>

#include <set>

#include "core/transfer/transfers_test_support.h"

namespace viaduct {
namespace {

TEST_F(TransfersTest, AnnouncesEveryFileOnceItCan) {
  refuse_announcements_ = 2;
  Open();
  MakeFile("a", 10);
  ASSERT_TRUE(Send("a", FileTake::kReference, WithId(1)).ok());
  ASSERT_TRUE(Eventually([&] { return transfers_->Get(TestId(1))->announced; }));
  absl::MutexLock lock(&mutex_);
  EXPECT_EQ(announced_, std::vector<std::string>{TestId(1)});
}

// However many are to be told of, nobody is overrun.
TEST(TransferAnnouncerTest, TellsFewAtOnceAndWaitsWhereThereIsNoRoom) {
  constexpr int kFiles = 300;
  TransferTestFolder folder;
  FakeClock clock;
  NullLog log;
  TransferQueueOptions options;
  options.path = folder.File("transfers.db");
  const auto queue = *TransferQueue::Open(options, &clock, &log);
  std::vector<TransferAnnouncer::Word> words;
  std::vector<std::function<void(absl::Status)>> waiting;
  size_t told = 0;
  TransferAnnouncer announcer(
      queue.get(), &clock,
      [&](const Transfer&, std::function<void(absl::Status)> answer) {
        ++told;
        waiting.push_back(std::move(answer));
      },
      [&](const TransferAnnouncer::Word& word, absl::Status status) {
        words.push_back(word);
        announcer.OnTold(word.sequence, status);
      });
  for (int i = 0; i < kFiles; ++i) {
    announcer.Add(AddOne(queue.get(), TestTransfer(i))->transfer.sequence);
  }
  EXPECT_EQ(announcer.Turn(), TransferScheduler::kNever);
  EXPECT_EQ(told, TransferAnnouncer::kMaxUnderWay);
  const auto answer_all = [&](const absl::Status& status) {
    for (const auto& answer : std::exchange(waiting, {})) answer(status);
  };
  answer_all(absl::ResourceExhaustedError("full"));
  EXPECT_GT(announcer.Turn(), clock.MonotonicNanos());
  EXPECT_EQ(told, TransferAnnouncer::kMaxUnderWay);  // Nobody more, and the same not again.
  clock.Advance(TransferAnnouncer::kPause);
  announcer.Turn();
  ASSERT_EQ(told, 2 * TransferAnnouncer::kMaxUnderWay);
  waiting.back()(absl::InvalidArgumentError("no such device"));  // That one waits longer.
  waiting.pop_back();
  words.clear();
  while (!waiting.empty()) {
    answer_all(absl::OkStatus());
    announcer.Turn();
  }
  EXPECT_EQ(words.size(), kFiles - 1u);
  EXPECT_EQ(announcer.waiting(), 1u);
  clock.Advance(TransferAnnouncer::kRefusedDelay);
  announcer.Turn();
  EXPECT_EQ(waiting.size(), 1u);
}

TEST_F(TransfersTest, AnnouncesAfterARestartWhatHasArrivedBeforeItsWord) {
  refuse_announcements_ = 1'000'000;
  Open();
  MakeFile("a", 10);
  ASSERT_TRUE(Send("a", FileTake::kReference, WithId(1)).ok());
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kDone));
  EXPECT_FALSE(transfers_->Get(TestId(1))->announced);
  Close();
  road_ = std::make_shared<FolderRoad>(folder_.File("far"));
  other_ = std::make_shared<FolderRoad>(folder_.File("far2"));
  refuse_announcements_ = 0;
  Open();
  EXPECT_TRUE(Eventually([&] { return transfers_->Get(TestId(1))->announced; }));
}

TEST_F(TransfersTest, WaitsForTheServerWhereItConfirms) {
  options_.engine.server_confirms = true;
  Open();
  MakeFile("a", 10);
  ASSERT_TRUE(Send("a", FileTake::kCopy, WithId(1)).ok());
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kWaitingConfirmation));
  EXPECT_TRUE(transfers_->Get(TestId(1))->held);
  const std::string digest = transfers_->Get(TestId(1))->sha256;
  transfers_->engine()->OnServerStatus(TestId(1), "waiting", "", "");
  transfers_->engine()->OnServerStatus(TestId(1), "stored", HexSha256("other"), "");
  ASSERT_TRUE(Eventually([&] { return road_->jobs().size() == 2; }));  // Sent again.
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kWaitingConfirmation));
  transfers_->engine()->OnServerStatus(TestId(1), "stored", digest, "");
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kDone));
  ASSERT_TRUE(Eventually([&] { return !transfers_->Get(TestId(1))->held; }));
}

// The server may be faster than the engine, which has not heard of the road's word yet.
TEST_F(TransfersTest, WhatTheServerHasBeforeTheRoadSaysSoIsSentOnce) {
  options_.engine.server_confirms = true;
  Open();
  for (const char* name : {"a", "b", "c"}) MakeFile(name, 10);
  road_->Hold(true);
  ASSERT_TRUE(Send("a", FileTake::kCopy, WithId(1)).ok());
  ASSERT_TRUE(Eventually([&] { return road_->jobs().size() == 1; }));
  road_->HoldBegin(true);
  ASSERT_TRUE(Send("b", FileTake::kCopy, WithId(2, "b")).ok());
  ASSERT_TRUE(Eventually([&] { return road_->jobs().size() == 2; }));  // There the engine stands.
  road_->Hold(false);
  ASSERT_TRUE(Eventually([&] { return road_->ended() == 1; }));
  transfers_->engine()->OnServerStatus(TestId(1), "stored", transfers_->Get(TestId(1))->sha256, "");
  ASSERT_TRUE(Eventually([&] { return transfers_->Get(TestId(1))->server_stored; }));
  road_->HoldBegin(false);
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kDone));
  ASSERT_TRUE(Send("c", FileTake::kCopy, WithId(3, "c")).ok());  // Behind whatever comes of it.
  ASSERT_TRUE(Reaches(TestId(3), TransferState::kWaitingConfirmation));
  EXPECT_EQ(road_->jobs().size(), 3u);
  EXPECT_EQ(transfers_->Get(TestId(1))->state, TransferState::kDone);
}

TEST_F(TransfersTest, SendsAgainWhatTheServerDoesNotConfirm) {
  options_.engine.server_confirms = true;
  options_.engine.confirm_timeout = absl::Milliseconds(20);
  Open();
  MakeFile("a", 10);
  ASSERT_TRUE(Send("a", FileTake::kCopy, WithId(1)).ok());
  ASSERT_TRUE(Eventually([&] { return road_->jobs().size() >= 2; }));
}

TEST_F(TransfersTest, WhatTheServerRefusesWaitsLongerAndIsGivenUpAtLast) {
  options_.engine.server_confirms = true;
  options_.engine.scheduler.max_attempts = 2;
  options_.engine.scheduler.retry.initial_delay = absl::Milliseconds(300);
  options_.engine.scheduler.retry.max_delay = absl::Milliseconds(300);
  Open();
  MakeFile("a", 10);
  ASSERT_TRUE(Send("a", FileTake::kCopy, WithId(1)).ok());
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kWaitingConfirmation));
  const auto refused = absl::Now();
  transfers_->engine()->OnServerStatus(TestId(1), "failed", "", "no room");
  ASSERT_TRUE(Eventually([&] { return road_->jobs().size() == 2; }));
  EXPECT_GE(absl::Now() - refused, absl::Milliseconds(200));
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kWaitingConfirmation));
  transfers_->engine()->OnServerStatus(TestId(1), "failed", "", "no room");
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kFailed));
  EXPECT_EQ(transfers_->Get(TestId(1))->last_error, "no room");
  ASSERT_TRUE(Eventually([&] { return transfers_->Totals().failed == 1; }));
  ASSERT_TRUE(Retry(TestId(1)).ok());
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kWaitingConfirmation));
  // Each time it is told of anew, in a message that no one has seen.
  absl::MutexLock lock(&mutex_);
  EXPECT_EQ(std::set<std::string>(announced_.begin(), announced_.end()).size(), announced_.size());
  EXPECT_GE(announced_.size(), 2u);
}

TEST_F(TransfersTest, SilenceOfAServerThatCannotBeHeardSendsNothingAgain) {
  options_.engine.server_confirms = true;
  options_.engine.confirm_timeout = absl::Milliseconds(20);
  heard_ = false;
  Open();
  MakeFile("a", 10);
  ASSERT_TRUE(Send("a", FileTake::kCopy, WithId(1)).ok());
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kWaitingConfirmation));
  ASSERT_TRUE(Eventually([&] { return heard_looks_ >= 4; }));  // Some kTick each.
  EXPECT_EQ(road_->jobs().size(), 1u);
  heard_ = true;
  ASSERT_TRUE(Eventually([&] { return road_->jobs().size() >= 2; }));
  EXPECT_EQ(transfers_->Get(TestId(1))->strikes, 0u);
}

TEST_F(TransfersTest, WhatTheServerHasIsDoneThoughItWaitsForARoad) {
  options_.engine.server_confirms = true;
  Open();
  road_->up = false;
  MakeFile("a", 10);
  ASSERT_TRUE(Send("a", FileTake::kCopy, WithId(1)).ok());
  const std::string digest = transfers_->Get(TestId(1))->sha256;
  transfers_->engine()->OnServerStatus(TestId(1), "stored", digest, "");
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kDone));
  ASSERT_TRUE(Eventually([&] { return !transfers_->Get(TestId(1))->held; }));
  EXPECT_TRUE(road_->jobs().empty());
}

}  // namespace
}  // namespace viaduct
