// The spool's own bounds: who is refused, who makes room, and how much dead letters may take.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/spool/spool_test_support.h"
#include "core/spool/test_vfs.h"

namespace viaduct {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

uint64_t By(const SpoolInfo& info, SpoolDrop why) {
  return info.dropped_by[static_cast<size_t>(why)];
}
uint64_t By(const SpoolInfo& info, SpoolRefusal why) {
  return info.refused_by[static_cast<size_t>(why)];
}

class SpoolRoomTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.path = folder_.File("spool.db");
    options_.confirm_delay = absl::ZeroDuration();
    options_.reserve_bytes = 0;
    options_.max_rejects = 1;
    options_.when_full = WhenFull::kDropOldestLowPriority;
  }
  void Open() {
    spool_.reset();
    absl::StatusOr<std::unique_ptr<Spool>> spool = Spool::Open(options_, &clock_, &log_);
    ASSERT_TRUE(spool.ok()) << spool.status();
    spool_ = *std::move(spool);
  }
  absl::Status Put(const std::string& id, Priority priority = Priority::kNormal,
                   size_t bytes = 100) {
    return AppendOne(spool_.get(), TestEnvelope(id, priority, bytes));
  }
  void Kill(const std::string& id) {
    ASSERT_TRUE(Put(id).ok());
    const std::vector<OutboxMessage> one = ClaimAll(spool_.get());
    const uint64_t before = spool_->Info().rejected_total;
    SettleAll(spool_.get(), one, SettleKind::kReject, 0, "no");
    ASSERT_TRUE(WaitFor([&] { return spool_->Info().rejected_total == before + one.size(); }));
  }
  std::vector<std::string> Dead() {
    SpoolFilter rejected;
    rejected.state = SpoolEntryState::kRejected;
    std::vector<std::string> ids;
    const absl::StatusOr<SpoolPage> page = spool_->List(rejected, 1'000, "", false);
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) return ids;
    for (const SpoolEntry& entry : page->entries) ids.push_back(entry.message_id);
    return ids;
  }

  TestFolder folder_;
  FakeClock clock_;
  NullLog log_;
  SpoolOptions options_;
  std::unique_ptr<Spool> spool_;
};

TEST_F(SpoolRoomTest, NothingIsDroppedForWhatDoesNotFitAllTheSame) {
  options_.max_bytes = 200'000;
  Open();
  ASSERT_TRUE(Put("flying", Priority::kHigh, 80'000).ok());
  ASSERT_EQ(ClaimAll(spool_.get()).size(), 1u);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Put(absl::StrCat(i), Priority::kLow, 10'000).ok());
  EXPECT_EQ(Put("large", Priority::kNormal, 150'000).code(), absl::StatusCode::kResourceExhausted);
  SpoolInfo info = spool_->Info();
  EXPECT_EQ(info.messages, 11u);
  EXPECT_EQ(info.dropped_total, 0u);
  EXPECT_EQ(By(info, SpoolRefusal::kFull), 1u);
  EXPECT_TRUE(Put("fits", Priority::kNormal, 100'000).ok());
  info = spool_->Info();
  EXPECT_GT(By(info, SpoolDrop::kFull), 5u);
  EXPECT_EQ(By(info, SpoolDrop::kFull), info.dropped_total);
}

TEST_F(SpoolRoomTest, DeadLettersGoBeforeGoodMessages) {
  options_.max_messages = 10;
  options_.dead_letter_share = 1;
  Open();
  for (int i = 0; i < 4; ++i) Kill(absl::StrCat("dead", i));
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(Put(absl::StrCat("good", i)).ok());
  ASSERT_TRUE(Put("new", Priority::kLow).ok());
  EXPECT_THAT(Dead(), ElementsAre("dead1", "dead2", "dead3"));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Put(absl::StrCat("more", i)).ok());
  EXPECT_THAT(Dead(), ElementsAre());
  EXPECT_EQ(spool_->Info().messages, 10u);
  EXPECT_EQ(spool_->Info().dropped_total, 5u);
  EXPECT_THAT(Ids(ClaimAll(spool_.get())), Not(Contains("new"))) << "of the lowest priority";
}

// What failed and waits for its next attempt may be dropped, and goes first if it is the oldest.
TEST_F(SpoolRoomTest, WhatWaitsForItsNextAttemptIsNotSpared) {
  options_.max_messages = 6;
  Open();
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(Put(absl::StrCat("m", i)).ok());
  std::vector<OutboxMessage> claimed = ClaimAll(spool_.get(), 3);
  SettleAll(spool_.get(), {claimed[1]}, SettleKind::kRetry, 1'000'000'000, "busy");
  ASSERT_TRUE(Put("new1").ok());
  ASSERT_TRUE(Put("new2").ok());
  clock_.Advance(absl::Seconds(2));
  EXPECT_THAT(Ids(ClaimAll(spool_.get())), ElementsAre("m4", "m5", "new1", "new2"));
}

TEST_F(SpoolRoomTest, DeadLettersHaveAShareAndTheOldestGo) {
  options_.max_messages = 100;
  options_.when_full = WhenFull::kRejectNew;
  Open();
  for (int i = 0; i < 14; ++i) Kill(absl::StrCat("dead", i));
  ASSERT_TRUE(Put("next").ok());
  EXPECT_EQ(spool_->Info().rejected, 10u);
  EXPECT_EQ(Dead().front(), "dead4");
  EXPECT_EQ(By(spool_->Info(), SpoolDrop::kDeadLetters), 4u);
  EXPECT_EQ(spool_->Info().dropped_total, 4u);
  EXPECT_EQ(spool_->Info().rejected_total, 14u);
}

TEST_F(SpoolRoomTest, AServerThatRejectsEverythingStopsNoProducer) {
  options_.max_messages = 200;
  options_.when_full = WhenFull::kRejectNew;
  Open();
  for (int round = 0; round < 20; ++round) {
    std::vector<Envelope> group;
    for (int i = 0; i < 50; ++i) group.push_back(TestEnvelope(absl::StrCat(round, "-", i)));
    for (const absl::Status& status : AppendAll(spool_.get(), std::move(group))) {
      ASSERT_TRUE(status.ok()) << status;
    }
    SettleAll(spool_.get(), ClaimAll(spool_.get()), SettleKind::kReject, 0, "no");
    ASSERT_TRUE(WaitFor([&] { return spool_->Info().messages == 0; }));
    ASSERT_LE(spool_->Info().rejected, 20u);
  }
  EXPECT_TRUE(spool_->Damages().empty());
}

// A file of before there was a share, or of one that was larger.
TEST_F(SpoolRoomTest, WhatIsOverTheShareAtTheStartGoesByItself) {
  options_.dead_letter_share = 1;
  options_.max_messages = 100;
  Open();
  for (int i = 0; i < 30; ++i) Kill(absl::StrCat("dead", i));
  options_.dead_letter_share = 0.1;
  Open();
  EXPECT_TRUE(WaitFor([&] {
    spool_->RunMaintenance();
    return spool_->Info().rejected == 10;
  })) << spool_->Info().rejected;
}

TEST_F(SpoolRoomTest, IsFullUntilWhatWasRefusedWouldFit) {
  options_.max_messages = 5;
  options_.when_full = WhenFull::kRejectNew;
  Open();
  std::vector<Envelope> group;
  for (int i = 0; i < 6; ++i) group.push_back(TestEnvelope(absl::StrCat(i)));
  std::vector<absl::Status> results = AppendAll(spool_.get(), std::move(group));
  EXPECT_FALSE(results.back().ok());
  EXPECT_TRUE(spool_->Info().full);
  SettleAll(spool_.get(), ClaimAll(spool_.get(), 1), SettleKind::kConfirmed);
  EXPECT_TRUE(WaitFor([&] { return !spool_->Info().full; })) << "nothing was appended";
}

// The last one of a group says nothing about the others, nor one that fits nowhere about the spool.
TEST_F(SpoolRoomTest, AnyRefusedOfAGroupMakesItFull) {
  options_.max_bytes = 100'000;
  options_.when_full = WhenFull::kRejectNew;
  Open();
  std::vector<Envelope> group;
  group.push_back(TestEnvelope("a", Priority::kNormal, 70'000));
  group.push_back(TestEnvelope("refused", Priority::kNormal, 70'000));
  group.push_back(TestEnvelope("b", Priority::kNormal, 1'000));
  AppendAll(spool_.get(), std::move(group));
  EXPECT_TRUE(spool_->Info().full);
  SettleAll(spool_.get(), ClaimAll(spool_.get()), SettleKind::kConfirmed);
  EXPECT_TRUE(WaitFor([&] { return !spool_->Info().full; }));
  EXPECT_FALSE(Put("giant", Priority::kNormal, 200'000).ok());
  EXPECT_FALSE(spool_->Info().full);
}

// A transaction that fails has dropped nothing: neither on the disk nor in memory.
TEST_F(SpoolRoomTest, WhatAFailedTransactionDroppedWaitsAgain) {
  TestVfs vfs("room");
  options_.vfs = vfs.name();
  options_.max_messages = 4;
  options_.max_ready_messages = 2;  // Of the four, two are unread.
  options_.ordered[static_cast<size_t>(DataType::kDetection)] = true;
  Open();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Put(absl::StrCat("m", i)).ok());
  std::vector<OutboxMessage> out = ClaimAll(spool_.get());  // The others wait behind it.
  ASSERT_THAT(Ids(out), ElementsAre("m0"));
  for (const int code : {SQLITE_IOERR_WRITE, SQLITE_FULL}) {
    vfs.FailWrites(code);
    EXPECT_FALSE(Put("refused").ok());
    vfs.FailWrites(0);
    EXPECT_EQ(spool_->Info().dropped_total, 0u);
  }
  std::vector<std::string> came;
  while (!out.empty()) {
    came.push_back(out[0].message_id);
    SettleAll(spool_.get(), out, SettleKind::kConfirmed);
    out = ClaimAll(spool_.get());
  }
  EXPECT_THAT(came, ElementsAre("m0", "m1", "m2", "m3"));
  EXPECT_TRUE(WaitFor([&] { return spool_->Info().messages == 0; }));
  EXPECT_EQ(spool_->Info().dropped_total, 0u);
  EXPECT_TRUE(spool_->Damages().empty());
  spool_.reset();  // Before its disk.
}

}  // namespace
}  // namespace viaduct
