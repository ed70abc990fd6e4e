// Files at the door: what is taken in, and what is refused.
#include "core/transfer/transfers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/transfer/transfers_test_support.h"

namespace viaduct {
namespace {

using testing::HasSubstr;

TEST_F(TransfersTest, SendsAFileAndLeavesItWhereItIs) {
  Open();
  const std::string text = MakeFile("a b.jpg", 20'000);
  const auto added = Send("a b.jpg");
  ASSERT_TRUE(added.ok()) << added.status();
  EXPECT_EQ(added->transfer.remote_name, "CAM001/a b.jpg");
  EXPECT_EQ(added->transfer.sha256, HexSha256(text));
  ASSERT_TRUE(Reaches(added->transfer.id, TransferState::kDone));
  EXPECT_EQ(road_->Content("CAM001/a b.jpg"), text);
  EXPECT_EQ(ReadText(folder_.File("in/a b.jpg")), text);
  EXPECT_EQ(transfers_->Totals().done, 1u);
}

TEST_F(TransfersTest, TakesAFileInAndRemovesItOnceItIsThere) {
  Open();
  road_->up = false;
  const std::string text = MakeFile("a", 5'000);
  for (const FileTake take : {FileTake::kLink, FileTake::kCopy}) {
    FileRequest request = WithId(static_cast<int>(take), absl::StrCat("n", static_cast<int>(take)));
    ASSERT_TRUE(Send("a", take, request).ok());
    EXPECT_EQ(ReadText(folder_.File("transfers/files/" + request.id)), text);
  }
  ASSERT_EQ(unlink(folder_.File("in/a").c_str()), 0);
  road_->up = true;
  for (const FileTake take : {FileTake::kLink, FileTake::kCopy}) {
    const std::string id = TestId(static_cast<int>(take));
    ASSERT_TRUE(Eventually([&] { return !transfers_->Get(id)->held; }));
    EXPECT_EQ(StateOf(id), TransferState::kDone);
    EXPECT_FALSE(disk::FileExists(folder_.File("transfers/files/" + id)));
    EXPECT_EQ(road_->Content(absl::StrCat("CAM001/n", static_cast<int>(take))), text);
  }
}

TEST_F(TransfersTest, TheSameIdAgainIsTheSameTransfer) {
  Open();
  MakeFile("a", 100);
  MakeFile("b", 200);
  const auto first = Send("a", FileTake::kCopy, WithId(1));
  const auto again = Send("a", FileTake::kCopy, WithId(1));
  ASSERT_TRUE(first.ok() && again.ok()) << again.status();
  EXPECT_TRUE(again->duplicate);
  EXPECT_TRUE(absl::IsAlreadyExists(Send("b", FileTake::kCopy, WithId(1)).status()));
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kDone));
  EXPECT_TRUE(Send("a", FileTake::kCopy, WithId(1))->duplicate);
}

TEST_F(TransfersTest, TakesAFileInPieces) {
  Open();
  const std::string text = MakeFile("x", 70'000);
  for (int round = 0; round < 2; ++round) {
    FileRequest request = WithId(1, "up/x");
    request.size = text.size();
    request.sha256 = HexSha256(text);
    auto upload = transfers_->BeginUpload(request);
    ASSERT_TRUE(upload.ok()) << upload.status();
    for (size_t at = 0; at < text.size(); at += 999) {
      ASSERT_TRUE((*upload)->Write(std::string_view(text).substr(at, 999)).ok());
    }
    std::promise<absl::StatusOr<TransferQueue::Added>> promise;
    (*upload)->Finish(
        0, "", [&](absl::StatusOr<TransferQueue::Added> a) { promise.set_value(std::move(a)); });
    const auto added = promise.get_future().get();
    ASSERT_TRUE(added.ok()) << added.status();
    EXPECT_EQ(added->duplicate, round == 1);
    ASSERT_TRUE(Reaches(TestId(1), TransferState::kDone));
  }
  EXPECT_EQ(road_->Content("CAM001/up/x"), text);
  FileRequest wrong = WithId(2, "up/y");
  wrong.sha256 = HexSha256("else");
  auto upload = transfers_->BeginUpload(wrong);
  ASSERT_TRUE((*upload)->Write("data").ok());
  std::promise<absl::Status> promise;
  (*upload)->Finish(
      0, "", [&](const absl::StatusOr<TransferQueue::Added>& a) { promise.set_value(a.status()); });
  EXPECT_TRUE(absl::IsInvalidArgument(promise.get_future().get()));
  EXPECT_FALSE(disk::FileExists(folder_.File("transfers/files/" + TestId(2))));
}

TEST_F(TransfersTest, AnUploadAsksForRoomBeforeItIsRead) {
  options_.queue.max_bytes = 10'000;
  Open();
  road_->up = false;
  FileRequest large = WithId(1, "large");
  large.size = 10'001;
  EXPECT_TRUE(absl::IsResourceExhausted(transfers_->BeginUpload(large).status()));
  FileRequest half = WithId(2, "half");
  half.size = 6'000;
  auto first = transfers_->BeginUpload(half);
  ASSERT_TRUE(first.ok()) << first.status();
  half.id = TestId(3);  // Those under way count.
  EXPECT_TRUE(absl::IsResourceExhausted(transfers_->BeginUpload(half).status()));
  auto unsaid = transfers_->BeginUpload(WithId(4, "unsaid"));  // How large it is shows later.
  ASSERT_TRUE(unsaid.ok());
  ASSERT_TRUE((*unsaid)->Write(std::string(4'000, 'x')).ok());
  EXPECT_TRUE(absl::IsResourceExhausted((*unsaid)->Write("x")));
  first->reset();
  EXPECT_TRUE((*unsaid)->Write("x").ok());
  unsaid->reset();
  large.size = 10'000;
  EXPECT_TRUE(transfers_->BeginUpload(large).ok());
}

TEST_F(TransfersTest, RefusesWhatIsHostileAtTheDoor) {
  Open();
  MakeFile("a", 10);
  const auto code = [&](FileRequest request, const std::string& file = "a") {
    return Send(file, FileTake::kReference, std::move(request)).status().code();
  };
  FileRequest request;
  for (const char* name : {"../x", "a/../../x", "/x", "x\ny", ".viaduct-1.part", "a//b"}) {
    request.name = name;
    EXPECT_EQ(code(request), absl::StatusCode::kInvalidArgument) << name;
  }
  request = FileRequest();
  request.id = "../../etc/passwd";
  EXPECT_EQ(code(request), absl::StatusCode::kInvalidArgument);
  request = FileRequest();
  request.device = "../x";
  EXPECT_EQ(code(request), absl::StatusCode::kInvalidArgument);
  request = FileRequest();
  request.sha256 = "xyz";
  EXPECT_EQ(code(request), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(FileRequest(), "../transfers/transfers.db"), absl::StatusCode::kInvalidArgument);
  FileRequest named;
  named.name = "ok";
  EXPECT_EQ(code(named, "../transfers/transfers.db"), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code(named, "none"), absl::StatusCode::kNotFound);
  EXPECT_EQ(transfers_->Counts().files[0], 0u);
}

TEST_F(TransfersTest, OneCallAtATimeTakesInAnId) {
  Open();
  road_->up = false;
  MakeFile("a", 5'000);
  auto upload = transfers_->BeginUpload(WithId(1, "x"));
  ASSERT_TRUE(upload.ok()) << upload.status();
  ASSERT_TRUE((*upload)->Write("data").ok());
  for (const FileTake take : {FileTake::kLink, FileTake::kCopy}) {
    EXPECT_TRUE(absl::IsAborted(Send("a", take, WithId(1)).status()));
  }
  std::promise<absl::Status> promise;
  (*upload)->Finish(
      0, "", [&](const absl::StatusOr<TransferQueue::Added>& a) { promise.set_value(a.status()); });
  EXPECT_TRUE(promise.get_future().get().ok());
  EXPECT_EQ(ReadText(folder_.File("transfers/files/" + TestId(1))), "data");
  EXPECT_TRUE(absl::IsAlreadyExists(Send("a", FileTake::kCopy, WithId(1)).status()));
  EXPECT_EQ(ReadText(folder_.File("transfers/files/" + TestId(1))), "data");
  // One that is given up leaves its id to others.
  upload = transfers_->BeginUpload(WithId(3, "y"));
  upload->reset();
  EXPECT_TRUE(Send("a", FileTake::kCopy, WithId(3)).ok());
}

TEST_F(TransfersTest, ARetryStaysBelowTheRootsAndTheBoundOfSize) {
  options_.max_file_bytes = 10'000;
  Open();
  const std::string sub = folder_.File("in/sub");
  mkdir(sub.c_str(), 0700);
  mkdir(folder_.File("out").c_str(), 0700);
  WriteText(folder_.File("out/a"), "secret");
  MakeFile("sub/a", 5'000);
  MakeFile("b", 5'000);
  for (const char* name : {"sub/a", "b"}) {
    road_->RefuseNext(Outcome::kReject, absl::AbortedError("the file was changed"));
    const auto added = Send(name);
    ASSERT_TRUE(Reaches(added->transfer.id, TransferState::kFailed));
    if (name[0] == 'b') {
      MakeFile("b", 10'001);
    } else {
      ASSERT_EQ(rename(sub.c_str(), folder_.File("in/was").c_str()), 0);
      ASSERT_EQ(symlink(folder_.File("out").c_str(), sub.c_str()), 0);
    }
    EXPECT_TRUE(absl::IsFailedPrecondition(Retry(added->transfer.id).status())) << name;
    EXPECT_EQ(StateOf(added->transfer.id), TransferState::kFailed);
  }
}

TEST_F(TransfersTest, WhatIsNotTheFileThatWasAcceptedIsNotHandedToARoad) {
  Open();
  road_->up = false;
  for (const char* name : {"a", "b"}) MakeFile(name, 100);
  ASSERT_TRUE(Send("a", FileTake::kReference, WithId(1)).ok());
  ASSERT_TRUE(Send("b", FileTake::kReference, WithId(2)).ok());
  WriteText(folder_.File("outside"), "secret");
  ASSERT_EQ(unlink(folder_.File("in/a").c_str()), 0);
  ASSERT_EQ(symlink(folder_.File("outside").c_str(), folder_.File("in/a").c_str()), 0);
  ASSERT_EQ(rename(folder_.File("outside").c_str(), folder_.File("in/b").c_str()), 0);
  road_->up = true;
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kFailed));
  ASSERT_TRUE(Reaches(TestId(2), TransferState::kFailed));
  EXPECT_THAT(transfers_->Get(TestId(2))->last_error, HasSubstr("another file"));
  EXPECT_TRUE(road_->jobs().empty());
}

TEST_F(TransfersTest, AStopWaitsForNoFileThatIsStillToBeRead) {
  Open();
  constexpr int kFiles = 50;
  constexpr size_t kBytes = 16 << 20;
  WriteText(folder_.File("in/big"), std::string(kBytes, 'x'));
  std::atomic<int> taken{0};
  std::atomic<int> refused{0};
  for (int i = 0; i < kFiles; ++i) {
    transfers_->SendPath(WithId(i, absl::StrCat(i)), folder_.File("in/big"), FileTake::kCopy,
                         [&](const absl::StatusOr<TransferQueue::Added>& added) {
                           ++(added.ok() ? taken : refused);
                         });
  }
  transfers_->Stop();
  transfers_->Close();
  EXPECT_EQ(taken + refused, kFiles);  // Every caller has an answer.
  EXPECT_GT(refused, kFiles / 2);
}

TEST_F(TransfersTest, ADamagedQueueLosesNoFileThatWasTaken) {
  Open();
  road_->up = false;
  const std::string text = MakeFile("a", 5'000);
  ASSERT_TRUE(Send("a", FileTake::kCopy, WithId(1)).ok());
  ASSERT_TRUE(Send("a", FileTake::kReference, WithId(2, "b")).ok());
  BreakQueue(TestId(2));
  // Nobody knows now whether that one is known.
  EXPECT_TRUE(absl::IsUnavailable(Send("a", FileTake::kCopy, WithId(1)).status()));
  EXPECT_EQ(ReadText(folder_.File("transfers/files/" + TestId(1))), text);
  road_->up = true;  // Nor whether it may be sent; it is not forgotten.
  transfers_->engine()->Wake();
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(absl::IsUnavailable(Send("a", FileTake::kCopy, WithId(1)).status()));
  }
  MendQueue();
  ASSERT_TRUE(Eventually([&] { return Send("a", FileTake::kCopy, WithId(1)).ok(); }));
  ASSERT_TRUE(Reaches(TestId(1), TransferState::kDone));
  EXPECT_EQ(road_->Content("CAM001/a"), text);
  EXPECT_TRUE(absl::IsNotFound(transfers_->Get(TestId(2)).status()));
}

TEST_F(TransfersTest, AFileWithoutARowStaysWhenTheQueueHasNoRoomForIt) {
  options_.queue.max_files = 1;
  Open();
  road_->up = false;
  MakeFile("a", 10);
  ASSERT_TRUE(Send("a", FileTake::kReference, WithId(1)).ok());
  const std::string orphan = folder_.File("transfers/files/" + TestId(2));
  WriteText(orphan, "perhaps acknowledged");
  clock_.ahead_s = 3'600;
  transfers_->Care();
  ASSERT_TRUE(Cancel(TestId(1)).ok());  // What was asked before is decided.
  EXPECT_TRUE(absl::IsNotFound(transfers_->Get(TestId(2)).status()));
  EXPECT_EQ(ReadText(orphan), "perhaps acknowledged");
}

}  // namespace
}  // namespace viaduct
