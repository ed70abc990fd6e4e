#include "plugins/hailo_lpr/folder_source.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace viaduct::hailo_lpr {
namespace {

namespace fs = std::filesystem;

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr absl::Duration kLimit = absl::Seconds(20);

class FolderSourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "vd-folder-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    fs::create_directory(root_ / "in");
    fs::create_directory(root_ / "done");
    options_.path = (root_ / "in").string();
    options_.settle = absl::ZeroDuration();
  }
  void TearDown() override {
    source_.reset();
    fs::remove_all(root_);
  }

  void Put(const std::string& name, const std::string& octets) {
    // As a well-behaved camera does it: under its name only when it is whole.
    const fs::path part = root_ / "in" / ("." + name);
    std::ofstream(part, std::ios::binary) << octets;
    fs::rename(part, root_ / "in" / name);
  }

  absl::Status Start() {
    SourceHooks hooks;
    hooks.wall_ns = [] { return absl::ToUnixNanos(absl::Now()); };
    hooks.monotonic_ns = hooks.wall_ns;
    hooks.take = [this](PictureJob job, size_t /*most_waiting*/) {
      absl::MutexLock lock(&mutex_);
      if (room_ == 0) return false;
      --room_;
      names_.push_back(job.name);
      contents_.emplace_back(job.octets);
      jobs_.push_back(std::move(job));
      return true;
    };
    hooks.on_state = [this](SourceState state, const std::string& reason) {
      absl::MutexLock lock(&mutex_);
      states_.push_back(state);
      reasons_.push_back(reason);
    };
    hooks.on_unreadable = [this](const absl::Status& why) {
      absl::MutexLock lock(&mutex_);
      unreadable_.emplace_back(why.message());
    };
    source_ = std::make_unique<FolderSource>(options_, limits_, std::move(hooks));
    return source_->Start();
  }

  template <typename Ready>
  bool Await(const Ready& ready) {
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&ready), kLimit);
  }
  bool AwaitNames(size_t count) {
    return Await([this, count] { return names_.size() >= count; });
  }
  void End(size_t number, const absl::Status& status) {
    std::function<void(const absl::Status&)> ended;
    {
      absl::MutexLock lock(&mutex_);
      ended = jobs_[number].ended;
    }
    ended(status);
  }
  std::vector<std::string> Names(const char* folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(root_ / folder)) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  fs::path root_;
  FolderOptions options_;
  PictureLimits limits_;
  absl::Mutex mutex_;
  size_t room_ = 1000;
  std::vector<PictureJob> jobs_;
  std::vector<std::string> names_;
  std::vector<std::string> contents_;
  std::vector<SourceState> states_;
  std::vector<std::string> reasons_;
  std::vector<std::string> unreadable_;
  std::unique_ptr<FolderSource> source_;
};

TEST_F(FolderSourceTest, GivesWhatIsThereAndWhatComes) {
  Put("b.jpg", "two");
  Put("a.PNG", "one");
  Put("notes.txt", "no picture");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(AwaitNames(2));
  Put("c.jpeg", "three");
  ASSERT_TRUE(AwaitNames(3));
  EXPECT_THAT(names_, ElementsAre("a.PNG", "b.jpg", "c.jpeg"));
  EXPECT_THAT(contents_, ElementsAre("one", "two", "three"));
  EXPECT_TRUE(jobs_[0].ask_picture);
  EXPECT_NEAR(static_cast<double>(jobs_[0].capture_ns),
              static_cast<double>(absl::ToUnixNanos(absl::Now())), 60e9);
}

TEST_F(FolderSourceTest, WaitsForRoomAndLosesNothing) {
  room_ = 1;
  for (int i = 0; i < 50; ++i) Put("p" + std::to_string(100 + i) + ".jpg", "x");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(AwaitNames(1));
  for (size_t i = 2; i <= 50; ++i) {
    {
      absl::MutexLock lock(&mutex_);
      room_ = 1;
    }
    source_->OnRoom();
    ASSERT_TRUE(AwaitNames(i)) << i;
  }
  EXPECT_TRUE(std::is_sorted(names_.begin(), names_.end()));
}

TEST_F(FolderSourceTest, MovesWhatIsDoneAndNeverReplaces) {
  options_.after = After::kMove;
  options_.move_to = (root_ / "done").string();
  std::ofstream(root_ / "done" / "a.jpg") << "older";
  for (const char* name : {"a.jpg", "broken.jpg", "not.jpg", "refused.jpg", "unseen.jpg"}) {
    Put(name, name);
  }
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(AwaitNames(5));
  EXPECT_THAT(Names("in"), SizeIs(5));
  End(0, absl::OkStatus());
  End(1, absl::InvalidArgumentError("broken"));
  End(2, absl::CancelledError("the instance stops"));
  End(3, absl::FailedPreconditionError("the server takes no detections of this node"));
  End(4, absl::InternalError("the model failed"));
  source_->Stop();
  EXPECT_THAT(Names("in"), UnorderedElementsAre("not.jpg", "refused.jpg", "unseen.jpg"));
  EXPECT_THAT(Names("done"), UnorderedElementsAre("a.jpg", "1-a.jpg", "broken.jpg"));
}

TEST_F(FolderSourceTest, DeletesOnlyWhatWasReadAndIsStillIt) {
  options_.after = After::kDelete;
  for (const char* name : {"a.jpg", "b.jpg", "c.jpg"}) Put(name, name);
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(AwaitNames(3));
  Put("b.jpg", "a newer one");
  End(0, absl::OkStatus());
  End(1, absl::OkStatus());
  End(2, absl::InvalidArgumentError("broken"));
  ASSERT_TRUE(AwaitNames(4));  // The newer one is a picture of its own.
  EXPECT_EQ(contents_[3], "a newer one");
  source_->Stop();
  EXPECT_THAT(Names("in"), UnorderedElementsAre("b.jpg", "c.jpg"));
}

TEST_F(FolderSourceTest, APictureThatNobodyCouldLookAtNowComesAgain) {
  options_.after = After::kDelete;
  Put("a.jpg", "a");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(AwaitNames(1));
  End(0, absl::UnavailableError("the device is away"));
  ASSERT_TRUE(AwaitNames(2));
  End(1, absl::ResourceExhaustedError("no memory"));
  ASSERT_TRUE(AwaitNames(3));
  End(2, absl::OkStatus());
  source_->Stop();
  EXPECT_THAT(Names("in"), ::testing::IsEmpty());
}

TEST_F(FolderSourceTest, AFileForWhichThereIsNoDescriptorNowComesAgain) {
  const fs::path part = root_ / "in" / ".a.jpg";
  std::ofstream(part) << "a";
  Put("first.jpg", "first");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(AwaitNames(1));  // The look through the folder is over.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none = {3, before.rlim_max};  // Those are taken; poll wants that many.
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  fs::rename(part, root_ / "in" / "a.jpg");
  const bool told = Await([this] { return !unreadable_.empty(); });
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(told);
  ASSERT_TRUE(AwaitNames(2));
  EXPECT_EQ(names_[1], "a.jpg");
}

// All of them are too young at first.
TEST_F(FolderSourceTest, ForgetsNoneOfManyThatHaveToSettle) {
  constexpr size_t kMany = FolderSource::kMostNames + 200;
  options_.after = After::kDelete;
  options_.settle = absl::Seconds(2);
  {
    absl::MutexLock lock(&mutex_);
    room_ = 2 * kMany;
  }
  for (size_t i = 0; i < kMany; ++i) Put(absl::StrCat(10'000 + i, ".jpg"), "x");
  ASSERT_TRUE(Start().ok());
  for (size_t i = 0; i < kMany; ++i) {
    ASSERT_TRUE(AwaitNames(i + 1)) << i;
    End(i, absl::OkStatus());
  }
  source_->Stop();
  EXPECT_THAT(Names("in"), ::testing::IsEmpty());
}

// As far as the file system keeps them.
TEST_F(FolderSourceTest, FilesOfFarTimesAreRead) {
  options_.settle = absl::Seconds(1);
  for (const int64_t seconds : {int64_t{1} << 61, -(int64_t{1} << 61)}) {
    const std::string name = absl::StrCat(seconds, ".jpg");
    Put(name, "x");
    const timespec times[2] = {{seconds, 0}, {seconds, 0}};
    utimensat(AT_FDCWD, (root_ / "in" / name).c_str(), times, 0);
  }
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(AwaitNames(2));
}

TEST_F(FolderSourceTest, AMoveThatFailedIsForgottenWithTheNextThatDoesNot) {
  options_.after = After::kMove;
  options_.move_to = (root_ / "done").string();
  std::ofstream(root_ / "done" / "a.jpg") << "older";
  for (int i = 1; i < 1'000; ++i) {  // All numbers that it could get.
    std::ofstream(root_ / "done" / absl::StrCat(i, "-a.jpg")) << "older";
  }
  for (const char* name : {"a.jpg", "b.jpg"}) Put(name, name);
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(AwaitNames(2));
  End(0, absl::OkStatus());
  ASSERT_TRUE(Await([this] { return states_.back() == SourceState::kTrouble; }));
  End(1, absl::OkStatus());
  ASSERT_TRUE(Await([this] { return states_.back() == SourceState::kRunning; }));
}

TEST_F(FolderSourceTest, AFolderToMoveToThatGoesIsSaidAndPicturesWaitForIt) {
  options_.after = After::kMove;
  options_.move_to = (root_ / "done").string();
  Put("a.jpg", "a");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(AwaitNames(1));
  fs::remove(root_ / "done");
  End(0, absl::OkStatus());
  ASSERT_TRUE(Await([this] { return states_.back() == SourceState::kTrouble; }));
  EXPECT_THAT(reasons_.back(), HasSubstr("done: is gone"));
  fs::create_directory(root_ / "done");
  ASSERT_TRUE(AwaitNames(2));
  End(1, absl::OkStatus());
  source_->Stop();
  EXPECT_THAT(Names("done"), ElementsAre("a.jpg"));
}

TEST_F(FolderSourceTest, LinksPipesFoldersAndLargeFilesAreNoPictures) {
  limits_.max_bytes = 10;
  Put("large.jpg", std::string(11, 'x'));
  fs::create_symlink("/etc/passwd", root_ / "in" / "link.jpg");
  ASSERT_EQ(mkfifo((root_ / "in" / "pipe.jpg").c_str(), 0600), 0);
  fs::create_directory(root_ / "in" / "folder.jpg");
  Put("z.jpg", "good");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(AwaitNames(1));
  EXPECT_THAT(names_, ElementsAre("z.jpg"));
  EXPECT_THAT(unreadable_, SizeIs(4));
}

TEST_F(FolderSourceTest, AFolderThatGoesIsSaid) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Await([this] { return !states_.empty(); }));
  EXPECT_EQ(states_[0], SourceState::kRunning);
  fs::remove_all(root_ / "in");
  ASSERT_TRUE(Await([this] { return states_.size() >= 2; }));
  EXPECT_EQ(states_[1], SourceState::kTrouble);
  EXPECT_THAT(reasons_[1], HasSubstr("gone"));
}

TEST_F(FolderSourceTest, AMissingFolderIsNoFailureButOneToMoveToIs) {
  options_.path = (root_ / "nowhere").string();
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Await([this] { return !states_.empty(); }));
  EXPECT_EQ(states_[0], SourceState::kTrouble);
  source_->Stop();
  options_.after = After::kMove;
  options_.move_to = (root_ / "nowhere").string();
  EXPECT_TRUE(absl::IsNotFound(Start()));
}

}  // namespace
}  // namespace viaduct::hailo_lpr
