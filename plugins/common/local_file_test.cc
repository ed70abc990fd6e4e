#include "plugins/common/local_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace viaduct {
namespace {

class LocalFileTest : public ::testing::Test {
 protected:
  LocalFileTest() {
    std::string path = ::testing::TempDir() + "/local-XXXXXX";
    folder_ = mkdtemp(path.data());
    std::ofstream(folder_ + "/a") << "0123456789";
  }
  ~LocalFileTest() override { std::filesystem::remove_all(folder_); }
  absl::StatusCode CodeOf(const std::string& name) {
    return LocalFile::Open(folder_ + "/" + name).status().code();
  }

  std::string folder_;
};

TEST_F(LocalFileTest, ReadsAnyPartAndNoticesThatItBecameShorter) {
  absl::StatusOr<LocalFile> file = LocalFile::Open(folder_ + "/a");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(*file->Size(), 10u);
  char octets[4] = {};
  ASSERT_TRUE(file->Read(3, octets, 4).ok());
  EXPECT_EQ(std::string(octets, 4), "3456");
  EXPECT_TRUE(absl::IsAborted(file->Read(8, octets, 4)));
  std::filesystem::resize_file(folder_ + "/a", 5);
  EXPECT_TRUE(absl::IsAborted(file->Read(3, octets, 4)));
}

TEST_F(LocalFileTest, OpensRegularFilesOnlyAndWaitsForNone) {
  std::filesystem::create_symlink(folder_ + "/a", folder_ + "/link");
  ASSERT_EQ(mkfifo((folder_ + "/pipe").c_str(), 0600), 0);
  EXPECT_EQ(CodeOf("link"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf("pipe"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf("."), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf("none"), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf("a/b"), absl::StatusCode::kNotFound);
}

TEST_F(LocalFileTest, AnErrorOfTheDiskIsNoChangeOfTheFile) {
  absl::StatusOr<LocalFile> file = LocalFile::Open("/proc/self/mem");  // Nothing is at 0.
  ASSERT_TRUE(file.ok()) << file.status();
  char octets[4] = {};
  EXPECT_TRUE(absl::IsDataLoss(file->Read(0, octets, 4)));
}

TEST(Sha256, IsTheKnownOne) {
  Sha256 digest;
  digest.Update("ab");
  digest.Update("c");
  EXPECT_EQ(digest.Hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace viaduct
