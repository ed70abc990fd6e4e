#include "core/receive/incoming_watch.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "core/receive/incoming_test_support.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;
constexpr int kDeadlineMs = 30'000;

class IncomingWatchTest : public IncomingTest {
 protected:
  IncomingWatchTest() { Make({}); }
  void Make(IncomingWatchOptions options) {
    auto started = IncomingWatch::Start(incoming_.get(), options);
    EXPECT_TRUE(started.ok()) << started.status();
    watch_ = *std::move(started);
  }
  Names Look() {
    Names names;
    watch_->Look([&](const IncomingEntry& entry) { names.insert(entry.name); });
    return names;
  }
  // What was told until `name` was; the kernel tells before the call that causes it returns.
  Names HintsUntil(const std::string& name) {
    Names names;
    while (names.count(name) == 0) {
      pollfd source{watch_->descriptor(), POLLIN, 0};
      if (poll(&source, 1, kDeadlineMs) <= 0) {
        ADD_FAILURE() << "nothing was told of " << name;
        break;
      }
      Read(&names);
    }
    return names;
  }
  bool Read(Names* names) {
    return watch_->Read([names](const std::string& name) { names->insert(name); });
  }

  std::unique_ptr<IncomingWatch> watch_;
};

TEST_F(IncomingWatchTest, TellsOfFilesThatAreClosedOrMovedIn) {
  Put("CAM1/a", "1");
  EXPECT_EQ(Look(), Names{"CAM1/a"});
  Put("CAM1/b", "2");
  EXPECT_EQ(HintsUntil("CAM1/b"), Names{"CAM1/b"});
  Put("CAM1/.viaduct-c.part", "3");
  fs::rename(Path("CAM1/.viaduct-c.part"), Path("CAM1/c"));
  EXPECT_EQ(HintsUntil("CAM1/c"), Names{"CAM1/c"});
}

TEST_F(IncomingWatchTest, TellsOfWhatComesInNewFolders) {
  EXPECT_EQ(Look(), Names());
  Put("CAM1/2024/01/15/a", "1");  // All of it before a watch can be set.
  EXPECT_EQ(HintsUntil("CAM1/2024/01/15/a").count("CAM1/2024/01/15/a"), 1u);
  EXPECT_EQ(watch_->watches(), 5u);
  Put("CAM1/2024/01/15/b", "2");
  EXPECT_EQ(HintsUntil("CAM1/2024/01/15/b").count("CAM1/2024/01/15/b"), 1u);
}

TEST_F(IncomingWatchTest, DoesNotFollowALinkToAFolder) {
  fs::create_directories(folder_.File("out"));
  Put("CAM1/a", "");
  fs::create_directory_symlink(folder_.File("out"), Path("CAM1/link"));
  Look();
  EXPECT_EQ(watch_->watches(), 2u);
  std::ofstream(folder_.File("out/x")) << "x";
  Put("CAM1/b", "");
  EXPECT_EQ(HintsUntil("CAM1/b"), Names{"CAM1/b"});
}

TEST_F(IncomingWatchTest, AMovedFolderAsksForALook) {
  Put("CAM1/d/a", "");
  Look();
  fs::rename(Path("CAM1/d"), Path("CAM1/e"));
  Names names;
  EXPECT_FALSE(Read(&names));
  EXPECT_EQ(Look(), Names{"CAM1/e/a"});
  Put("CAM1/e/b", "");
  EXPECT_EQ(HintsUntil("CAM1/e/b").count("CAM1/d/b"), 0u);
}

TEST_F(IncomingWatchTest, ForgetsFoldersThatAreRemoved) {
  Put("CAM1/d/a", "");
  Look();
  ASSERT_EQ(watch_->watches(), 3u);
  fs::remove_all(Path("CAM1/d"));
  Names names;
  EXPECT_TRUE(Read(&names));
  EXPECT_EQ(watch_->watches(), 2u);
}

TEST_F(IncomingWatchTest, OneDeviceTakesNoOtherOnesWatches) {
  IncomingWatchOptions options;
  options.max_watches = 8;
  options.max_watches_per_device = 4;
  Make(options);
  for (int i = 0; i < 20; ++i) Put("CAM1/" + std::to_string(i) + "/a", "");
  Put("CAM2/a", "");
  EXPECT_EQ(Look().size(), 21u);  // Found all the same.
  EXPECT_EQ(watch_->watches(), 1u + 4u + 1u);
  EXPECT_EQ(watch_->unwatched(), 17u);
  EXPECT_EQ(Look().size(), 21u);
  EXPECT_EQ(watch_->watches(), 6u);
  Put("CAM2/b", "");
  EXPECT_EQ(HintsUntil("CAM2/b").count("CAM2/b"), 1u);
}

TEST_F(IncomingWatchTest, AnOverflowAsksForALook) {
  std::ifstream limit("/proc/sys/fs/inotify/max_queued_events");
  size_t events = 0;
  limit >> events;
  ASSERT_GT(events, 0u);
  Put("CAM1/a", "");
  Put("CAM1/b", "");
  Look();
  // The same event twice in a row is merged by the kernel: in turns.
  for (size_t i = 0; i <= events; ++i) std::ofstream(Path(i % 2 == 0 ? "CAM1/a" : "CAM1/b"));
  Names names;
  bool all = true;
  pollfd source{watch_->descriptor(), POLLIN, 0};
  while (poll(&source, 1, 0) > 0) all = Read(&names) && all;
  EXPECT_FALSE(all);
  EXPECT_EQ(Look(), (Names{"CAM1/a", "CAM1/b"}));
}

}  // namespace
}  // namespace viaduct
