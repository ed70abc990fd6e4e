// What becomes of the files on this node: kept, removed, left alone.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "core/transfer/transfer_care.h"
#include "core/transfer/transfers_test_support.h"

namespace viaduct {
namespace {

TEST_F(TransfersTest, ACancelledWatchedFileStays) {
  WatchFolder("watched", absl::Milliseconds(10));
  WriteText(folder_.File("watched/a"), "not sent");
  road_->Hold(true);
  Open();
  ASSERT_TRUE(Eventually([&] { return transfers_->active() == 1; }));
  const std::string id = transfers_->List({}, 1, "")->transfers[0].id;
  ASSERT_TRUE(Cancel(id).ok());
  ASSERT_TRUE(Eventually([&] { return transfers_->active() == 0; }));
  road_->Hold(false);
  MakeFile("b", 10);
  ASSERT_TRUE(Send("b", FileTake::kReference, WithId(1)).ok());
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kDone));  // The engine is past the cancelled one.
  EXPECT_EQ(ReadText(folder_.File("watched/a")), "not sent");
  transfers_->Care();
  EXPECT_EQ(ReadText(folder_.File("watched/a")), "not sent");
}

TEST_F(TransfersTest, AWatchedFileThatWasReplacedMeanwhileIsNotRemoved) {
  WatchFolder("watched", absl::Seconds(1));
  const std::string path = folder_.File("watched/snapshot.jpg");
  WriteText(path, "first");
  road_->Hold(true);
  Open();
  ASSERT_TRUE(Eventually([&] { return road_->reads() == 1; }));
  const std::string id = transfers_->List({}, 1, "")->transfers[0].id;
  const auto opened = open(path.c_str(), O_RDONLY);  // Its inode is not used again.
  WriteText(folder_.File("in/new"), "second");
  ASSERT_EQ(rename(folder_.File("in/new").c_str(), path.c_str()), 0);
  road_->Hold(false);
  ASSERT_TRUE(Eventually([&] { return !transfers_->Get(id)->held; }));
  const bool stays = ReadText(path) == "second";
  close(opened);
  const auto second = [&] {
    const auto page = transfers_->List({}, 10, "");
    return std::any_of(page->transfers.begin(), page->transfers.end(),
                       [](const Transfer& t) { return t.sha256 == HexSha256("second"); });
  };
  EXPECT_TRUE(stays || second());
  EXPECT_TRUE(Eventually(second));
  ASSERT_TRUE(Eventually([&] { return transfers_->Totals().done == 2; }));
  const auto both = transfers_->List({}, 10, "");
  for (const Transfer& transfer : both->transfers) {
    EXPECT_EQ(HexSha256(road_->Content(transfer.remote_name)), transfer.sha256);  // Both are there.
  }
}

TEST_F(TransfersTest, KeepsConfirmedFilesAsLongAsItShouldAndNoLongerThanThereIsSpace) {
  options_.care.keep = absl::Hours(1);
  Open();
  MakeFile("a", 10);
  ASSERT_TRUE(Send("a", FileTake::kCopy, WithId(1)).ok());
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kDone));
  transfers_->Care();
  EXPECT_TRUE(disk::FileExists(folder_.File("transfers/files/" + TestId(1))));
  road_->up = false;
  ASSERT_TRUE(Send("a", FileTake::kCopy, WithId(2, "b")).ok());
  Close();
  road_ = std::make_shared<FolderRoad>(folder_.File("far"));
  other_ = std::make_shared<FolderRoad>(folder_.File("far2"));
  road_->up = other_->up = false;
  options_.care.min_free_bytes = uint64_t{1} << 62;  // More than any disk has.
  Open();
  transfers_->Care();
  EXPECT_FALSE(disk::FileExists(folder_.File("transfers/files/" + TestId(1))));
  EXPECT_TRUE(disk::FileExists(folder_.File("transfers/files/" + TestId(2))));  // Not confirmed.
}

TEST_F(TransfersTest, AFileThatAnotherTransferNeedsStays) {
  WatchFolder("in", absl::Milliseconds(10));
  MakeFile("a", 10);
  road_->Hold(true);
  Open();
  ASSERT_TRUE(Eventually([&] { return transfers_->active() == 1; }));  // That of the folder.
  const std::string watched = transfers_->List({}, 1, "")->transfers[0].id;
  road_->room = 1;
  ASSERT_TRUE(Send("a", FileTake::kReference, WithId(1, "again")).ok());
  road_->CutNext(0, Outcome::kRetry);
  road_->Hold(false);
  ASSERT_TRUE(Reaches(watched, TransferState::kDone));
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kDone));
  EXPECT_EQ(road_->Content("CAM001/again").size(), 10u);
  transfers_->Care();  // Nobody needs it now.
  EXPECT_TRUE(Eventually([&] { return !disk::FileExists(folder_.File("in/a")); }));
}

TEST(FilesInUseTest, WhatIsClaimedOrInARowIsNotRemoved) {
  FilesInUse files;
  Transfer row = TestTransfer(1);
  row.stamp = {1, 2, 3, 4};
  int removed = 0;
  const auto remove = [&] { return files.IfUnused(row.stamp, [&] { ++removed; }); };
  auto claim = files.Claim(row.stamp);
  EXPECT_FALSE(remove());
  files.Move(nullptr, &row);
  files.Commit();
  claim.reset();
  EXPECT_FALSE(remove());
  Transfer done = row;
  done.state = TransferState::kDone;
  files.Move(&row, &done);
  files.Rollback();
  EXPECT_FALSE(remove());
  files.Move(&row, &done);
  files.Commit();
  EXPECT_TRUE(remove());
  EXPECT_EQ(removed, 1);
}

TEST(FilesInUseTest, WhatWasNeededIsSoUntilAllRowsAreCountedAnew) {
  FilesInUse files;
  Transfer row = TestTransfer(1);
  row.stamp = {1, 2, 3, 4};
  Transfer lost = TestTransfer(2);
  lost.stamp = {1, 5, 3, 4};
  const auto remove = [&](const Transfer& of) { return files.IfUnused(of.stamp, [] {}); };
  files.Move(nullptr, &row);
  files.Move(nullptr, &lost);
  files.Commit();
  files.Clear();
  EXPECT_FALSE(remove(row));
  EXPECT_FALSE(remove(lost));
  files.Move(nullptr, &row);
  EXPECT_FALSE(remove(lost));
  files.Commit();
  EXPECT_FALSE(remove(row));
  EXPECT_TRUE(remove(lost));
  Transfer done = row;
  done.state = TransferState::kDone;
  files.Move(&row, &done);
  files.Commit();
  EXPECT_TRUE(remove(row));  // It was counted once.
}

TEST(TransferCareTest, FilesThatCannotGoAreNotBeforeTheOthersForEver) {
  TransferTestFolder folder;
  FakeClock clock;
  NullLog log;
  TransferQueueOptions options;
  options.path = folder.File("transfers.db");
  const auto queue = *TransferQueue::Open(options, &clock, &log);
  const auto owned = *OwnedFolder::Open(folder.File("files"), 0);
  Transfer needs = TestTransfer(1);
  needs.owner = FileOwner::kWatch;
  needs.stamp = {1, 2, 3, 4};
  ASSERT_TRUE(AddOne(queue.get(), needs).ok());
  Transfer done = needs;
  done.state = TransferState::kDone;
  done.held = true;
  const auto last = static_cast<int>(TransferCare::kMaxAtOnce) + 2;
  for (int i = 2; i <= last; ++i) {
    done.id = TestId(i);
    done.remote_name = absl::StrCat("CAM001/", i);
    if (i == last) {
      done.owner = FileOwner::kNode;
      WriteText(owned->PathOf(done.id), "confirmed");
      ASSERT_TRUE(AddOne(queue.get(), done).ok());
    } else {
      queue->Add(done, nullptr);
    }
  }
  TransferCare care({}, queue.get(), owned.get(), &clock, &log, [] { return int64_t{1} << 40; });
  EXPECT_EQ(care.Look(), 0u);
  EXPECT_EQ(care.Look(), 1u);
  EXPECT_FALSE(disk::FileExists(owned->PathOf(TestId(last))));
  queue->Close();
}

TEST_F(TransfersTest, KeptFilesMakeRoomForNewOnes) {
  options_.care.keep = absl::Hours(1);
  options_.queue.max_bytes = 10'000;
  Open();
  MakeFile("a", 4'600);
  for (int i = 1; i <= 2; ++i) {
    ASSERT_TRUE(Send("a", FileTake::kCopy, WithId(i, absl::StrCat(i))).ok());
    ASSERT_TRUE(Reaches(TestId(i), TransferState::kDone));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(Send("a", FileTake::kCopy, WithId(3, "3")).status()));
  EXPECT_FALSE(disk::FileExists(folder_.File("transfers/files/" + TestId(3))));
  transfers_->Care();
  EXPECT_FALSE(disk::FileExists(folder_.File("transfers/files/" + TestId(1))));
  EXPECT_TRUE(disk::FileExists(folder_.File("transfers/files/" + TestId(2))));
  // A change is read from the file before it is counted.
  ASSERT_TRUE(Eventually([&] { return transfers_->Counts().held_bytes == 4'600; }));
  EXPECT_FALSE(transfers_->Get(TestId(1))->held);
  EXPECT_TRUE(Send("a", FileTake::kCopy, WithId(3, "3")).ok());
}

}  // namespace
}  // namespace viaduct
