// Files from the door to the other side, over roads that fail.
#include "core/transfer/transfers.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <set>

#include "core/base/sqlite.h"
#include "core/transfer/folder_road_test_support.h"
#include "core/transfer/transfer_test_support.h"

namespace viaduct {
namespace {

using testing::HasSubstr;

// The wall clock may be ahead: files are then old. Thread-safe.
class ShiftedClock final : public Clock {
 public:
  absl::Time Now() const override { return system_.Now() + absl::Seconds(ahead_s.load()); }
  int64_t MonotonicNanos() const override { return system_.MonotonicNanos(); }
  std::atomic<int> ahead_s{0};

 private:
  SystemClock system_;
};

class TransfersTest : public testing::Test {
 protected:
  TransfersTest() {
    for (const char* name : {"in", "far", "far2"}) mkdir(folder_.File(name).c_str(), 0700);
    options_.node_id = "CAM001";
    options_.folder = folder_.File("transfers");
    options_.roots = {folder_.File("in")};
    options_.engine.scheduler.retry = {absl::Milliseconds(5), absl::Milliseconds(20), 2, 0};
    options_.engine.scheduler.failures_to_open = 1'000;
    road_ = std::make_shared<FolderRoad>(folder_.File("far"));
    other_ = std::make_shared<FolderRoad>(folder_.File("far2"));
    other_->up = false;
  }
  ~TransfersTest() override { Close(); }

  void Open() {
    Transfers::Deps deps;
    deps.clock = &clock_;
    deps.log = &log_;
    deps.announce = [this](const Transfer& transfer, std::function<void(absl::Status)> told) {
      const bool refuse = refuse_announcements_ > 0;
      if (refuse) --refuse_announcements_;
      if (!refuse) {
        absl::MutexLock lock(&mutex_);
        announced_.push_back(TellingId(transfer));
      }
      told(refuse ? absl::ResourceExhaustedError("full") : absl::OkStatus());
    };
    deps.heard = [this] {
      ++heard_looks_;
      return heard_.load();
    };
    auto opened = Transfers::Open(options_, std::move(deps));
    ASSERT_TRUE(opened.ok()) << opened.status();
    transfers_ = *std::move(opened);
    ASSERT_TRUE(transfers_->Start().ok());
    transfers_->engine()->SetRoads(
        {{"north", "sftp", false, road_}, {"south", "rsync", false, other_}});
  }
  void Close() {
    if (transfers_ == nullptr) return;
    transfers_->Stop();
    transfers_->Close();
    road_.reset();  // What it has to say is said before the transfers go.
    other_.reset();
    transfers_.reset();
  }

  std::string MakeFile(const std::string& name, size_t size) {
    std::string text(size, 'x');
    for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 31 % 26);
    WriteText(folder_.File("in/" + name), text);
    return text;
  }
  absl::StatusOr<TransferQueue::Added> Send(const std::string& name,
                                            FileTake take = FileTake::kReference,
                                            FileRequest request = FileRequest()) {
    if (request.name.empty()) request.name = name;
    std::promise<absl::StatusOr<TransferQueue::Added>> promise;
    transfers_->SendPath(
        request, folder_.File("in/" + name), take,
        [&](absl::StatusOr<TransferQueue::Added> added) { promise.set_value(std::move(added)); });
    return promise.get_future().get();
  }
  TransferState StateOf(const std::string& id) { return transfers_->Get(id)->state; }
  bool Reaches(const std::string& id, TransferState state) {
    return Eventually([&] { return StateOf(id) == state; });
  }
  absl::StatusOr<Transfer> Cancel(const std::string& id) {
    std::promise<absl::StatusOr<Transfer>> promise;
    transfers_->Cancel(id, [&](absl::StatusOr<Transfer> t) { promise.set_value(std::move(t)); });
    return promise.get_future().get();
  }
  absl::StatusOr<Transfer> Retry(const std::string& id) {
    std::promise<absl::StatusOr<Transfer>> promise;
    transfers_->Retry(id, [&](absl::StatusOr<Transfer> t) { promise.set_value(std::move(t)); });
    return promise.get_future().get();
  }
  void WatchFolder(const std::string& name, absl::Duration settle) {
    mkdir(folder_.File(name).c_str(), 0700);
    WatchFolderOptions watch;
    watch.path = folder_.File(name);
    watch.remove = true;
    watch.settle = settle;
    options_.watch.push_back(watch);
  }
  // Makes that row unreadable, and a repair impossible until MendQueue.
  void BreakQueue(const std::string& id) {
    const std::string path = options_.folder + "/transfers.db";
    const auto db = sqlite::OpenSqlite(path, SQLITE_OPEN_READWRITE, "");
    ASSERT_TRUE(db.ok()) << db.status();
    // The queue may be writing.
    ASSERT_TRUE(sqlite::Execute(db->get(), "PRAGMA busy_timeout = 10000").ok());
    const std::string change = absl::StrCat("UPDATE transfer SET crc=0 WHERE id='", id, "'");
    ASSERT_TRUE(sqlite::Execute(db->get(), change.c_str()).ok());
    std::filesystem::create_directories(path + ".new/in_the_way");
    EXPECT_TRUE(absl::IsUnavailable(Cancel(id).status()));
    EXPECT_TRUE(absl::IsUnavailable(transfers_->Get(id).status()));
  }
  void MendQueue() { std::filesystem::remove_all(options_.folder + "/transfers.db.new"); }
  static FileRequest WithId(int number, const std::string& name = "") {
    FileRequest request;
    request.id = TestId(number);
    request.name = name;
    return request;
  }

  TransferTestFolder folder_;
  ShiftedClock clock_;
  NullLog log_;
  TransfersOptions options_;
  std::shared_ptr<FolderRoad> road_;
  std::shared_ptr<FolderRoad> other_;
  std::atomic<int> refuse_announcements_{0};
  std::atomic<bool> heard_{true};
  std::atomic<int> heard_looks_{0};
  absl::Mutex mutex_;
  std::vector<std::string> announced_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Transfers> transfers_;
};

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

TEST_F(TransfersTest, AnnouncesEveryFileOnceItCan) {
  refuse_announcements_ = 2;
  Open();
  MakeFile("a", 10);
  ASSERT_TRUE(Send("a", FileTake::kReference, WithId(1)).ok());
  ASSERT_TRUE(Eventually([&] { return transfers_->Get(TestId(1))->announced; }));
  absl::MutexLock lock(&mutex_);
  EXPECT_EQ(announced_, std::vector<std::string>{TestId(1)});
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
  ASSERT_TRUE(Eventually([&] { return !transfers_->Get(TestId(1))->held; }));
  EXPECT_TRUE(Send("a", FileTake::kCopy, WithId(3, "3")).ok());
}

// Takes what it is told of one by one, as the test says.
TEST(WatchFolderTest, TakesFewAtOnceAndThoseThatAreRefusedLater) {
  TransferTestFolder folder;
  for (const char* name : {"a", "b", "c"}) WriteText(folder.File(name), name);
  FakeClock clock;
  NullLog log;
  absl::Mutex mutex;
  std::vector<std::pair<std::string, std::function<void(bool)>>> taken;
  WatchFolderOptions options;
  options.path = folder.path();
  options.settle = absl::ZeroDuration();
  const auto watch = WatchFolder::Start(
      options, &clock, &log, [&](const WatchedFile& file, std::function<void(bool)> done) {
        absl::MutexLock lock(&mutex);
        taken.emplace_back(file.path.substr(folder.path().size() + 1), std::move(done));
      });
  ASSERT_TRUE(watch.ok()) << watch.status();
  const auto names = [&] {
    absl::MutexLock lock(&mutex);
    std::string all;
    for (const auto& [name, done] : taken) all += name;
    return all;
  };
  const auto answer = [&](size_t number, bool good) {
    absl::MutexLock lock(&mutex);
    taken[number].second(good);
  };
  const auto reaches = [&](const std::string& all) {
    return Eventually([&] { return names() == all; });
  };
  ASSERT_TRUE(reaches("ab"));
  answer(0, false);
  ASSERT_TRUE(reaches("abc"));
  answer(1, true);
  answer(2, true);
  WriteText(folder.File("d"), "d");
  ASSERT_TRUE(reaches("abcd"));  // No time has passed: the first one is not due.
  clock.Advance(WatchFolder::kFirstDelay);
  ASSERT_TRUE(reaches("abcda"));
  answer(3, true);
}

TEST_F(TransfersTest, SendsTheFilesOfAWatchFolder) {
  mkdir(folder_.File("watched").c_str(), 0700);
  WriteText(folder_.File("watched/before"), "was there");
  WatchFolderOptions watch;
  watch.path = folder_.File("watched");
  watch.kind = "image";
  watch.remove = true;
  watch.settle = absl::Milliseconds(20);
  options_.watch = {watch};
  Open();
  WriteText(folder_.File("watched/new\nline"), "hostile");
  ASSERT_EQ(symlink("/etc/passwd", folder_.File("watched/link").c_str()), 0);
  for (const char* name : {"moved", "-rf *"}) {  // Whole at once, however slow this test is.
    WriteText(folder_.File("in/") + name, "moved in");
    const std::string to = folder_.File("watched/") + name;
    ASSERT_EQ(rename((folder_.File("in/") + name).c_str(), to.c_str()), 0);
  }
  ASSERT_TRUE(Eventually([&] { return transfers_->Totals().done == 3; }));
  for (const char* name : {"before", "-rf *", "moved"}) {
    ASSERT_TRUE(Eventually([&] { return !disk::FileExists(folder_.File("watched/") + name); }));
  }
  EXPECT_TRUE(disk::FileExists(folder_.File("watched/new\nline")));
  const auto page = transfers_->List({}, 10, "");
  ASSERT_EQ(page->transfers.size(), 3u);
  for (const Transfer& transfer : page->transfers) {
    EXPECT_EQ(road_->Content(transfer.remote_name).size(), transfer.size);
    EXPECT_EQ(transfer.kind, "image");
  }
}

TEST_F(TransfersTest, AWatchedFileIsSentOnceOverRestarts) {
  mkdir(folder_.File("watched").c_str(), 0700);
  WatchFolderOptions watch;
  watch.path = folder_.File("watched");
  watch.settle = absl::Milliseconds(10);
  options_.watch = {watch};
  WriteText(folder_.File("watched/a"), "once");
  Open();
  ASSERT_TRUE(Eventually([&] { return transfers_->Totals().done == 1; }));
  Close();
  road_ = std::make_shared<FolderRoad>(folder_.File("far"));
  other_ = std::make_shared<FolderRoad>(folder_.File("far2"));
  Open();
  WriteText(folder_.File("watched/b"), "another");
  ASSERT_TRUE(Eventually([&] { return transfers_->Totals().done == 1; }));
  EXPECT_EQ(transfers_->List({}, 10, "")->transfers.size(), 2u);
}

}  // namespace
}  // namespace viaduct
