#include "plugins/hailo_lpr/camera_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "opencv2/videoio.hpp"
#include "plugins/hailo_lpr/testing/drawn_plates.h"

namespace viaduct::hailo_lpr {
namespace {

namespace fs = std::filesystem;

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr absl::Duration kLimit = absl::Seconds(60);
constexpr int64_t kRecorded = 1'705'314'600'000'000'000;

class CameraSourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "vd-camera-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    options_.file = (folder_ / "video.avi").string();
    options_.recorded_at = absl::FromUnixNanos(kRecorded);
    options_.real_time = false;
    options_.reconnect_after = absl::Milliseconds(50);
    options_.reconnect_at_most = absl::Milliseconds(200);
    limits_.max_pixels = 320 * 180;
  }
  void TearDown() override {
    source_.reset();
    waiting_.clear();
    fs::remove_all(folder_);
  }

  void WriteVideo(int pictures, cv::Size size = {320, 180}) {
    cv::VideoWriter writer(options_.file, cv::VideoWriter::fourcc('M', 'J', 'P', 'G'), 25, size);
    ASSERT_TRUE(writer.isOpened());
    for (int i = 0; i < pictures; ++i) writer.write(testing::DrawStreet(size, {}));
  }

  void Start(SourceKind kind = SourceKind::kVideo) {
    SourceHooks hooks;
    hooks.wall_ns = [] { return absl::ToUnixNanos(absl::Now()); };
    hooks.monotonic_ns = hooks.wall_ns;
    hooks.take = [this](const PictureJob& job, size_t most_waiting) {
      absl::MutexLock lock(&mutex_);
      if (busy_ && waiting_.size() >= most_waiting) return false;
      if (busy_) waiting_.push_back(job);
      captures_.push_back(job.capture_ns);
      sizes_.emplace_back(static_cast<int>(job.form.width), static_cast<int>(job.form.height));
      return true;
    };
    hooks.take_newest = [this](const PictureJob& job, size_t /*most_waiting*/) {
      absl::MutexLock lock(&mutex_);
      captures_.push_back(job.capture_ns);
    };
    hooks.end_stream = [this] {
      absl::MutexLock lock(&mutex_);
      ++streams_ended_;
    };
    hooks.on_state = [this](SourceState state, const std::string& reason) {
      absl::MutexLock lock(&mutex_);
      states_.push_back(state);
      reasons_.push_back(reason);
    };
    hooks.on_lost = [](uint64_t /*count*/) {};
    source_ =
        std::make_unique<CameraSource>(kind, options_, limits_, CameraProgram(), std::move(hooks));
    ASSERT_TRUE(source_->Start().ok());
  }

  template <typename Ready>
  bool Await(const Ready& ready) {
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&ready), kLimit);
  }
  bool AwaitState(SourceState state) {
    return Await([this, state] {
      return std::find(states_.begin(), states_.end(), state) != states_.end();
    });
  }

  fs::path folder_;
  CameraOptions options_;
  PictureLimits limits_;
  absl::Mutex mutex_;
  bool busy_ = false;  // Nothing that is taken is looked at.
  std::vector<PictureJob> waiting_;
  std::vector<int64_t> captures_;
  std::vector<cv::Size> sizes_;
  std::vector<SourceState> states_;
  std::vector<std::string> reasons_;
  int streams_ended_ = 0;
  std::unique_ptr<CameraSource> source_;
};

TEST_F(CameraSourceTest, AVideoGivesAllItsPicturesWithTheirTimesAndEnds) {
  WriteVideo(50);
  Start();
  ASSERT_TRUE(AwaitState(SourceState::kEnded)) << ::testing::PrintToString(reasons_);
  ASSERT_THAT(captures_, SizeIs(50));
  EXPECT_EQ(captures_[0], kRecorded);
  EXPECT_NEAR(static_cast<double>(captures_[49] - kRecorded), 49 * 40e6, 45e6);
  EXPECT_TRUE(std::is_sorted(captures_.begin(), captures_.end()));
  EXPECT_EQ(sizes_[0], cv::Size(320, 180));
  EXPECT_EQ(streams_ended_, 1);
  EXPECT_THAT(reasons_.back(), HasSubstr("after 50 pictures"));
}

TEST_F(CameraSourceTest, AVideoPlays) {
  WriteVideo(25);
  options_.real_time = true;
  const absl::Time begin = absl::Now();
  Start();
  ASSERT_TRUE(AwaitState(SourceState::kEnded));
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(900));
  EXPECT_LE(captures_.size(), 25u);
}

TEST_F(CameraSourceTest, ALoopGoesOnInTime) {
  WriteVideo(10);
  options_.loop = true;
  Start();
  ASSERT_TRUE(Await([this] { return captures_.size() >= 25; }));
  source_->Stop();
  EXPECT_TRUE(std::is_sorted(captures_.begin(), captures_.end()));
}

TEST_F(CameraSourceTest, WhatCannotBeOpenedIsSaidAndTriedAgain) {
  Start();
  ASSERT_TRUE(AwaitState(SourceState::kTrouble));
  EXPECT_THAT(reasons_, Contains(HasSubstr("cannot be opened")));
  WriteVideo(5);
  ASSERT_TRUE(AwaitState(SourceState::kEnded));
  EXPECT_THAT(captures_, SizeIs(5));
}

TEST_F(CameraSourceTest, AFileThatIsNoVideoIsSaid) {
  std::ofstream(options_.file) << "no video";
  Start();
  ASSERT_TRUE(AwaitState(SourceState::kTrouble));
}

TEST_F(CameraSourceTest, AVideoThatIsCutEndsThere) {
  WriteVideo(50);
  fs::resize_file(options_.file, fs::file_size(options_.file) / 2);
  Start();
  ASSERT_TRUE(AwaitState(SourceState::kEnded)) << ::testing::PrintToString(reasons_);
  EXPECT_GT(captures_.size(), 10u);
  EXPECT_LT(captures_.size(), 50u);
}

TEST_F(CameraSourceTest, ACameraThatIsNotThereIsSaid) {
  options_.device = (folder_ / "video0").string();
  Start(SourceKind::kV4l2);
  ASSERT_TRUE(AwaitState(SourceState::kTrouble));
  EXPECT_THAT(reasons_.back(), HasSubstr(options_.device));
}

TEST_F(CameraSourceTest, PicturesThatAreTooLargeAreRefused) {
  WriteVideo(5, {640, 360});
  Start();
  ASSERT_TRUE(AwaitState(SourceState::kTrouble));
  EXPECT_THAT(reasons_, Contains(HasSubstr("too large, 640x360")));
}

// Its read would never come back: nobody writes into the pipe.
TEST_F(CameraSourceTest, AReadThatHangsForEverHangsNobody) {
  options_.file = (folder_ / "pipe.avi").string();
  ASSERT_EQ(mkfifo(options_.file.c_str(), 0600), 0);
  options_.stall_timeout = absl::Milliseconds(700);
  Start();
  ASSERT_TRUE(AwaitState(SourceState::kTrouble));
  EXPECT_THAT(reasons_, Contains(HasSubstr("no picture for 700ms")));
  // By then it hangs again.
  const absl::Time begin = absl::Now();
  source_->Stop();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
}

// The programs that this test has started.
std::vector<pid_t> Children() {
  std::vector<pid_t> children;
  for (const auto& task : fs::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "children");
    for (pid_t child = 0; file >> child;) children.push_back(child);
  }
  return children;
}

// A decoder that crashes, a camera that is unplugged under its driver.
TEST_F(CameraSourceTest, AProgramThatDiesIsStartedAgain) {
  WriteVideo(500);
  options_.real_time = true;
  Start();
  ASSERT_TRUE(AwaitState(SourceState::kRunning));
  const std::vector<pid_t> children = Children();
  ASSERT_THAT(children, SizeIs(1));
  int first_to_go = 0;
  std::ifstream(absl::StrCat("/proc/", children[0], "/oom_score_adj")) >> first_to_go;
  EXPECT_EQ(first_to_go, 1000);  // Where memory is short it ends and not the node.
  kill(children[0], SIGKILL);
  ASSERT_TRUE(AwaitState(SourceState::kTrouble));
  EXPECT_THAT(reasons_.back(), HasSubstr("its program has ended"));
  ASSERT_TRUE(Await([this] { return states_.back() == SourceState::kRunning; }));
  EXPECT_GE(streams_ended_, 1);
  source_->Stop();
  EXPECT_THAT(Children(), SizeIs(0));
}

// The node takes no events for longer than the program may be silent.
TEST_F(CameraSourceTest, AVideoThatWaitsForRoomHasNotStalled) {
  constexpr size_t kPictures = 20;
  WriteVideo(kPictures);
  options_.stall_timeout = absl::Seconds(3);  // So long a program under a sanitizer may take.
  busy_ = true;
  Start();
  ASSERT_TRUE(AwaitState(SourceState::kRunning));
  const auto in_trouble = [this] { return states_.back() == SourceState::kTrouble; };
  {
    absl::MutexLock lock(&mutex_);
    EXPECT_FALSE(mutex_.AwaitWithTimeout(absl::Condition(&in_trouble), 2 * options_.stall_timeout));
    busy_ = false;
    waiting_.clear();
  }
  source_->OnRoom();
  ASSERT_TRUE(AwaitState(SourceState::kEnded)) << ::testing::PrintToString(reasons_);
  EXPECT_THAT(captures_, SizeIs(kPictures));  // Each once.
}

TEST_F(CameraSourceTest, StopsWhileItPlays) {
  WriteVideo(500);
  options_.real_time = true;
  Start();
  ASSERT_TRUE(AwaitState(SourceState::kRunning));
  const absl::Time begin = absl::Now();
  source_->Stop();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
}

TEST(CameraProcess, AProgramThatIsKilledIsMissed) {
  const absl::StatusOr<std::unique_ptr<CameraProcess>> process =
      CameraProcess::Start("/bin/cat", "{}", 4096);
  ASSERT_TRUE(process.ok()) << process.status();
  kill((*process)->pid(), SIGKILL);
  absl::StatusOr<std::optional<CameraMessage>> next = std::nullopt;
  const absl::Time limit = absl::Now() + kLimit;
  while (next.ok() && !next->has_value() && absl::Now() < limit) next = (*process)->Next();
  EXPECT_TRUE(absl::IsUnavailable(next.status())) << next.status();
}

TEST(CameraProcess, AProgramThatIsNotThereIsNamed) {
  const auto process = CameraProcess::Start("/nowhere/camera", "{}", 4096);
  EXPECT_TRUE(absl::IsNotFound(process.status())) << process.status();
}

}  // namespace
}  // namespace viaduct::hailo_lpr
