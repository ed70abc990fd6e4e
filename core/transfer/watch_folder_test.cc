// Folders whose files are sent as they come.
#include "core/transfer/watch_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <set>

#include "core/transfer/transfers_test_support.h"

namespace viaduct {
namespace {

// Takes what it is told of one by one, as the test says.
TEST(WatchFolderTest, TakesFewAtOnceAndThoseThatAreRefusedLater) {
  TransferTestFolder folder;
  for (const char* name : {"a", "b", "c"}) WriteText(folder.File(name), name);
  FakeClock clock;
  NullLog log;
  absl::Mutex mutex;
  std::vector<std::pair<std::string, WatchFolder::TakenFn>> taken;
  WatchFolderOptions options;
  options.path = folder.path();
  options.settle = absl::ZeroDuration();
  const auto watch = WatchFolder::Start(
      options, &clock, &log, [&](const WatchedFile& file, WatchFolder::TakenFn done) {
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
    taken[number].second(good ? absl::OkStatus() : absl::UnavailableError("full"));
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

TEST(WatchFolderTest, SaysWhatIsWrongAndGoesOnWhenItIsNot) {
  TransferTestFolder folder;
  FakeClock clock;
  NullLog log;
  absl::Mutex mutex;
  std::set<std::string> taken;
  WatchFolderOptions options;
  options.path = folder.File("camera");
  options.settle = absl::ZeroDuration();
  const auto watch = WatchFolder::Start(
      options, &clock, &log, [&](const WatchedFile& file, const WatchFolder::TakenFn& done) {
        {
          absl::MutexLock lock(&mutex);
          taken.insert(file.path);
        }
        done(absl::OkStatus());
      });
  ASSERT_TRUE(watch.ok()) << watch.status();
  const auto takes = [&](const std::string& name) {
    WriteText(folder.File("new"), name);
    std::filesystem::rename(folder.File("new"), options.path + "/" + name);
    return Eventually([&] {
      absl::MutexLock lock(&mutex);
      return taken.count(options.path + "/" + name) != 0;
    });
  };
  ASSERT_TRUE(Eventually([&] { return absl::IsFailedPrecondition((*watch)->state()); }));
  std::filesystem::create_directory(options.path);
  clock.Advance(WatchFolder::kTroubledRescan);
  ASSERT_TRUE(Eventually([&] { return (*watch)->state().ok(); }));
  EXPECT_TRUE(takes("a"));  // The kernel tells: no time passes.
  // Another folder has its path now; what was there is not looked at any more.
  std::filesystem::rename(options.path, folder.File("was"));
  ASSERT_TRUE(Eventually([&] { return absl::IsFailedPrecondition((*watch)->state()); }));
  std::filesystem::create_directory(options.path);
  clock.Advance(WatchFolder::kTroubledRescan);
  ASSERT_TRUE(Eventually([&] { return (*watch)->state().ok(); }));
  EXPECT_TRUE(takes("b"));
  std::filesystem::remove_all(options.path);
  EXPECT_TRUE(Eventually([&] { return absl::IsFailedPrecondition((*watch)->state()); }));
}

TEST(WatchFolderTest, AFileThatHadGoneAndIsBackIsTaken) {
  TransferTestFolder folder;
  WriteText(folder.File("a"), "a");
  FakeClock clock;
  NullLog log;
  std::atomic<int> asked{0};
  WatchFolderOptions options;
  options.path = folder.path();
  options.settle = absl::ZeroDuration();
  const auto watch = WatchFolder::Start(
      options, &clock, &log, [&](const WatchedFile&, const WatchFolder::TakenFn& done) {
        // Its folder is away for a moment, and nobody has looked meanwhile.
        done(asked++ == 0 ? absl::NotFoundError("gone") : absl::OkStatus());
      });
  ASSERT_TRUE(watch.ok()) << watch.status();
  EXPECT_TRUE(Eventually([&] { return asked.load() == 2; }));
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
