// Files over roads that cut, refuse, stand still and lie.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/transfer/transfers_test_support.h"

namespace viaduct {
namespace {

using testing::HasSubstr;

TEST_F(TransfersTest, ResumesWhereItWasCutEvenAfterARestart) {
  Open();
  const std::string text = MakeFile("a", 100'000);
  road_->cut_at = 60'000;
  road_->Hold(true);
  const auto added = Send("a", FileTake::kCopy);
  ASSERT_TRUE(added.ok());
  road_->Hold(false);
  ASSERT_TRUE(Reaches(added->transfer.id, TransferState::kDone));
  EXPECT_EQ(road_->written(), text.size());  // Not an octet twice.
  EXPECT_EQ(transfers_->Get(added->transfer.id)->attempts, 1u);
  // Cut by the end of the node.
  road_->up = false;
  MakeFile("b", 100'000);
  const auto second = Send("b", FileTake::kCopy);
  const std::string id = second->transfer.id;
  road_->CutNext(40'000, Outcome::kRetry);
  for (int i = 0; i < 1'000; ++i) road_->CutNext(0, Outcome::kRetry);  // No further until then.
  road_->up = true;
  ASSERT_TRUE(Eventually([&] { return transfers_->Get(id)->attempts >= 1; }));
  Close();
  road_ = std::make_shared<FolderRoad>(folder_.File("far"));
  other_ = std::make_shared<FolderRoad>(folder_.File("far2"));
  other_->up = false;
  Open();
  ASSERT_TRUE(Reaches(id, TransferState::kDone)) << EncodeTransfer(*transfers_->Get(id));
  EXPECT_EQ(road_->Content("CAM001/b").size(), 100'000u);
  EXPECT_LE(road_->written(), 60'000u + FolderRoad::kBlock);
}

TEST_F(TransfersTest, FallsBackToTheOtherRoad) {
  Open();
  other_->up = true;
  const std::string text = MakeFile("a", 50'000);
  for (int i = 0; i < 3; ++i) road_->RefuseNext(Outcome::kRetry, absl::UnavailableError("down"));
  FileRequest urgent = WithId(1, "a");
  urgent.priority = Priority::kHigh;  // North, by the rules.
  ASSERT_TRUE(Send("a", FileTake::kReference, urgent).ok());
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kDone));
  EXPECT_EQ(transfers_->Get(TestId(1))->road, "south");
  EXPECT_EQ(other_->Content("CAM001/a"), text);
}

TEST_F(TransfersTest, TheRoadThatLostAFileIsAskedToRemoveItsPart) {
  Open();
  MakeFile("a", 100'000);
  road_->CutNext(40'000, Outcome::kRetry);
  other_->up = true;
  FileRequest urgent = WithId(1, "a");
  urgent.priority = Priority::kHigh;  // North, by the rules.
  ASSERT_TRUE(Send("a", FileTake::kCopy, urgent).ok());
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kDone));
  EXPECT_EQ(transfers_->Get(TestId(1))->road, "south");
  ASSERT_TRUE(Eventually([&] { return !road_->discarded().empty(); }));
  EXPECT_EQ(road_->discarded(), std::vector<std::string>{"CAM001/a"});
  EXPECT_TRUE(other_->discarded().empty());
}

TEST_F(TransfersTest, ACancelledFileLeavesNothingOnTheOtherSide) {
  options_.engine.scheduler.retry = {absl::Hours(1), absl::Hours(1), 1, 0};
  Open();
  MakeFile("a", 100'000);
  MakeFile("b", 100'000);
  // One that is under way, and one that has failed and waits for a road that is not there.
  road_->Hold(true);
  ASSERT_TRUE(Send("a", FileTake::kCopy, WithId(1)).ok());
  ASSERT_TRUE(Eventually([&] { return transfers_->active() == 1; }));
  ASSERT_TRUE(Cancel(TestId(1)).ok());
  ASSERT_TRUE(Eventually([&] { return road_->discarded().size() == 1; }));
  road_->Hold(false);
  road_->CutNext(40'000, Outcome::kRetry);
  ASSERT_TRUE(Send("b", FileTake::kCopy, WithId(2)).ok());
  ASSERT_TRUE(Eventually([&] { return transfers_->Get(TestId(2))->attempts == 1; }));
  road_->up = false;
  ASSERT_TRUE(Cancel(TestId(2)).ok());
  EXPECT_EQ(road_->discarded().size(), 1u);
  road_->up = true;  // Then it is asked.
  ASSERT_TRUE(Eventually([&] { return road_->discarded().size() == 2; }));
  EXPECT_EQ(road_->discarded(), (std::vector<std::string>{"CAM001/a", "CAM001/b"}));
}

TEST_F(TransfersTest, BelievesNoOtherDigest) {
  Open();
  MakeFile("a", 5'000);
  road_->wrong_digest = true;
  const auto added = Send("a");
  ASSERT_TRUE(Reaches(added->transfer.id, TransferState::kDone));
  const auto transfer = transfers_->Get(added->transfer.id);
  EXPECT_EQ(transfer->attempts, 1u);
  EXPECT_EQ(road_->jobs().size(), 2u);
  EXPECT_EQ(road_->jobs()[1].offset, 0u);
}

TEST_F(TransfersTest, KeepsAFailedOneWithItsReasonUntilItIsRetried) {
  Open();
  MakeFile("a", 5'000);
  road_->RefuseNext(Outcome::kReject, absl::AbortedError("the file was changed"));
  const auto added = Send("a");
  const std::string id = added->transfer.id;
  ASSERT_TRUE(Reaches(id, TransferState::kFailed));
  EXPECT_THAT(transfers_->Get(id)->last_error, HasSubstr("changed"));
  const std::string other = MakeFile("a", 6'000);  // As it is now.
  ASSERT_TRUE(Retry(id).ok());
  ASSERT_TRUE(Reaches(id, TransferState::kDone));
  EXPECT_EQ(road_->Content("CAM001/a"), other);
  EXPECT_EQ(transfers_->Get(id)->sha256, HexSha256(other));
  EXPECT_TRUE(absl::IsFailedPrecondition(Retry(id).status()));
  EXPECT_TRUE(absl::IsNotFound(Retry(TestId(77)).status()));
}

TEST_F(TransfersTest, CancelEndsWhatIsUnderWayAndRemovesWhatIsOurs) {
  Open();
  MakeFile("a", 50'000);
  road_->Hold(true);
  ASSERT_TRUE(Send("a", FileTake::kCopy, WithId(1)).ok());
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kActive));
  ASSERT_TRUE(Cancel(TestId(1)).ok());
  ASSERT_TRUE(Eventually([&] { return transfers_->active() == 0; }));
  EXPECT_EQ(StateOf(TestId(1)), TransferState::kCancelled);
  ASSERT_TRUE(
      Eventually([&] { return !disk::FileExists(folder_.File("transfers/files/" + TestId(1))); }));
  EXPECT_TRUE(absl::IsFailedPrecondition(Cancel(TestId(1)).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Retry(TestId(1)).status()));  // Its file is gone.
}

TEST_F(TransfersTest, ACancelledFileMayBeRetriedBeforeTheRoadLetsGo) {
  Open();
  const std::string text = MakeFile("a", 50'000);
  road_->Hold(true);
  road_->Deafen(true);
  ASSERT_TRUE(Send("a", FileTake::kCopy, WithId(1)).ok());
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kActive));
  ASSERT_TRUE(Cancel(TestId(1)).ok());
  const auto again = Retry(TestId(1));
  ASSERT_TRUE(again.ok()) << again.status();
  road_->Deafen(false);
  road_->Hold(false);
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kDone));
  EXPECT_EQ(road_->Content("CAM001/a"), text);
  EXPECT_EQ(road_->jobs().size(), 2u);
}

TEST_F(TransfersTest, AnAttemptThatIsTakenBackCountsForWhereTheNextBegins) {
  Open();
  const std::string text = MakeFile("a", 100'000);
  road_->CutNext(20'000, Outcome::kRetry);
  road_->CutNext(60'000, Outcome::kCancelled);  // As at the end of a window.
  ASSERT_TRUE(Send("a", FileTake::kCopy, WithId(1)).ok());
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kDone));
  ASSERT_EQ(road_->jobs().size(), 3u);
  EXPECT_GE(road_->jobs()[2].offset, 60'000u);
  EXPECT_EQ(road_->Content("CAM001/a"), text);
}

TEST_F(TransfersTest, ADigestThatIsAlwaysWrongIsGivenUp) {
  options_.engine.scheduler.max_attempts = 3;
  options_.engine.scheduler.failures_to_open = 2;
  Open();
  MakeFile("a", 5'000);
  road_->lies = true;
  ASSERT_TRUE(Send("a", FileTake::kReference, WithId(1)).ok());
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kFailed));
  EXPECT_EQ(road_->jobs().size(), 3u);
  EXPECT_THAT(transfers_->Get(TestId(1))->last_error, HasSubstr("another digest"));
}

TEST_F(TransfersTest, AnAttemptWhoseEndNeverComesIsTakenForLost) {
  options_.engine.stall_timeout = absl::Milliseconds(50);
  Open();
  other_->up = true;
  const std::string text = MakeFile("a", 5'000);
  road_->Hold(true);
  road_->Deafen(true);
  FileRequest urgent = WithId(1, "a");
  urgent.priority = Priority::kHigh;  // North, by the rules.
  ASSERT_TRUE(Send("a", FileTake::kReference, urgent).ok());
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kDone));
  EXPECT_EQ(transfers_->Get(TestId(1))->road, "south");
  EXPECT_EQ(transfers_->Get(TestId(1))->attempts, 1u);
  road_->Hold(false);  // Its end comes after all.
  ASSERT_TRUE(Eventually([&] { return road_->credit() == road_->room; }));
  EXPECT_EQ(other_->Content("CAM001/a"), text);
  EXPECT_EQ(StateOf(TestId(1)), TransferState::kDone);
  EXPECT_EQ(transfers_->Totals().done, 1u);
}

TEST_F(TransfersTest, EndsAnAttemptThatStandsStill) {
  options_.engine.stall_timeout = absl::Milliseconds(50);
  Open();
  MakeFile("a", 5'000);
  road_->Hold(true);
  const auto added = Send("a");
  ASSERT_TRUE(Eventually([&] { return transfers_->Get(added->transfer.id)->attempts >= 1; }));
  EXPECT_THAT(transfers_->Get(added->transfer.id)->last_error, HasSubstr("no progress"));
  road_->Hold(false);
  ASSERT_TRUE(Reaches(added->transfer.id, TransferState::kDone));
}

}  // namespace
}  // namespace viaduct
