// The files of a node with roads that tests break.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "core/base/sqlite.h"
#include "core/transfer/folder_road_test_support.h"
#include "core/transfer/transfer_test_support.h"
#include "core/transfer/transfers.h"

namespace viaduct {

// The wall clock may be ahead: files are then old. Thread-safe.
class ShiftedClock final : public Clock {
 public:
  absl::Time Now() const override { return system_.Now() + absl::Seconds(ahead_s.load()); }
  int64_t MonotonicNanos() const override { return system_.MonotonicNanos(); }
  std::atomic<int> ahead_s{0};

 private:
  SystemClock system_;
};

// A node's files, with two roads: "north" by sftp, up, and "south" by rsync, down.
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

}  // namespace viaduct
