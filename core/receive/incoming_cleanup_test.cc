#include "core/receive/incoming_cleanup.h"

#include <gtest/gtest.h>
#include <utime.h>

#include <filesystem>
#include <fstream>

#include "core/receive/incoming_test_support.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;

class IncomingCleanupTest : public IncomingTest {
 protected:
  void PutBytes(const std::string& name, size_t size) { Put(name, std::string(size, 'x')); }
  IncomingCleanupResult Run(absl::Time now = absl::Now()) {
    return CleanUpIncoming(*incoming_, options_, deps_, now);
  }

  IncomingCleanupOptions options_;
  IncomingCleanupDeps deps_;
};

TEST_F(IncomingCleanupTest, WithoutLimitsEverythingStays) {
  PutBytes("CAM1/a", 1000);
  const auto result = Run(absl::Now() + absl::Hours(24 * 3650));
  EXPECT_EQ(result.removed_files, 0u);
  EXPECT_TRUE(result.over_quota.empty());
  EXPECT_TRUE(Has("CAM1/a"));
}

TEST_F(IncomingCleanupTest, RemovesWhatIsOldWithItsFolders) {
  PutBytes("CAM1/2024/01/a", 10);
  PutBytes("CAM1/2024/02/b", 20);
  PutBytes("CAM2/c", 30);
  // A device cannot make a file younger or older than its arrival.
  const utimbuf future{4'000'000'000, 4'000'000'000};
  ASSERT_EQ(utime(Path("CAM1/2024/01/a").c_str(), &future), 0);
  const utimbuf past{1, 1};
  ASSERT_EQ(utime(Path("CAM2/c").c_str(), &past), 0);
  options_.keep = absl::Hours(48);
  EXPECT_EQ(Run().removed_files, 0u);
  const auto result = Run(absl::Now() + absl::Hours(49));
  EXPECT_EQ(result.removed_files, 3u);
  EXPECT_EQ(result.removed_bytes, 60u);
  EXPECT_FALSE(Has("CAM1/2024"));
  EXPECT_TRUE(Has("CAM1"));  // It is the device's root, made by somebody else.
  EXPECT_TRUE(Has("CAM2"));
}

TEST_F(IncomingCleanupTest, KeepsEachDeviceToItsQuota) {
  for (const char* name : {"CAM1/a", "CAM1/b", "CAM1/c", "CAM1/d"}) PutBytes(name, 100);
  PutBytes("CAM2/a", 250);
  options_.max_bytes_per_device = 250;
  const auto result = Run();
  EXPECT_EQ(result.over_quota, std::vector<std::string>{"CAM1"});
  EXPECT_EQ(result.removed_files, 2u);
  EXPECT_FALSE(Has("CAM1/a"));
  EXPECT_FALSE(Has("CAM1/b"));
  EXPECT_TRUE(Has("CAM1/c"));
  EXPECT_TRUE(Has("CAM2/a"));
  EXPECT_TRUE(Run().over_quota.empty());
}

TEST_F(IncomingCleanupTest, WhatIsBegunOrHiddenCountsInTheQuota) {
  PutBytes("CAM1/2024/.viaduct-0123.part", 100);
  PutBytes("CAM1/.viaduct-partial/0123/a", 100);
  PutBytes("CAM1/.viaduct-hidden/b", 100);
  PutBytes("CAM1/new\nline", 100);
  PutBytes("CAM1/c", 100);
  PutBytes("CAM2/.viaduct-0123.part", 250);
  PutBytes(".viaduct-aside/d", 1000);
  options_.max_bytes_per_device = 250;
  const auto result = Run();
  EXPECT_EQ(result.over_quota, std::vector<std::string>{"CAM1"});
  EXPECT_EQ(result.removed_files, 3u);  // The oldest.
  EXPECT_FALSE(Has("CAM1/2024") || Has("CAM1/.viaduct-partial") || Has("CAM1/.viaduct-hidden"));
  EXPECT_TRUE(Has("CAM1/new\nline") && Has("CAM1/c"));
  EXPECT_TRUE(Has("CAM2/.viaduct-0123.part") && Has(".viaduct-aside/d"));
  options_.max_bytes_per_device = 50;
  EXPECT_EQ(Run().removed_files, 3u);
  EXPECT_FALSE(Has("CAM1/new\nline"));
}

TEST_F(IncomingCleanupTest, WhatIsInUseCountsAndStays) {
  for (const char* name : {"CAM1/a", "CAM1/b", "CAM1/c"}) PutBytes(name, 100);
  options_.max_bytes_per_device = 100;
  deps_.in_use = [](const IncomingEntry& entry) { return entry.name == "CAM1/a"; };
  EXPECT_EQ(Run().removed_files, 2u);
  EXPECT_TRUE(Has("CAM1/a"));
  options_.max_bytes_per_device = 0;
  options_.keep = absl::ZeroDuration();
  const auto result = Run(absl::Now() + absl::Hours(1));
  EXPECT_EQ(result.removed_files, 0u);
  EXPECT_EQ(result.over_quota.size(), 1u);
}

TEST_F(IncomingCleanupTest, MakesRoomOnTheDisk) {
  for (const char* name : {"CAM1/a", "CAM2/b", "CAM1/c", "CAM2/d"}) PutBytes(name, 100);
  options_.min_free_bytes = 1000;
  int64_t free = 850;
  deps_.free_bytes = [&] {
    int64_t left = free;
    for (const char* name : {"CAM1/a", "CAM2/b", "CAM1/c", "CAM2/d"}) left += Has(name) ? 0 : 100;
    return left;
  };
  EXPECT_EQ(Run().removed_files, 2u);
  free = 0;
  const auto result = Run();
  EXPECT_EQ(result.removed_files, 2u);
  EXPECT_TRUE(result.short_of_space);
  free = -1'000'000;  // Unknown is no reason to remove anything.
  PutBytes("CAM1/e", 1);
  EXPECT_EQ(Run().removed_files, 0u);
}

TEST_F(IncomingCleanupTest, RemovesOnlyTheVeryFileThatWasSeen) {
  PutBytes("CAM1/a", 10);
  IncomingEntry seen;
  IncomingVisitor visitor;
  visitor.file = [&](const IncomingEntry& entry) { seen = entry; };
  incoming_->Scan("", visitor);
  PutBytes("CAM1/new", 20);
  fs::rename(Path("CAM1/new"), Path("CAM1/a"));
  EXPECT_TRUE(absl::IsAborted(incoming_->Remove(seen)));
  EXPECT_TRUE(Has("CAM1/a"));
  fs::remove(Path("CAM1/a"));
  EXPECT_TRUE(incoming_->Remove(seen).ok());
  fs::create_directories(folder_.File("out"));
  std::ofstream(folder_.File("out/a")) << "x";
  fs::remove_all(Path("CAM1"));
  fs::create_directory_symlink(folder_.File("out"), Path("CAM1"));
  EXPECT_FALSE(incoming_->Remove(seen).ok());
  EXPECT_TRUE(fs::exists(folder_.File("out/a")));
}

}  // namespace
}  // namespace viaduct
