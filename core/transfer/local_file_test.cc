#include "core/transfer/local_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/transfer/remote_name.h"
#include "core/transfer/transfer_test_support.h"
#include "viaduct/cpp/file_name.h"

namespace viaduct {
namespace {

class LocalFileTest : public testing::Test {
 protected:
  LocalFileTest() {
    for (const char* name : {"in", "in/sub", "out"}) mkdir(folder_.File(name).c_str(), 0700);
    WriteText(folder_.File("in/a b'\"*.jpg"), "picture");
    WriteText(folder_.File("in/sub/-rf"), "deep");
    WriteText(folder_.File("out/secret"), "secret");
  }
  absl::StatusCode Code(const std::string& path) {
    return OpenBelow({folder_.File("in")}, path).status().code();
  }
  TransferTestFolder folder_;
};

TEST_F(LocalFileTest, OpensWhatLiesBelowARoot) {
  const auto file =
      OpenBelow({"/nowhere", folder_.File("in") + "/"}, folder_.File("in/a b'\"*.jpg"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->size, 7u);
  EXPECT_EQ(DigestOf(*file)->sha256, HexSha256("picture"));
  EXPECT_EQ(Code(folder_.File("in/sub/-rf")), absl::StatusCode::kOk);
}

TEST_F(LocalFileTest, ReadsNoFurtherWhenItIsToStop) {
  auto owned = OwnedFolder::Open(folder_.File("own"), 0);
  ASSERT_TRUE(owned.ok()) << owned.status();
  auto file = OpenBelow({folder_.File("in")}, folder_.File("in/sub/-rf"));
  std::atomic<bool> stop{true};
  file->stop = &stop;
  EXPECT_TRUE(absl::IsUnavailable(DigestOf(*file).status()));
  for (const TakeMode mode : {TakeMode::kLink, TakeMode::kCopy}) {
    EXPECT_TRUE(absl::IsUnavailable((*owned)->Take(*file, TestId(1), mode).status()));
  }
  EXPECT_TRUE((*owned)->List().empty());
  stop = false;
  EXPECT_EQ(DigestOf(*file)->sha256, HexSha256("deep"));
}

TEST_F(LocalFileTest, RefusesEveryWayOut) {
  const std::string in = folder_.File("in");
  ASSERT_EQ(symlink(folder_.File("out/secret").c_str(), (in + "/link").c_str()), 0);
  ASSERT_EQ(symlink(folder_.File("out").c_str(), (in + "/folder").c_str()), 0);
  ASSERT_EQ(mkfifo((in + "/pipe").c_str(), 0600), 0);
  EXPECT_EQ(Code(in + "/link"), absl::StatusCode::kPermissionDenied);
  EXPECT_NE(Code(in + "/folder/secret"), absl::StatusCode::kOk);
  EXPECT_EQ(Code(in + "/../out/secret"), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(Code(folder_.File("out/secret")), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(Code(in + "side/x"), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(Code(in + "/sub"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Code(in + "/pipe"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Code(in + "/none"), absl::StatusCode::kNotFound);
  EXPECT_EQ(Code("in/a"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Code(""), absl::StatusCode::kInvalidArgument);
}

TEST_F(LocalFileTest, TakesFilesIntoItsOwnFolder) {
  const auto owned = OwnedFolder::Open(folder_.File("own"), 0);
  ASSERT_TRUE(owned.ok()) << owned.status();
  const auto file = OpenBelow({folder_.path()}, folder_.File("in/sub/-rf"));
  ASSERT_TRUE(file.ok());
  for (const TakeMode mode : {TakeMode::kLink, TakeMode::kCopy}) {
    const auto digest = (*owned)->Take(*file, TestId(1), mode);
    ASSERT_TRUE(digest.ok()) << digest.status();
    EXPECT_EQ(digest->sha256, HexSha256("deep"));
    EXPECT_EQ(ReadText((*owned)->PathOf(TestId(1))), "deep");
  }
  EXPECT_EQ((*owned)->List(), std::vector<std::string>{TestId(1)});
  EXPECT_TRUE((*owned)->Remove(TestId(1)).ok());
  EXPECT_TRUE((*owned)->Remove(TestId(1)).ok());
  EXPECT_EQ(ReadText(folder_.File("in/sub/-rf")), "deep");
}

TEST_F(LocalFileTest, LeavesNothingOfWhatWasNotFinished) {
  const auto owned = OwnedFolder::Open(folder_.File("own"), 0);
  {
    auto file = (*owned)->Begin(TestId(1));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Write("half").ok());
    EXPECT_TRUE(absl::IsAborted((*owned)->Begin(TestId(1)).status()));
  }
  EXPECT_FALSE(disk::FileExists((*owned)->PathOf(TestId(1)) + ".part"));
  WriteText((*owned)->PathOf(TestId(2)) + ".part", "of a crash");
  ASSERT_TRUE(OwnedFolder::Open(folder_.File("own"), 0).ok());
  EXPECT_FALSE(disk::FileExists((*owned)->PathOf(TestId(2)) + ".part"));
}

TEST_F(LocalFileTest, LeavesSpaceToOthers) {
  const auto owned = OwnedFolder::Open(folder_.File("own"), uint64_t{1} << 60);
  EXPECT_TRUE(absl::IsResourceExhausted((*owned)->Begin(TestId(1)).status()));
}

TEST(RemoteNameTest, AllowsWhatIsOddAndRefusesWhatIsHostile) {
  for (const char* good :
       {"CAM001/a b.jpg", "CAM001/-rf", "a/'\"*?$(x).jpg", "\xc3\xa9/x", "..."}) {
    EXPECT_TRUE(CheckRemoteName(good).ok()) << good;
  }
  const std::string longest(sdk::kMaxFileNameComponentBytes, 'x');
  EXPECT_TRUE(CheckRemoteName(longest).ok());
  for (const std::string& bad :
       {std::string(), std::string("/a"), std::string("a//b"), std::string("a/"),
        std::string("a/../b"), std::string("./a"), std::string("a\nb"), std::string("a\x7f"),
        std::string("a\0b", 3), std::string("\xff"), std::string("a/.viaduct-x.part"),
        longest + "x", std::string("\xc2\x85"), std::string(1100, 'a').replace(500, 1, "/")}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckRemoteName(bad))) << bad;
  }
}

TEST(RemoteNameTest, NamesByDeviceAndDay) {
  const absl::Time time = absl::FromUnixSeconds(1705314600);
  EXPECT_EQ(*MakeRemoteName("CAM001", "", "/data/x.jpg", time), "CAM001/2024/01/15/x.jpg");
  EXPECT_EQ(*MakeRemoteName("CAM001", "logs/y", "/data/x.jpg", time), "CAM001/logs/y");
  EXPECT_FALSE(MakeRemoteName("CAM001", "../CAM002/y", "/data/x.jpg", time).ok());
  EXPECT_FALSE(MakeRemoteName("a/b", "", "/data/x.jpg", time).ok());
  EXPECT_FALSE(MakeRemoteName("..", "", "/data/x.jpg", time).ok());
}

}  // namespace
}  // namespace viaduct
