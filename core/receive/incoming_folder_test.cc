#include "core/receive/incoming_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/ascii.h"
#include "core/base/sha256.h"
#include "core/receive/incoming_test_support.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;
constexpr char kId[] = "0190a6f0-1234-7abc-8def-0123456789ab";

class IncomingFolderTest : public IncomingTest {
 protected:
  static std::string TextOf(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static IncomingAnnouncement Of(const std::string& name, const std::string& text) {
    return {name, text.size(), HexSha256(text)};
  }
  absl::StatusCode Verified(const IncomingAnnouncement& announcement) {
    return incoming_->Verify(announcement).code();
  }
  std::vector<std::string> Files(IncomingScan* scan = nullptr) {
    std::vector<std::string> names;
    IncomingVisitor visitor;
    visitor.file = [&](const IncomingEntry& entry) { names.push_back(entry.name); };
    const IncomingScan result = incoming_->Scan("", visitor);
    if (scan != nullptr) *scan = result;
    std::sort(names.begin(), names.end());
    return names;
  }
};

using Names = std::vector<std::string>;

TEST_F(IncomingFolderTest, FindsFilesAndNothingElse) {
  Put("CAM1/2024/01/15/a b'\"*.jpg", "picture");
  Put("CAM1/-rf", "");
  Put("CAM2/x", "12");
  Put("top", "of no device");
  Put("CAM1/.viaduct-0123.part", "half");
  Put("CAM1/.viaduct-partial/y", "half");
  Put("CAM1/line\nbreak", "x");
  Put("CAM1/bad\xff", "x");
  Put("CAM1/" + std::string(201, 'n'), "x");
  ASSERT_EQ(mkfifo(Path("CAM1/pipe").c_str(), 0600), 0);
  fs::create_symlink(Path("CAM2"), Path("CAM1/folder"));
  fs::create_symlink(Path("CAM2/x"), Path("CAM1/link"));
  IncomingScan scan;
  EXPECT_EQ(Files(&scan), (Names{"CAM1/-rf", "CAM1/2024/01/15/a b'\"*.jpg", "CAM2/x"}));
  EXPECT_EQ(scan.files, 3u);
  EXPECT_EQ(scan.ignored, 7u);
  EXPECT_TRUE(scan.complete);
  EXPECT_TRUE(scan.cut.empty());
}

// deploy/sshd gives each device a root of its own.
TEST_F(IncomingFolderTest, DevicesMayHaveRootsOfTheirOwn) {
  IncomingFolderOptions options;
  options.inside = "incoming";
  Open(options);
  Put("CAM1/incoming/CAM1/2024/a.jpg", "picture");
  Put("CAM1/incoming/CAM2/b.jpg", "in the name of another");
  Put("CAM1/other", "beside it");
  fs::create_directories(Path("CAM2/incoming"));
  fs::create_directories(Path("CAM3/incoming"));
  fs::create_symlink(Path("CAM1/incoming/CAM1"), Path("CAM3/incoming/CAM3"));
  IncomingScan scan;
  EXPECT_EQ(Files(&scan), Names{"CAM1/2024/a.jpg"});
  EXPECT_FALSE(scan.complete) << "a link is no folder";
  EXPECT_EQ(Verified(Of("CAM1/2024/a.jpg", "picture")), absl::StatusCode::kOk);
  EXPECT_EQ(Verified(Of("CAM2/b.jpg", "in the name of another")), absl::StatusCode::kNotFound);
  EXPECT_EQ(Verified(Of("CAM3/2024/a.jpg", "picture")), absl::StatusCode::kNotFound);
  const auto entry = incoming_->Look("CAM1/2024/a.jpg");
  ASSERT_TRUE(entry.ok()) << entry.status();
  EXPECT_TRUE(incoming_->Remove(*entry).ok());
  EXPECT_FALSE(fs::exists(Path("CAM1/incoming/CAM1/2024")));
  EXPECT_TRUE(fs::exists(Path("CAM1/incoming/CAM1")));
}

TEST_F(IncomingFolderTest, TellsWhatAFileIs) {
  Put("CAM1/x", "four");
  IncomingVisitor visitor;
  IncomingEntry found;
  visitor.file = [&](const IncomingEntry& entry) { found = entry; };
  incoming_->Scan("CAM1", visitor);
  struct stat info {};
  ASSERT_EQ(lstat(Path("CAM1/x").c_str(), &info), 0);
  EXPECT_EQ(found.name, "CAM1/x");
  EXPECT_EQ(found.size, 4u);
  EXPECT_EQ(found.inode, info.st_ino);
  EXPECT_EQ(found.modified_ns, info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec);
}

TEST_F(IncomingFolderTest, OneDeviceWithTooMuchDoesNotHideAnother) {
  IncomingFolderOptions options;
  options.max_entries_per_device = 10;
  Open(options);
  for (int i = 0; i < 10; ++i) Put("CAM1/" + std::to_string(i), "");
  for (int i = 0; i < 11; ++i) Put("CAM2/d/" + std::to_string(i), "");
  Put("CAM3/x", "");
  IncomingScan scan;
  Files(&scan);
  EXPECT_EQ(scan.cut, Names{"CAM2"});
  EXPECT_EQ(scan.files, 10u + 9u + 1u);
}

TEST_F(IncomingFolderTest, LeavesWhatIsTooDeep) {
  std::string name = "CAM1";
  for (int i = 0; i < IncomingFolder::kMaxDepth - 2; ++i) name += "/d";
  Put(name + "/x", "");
  Put(name + "/d/too deep", "");
  IncomingScan scan;
  EXPECT_EQ(Files(&scan), Names{name + "/x"});
  EXPECT_TRUE(scan.complete);
}

TEST_F(IncomingFolderTest, ComparesAFileWithItsAnnouncement) {
  Put("CAM1/a", "picture");
  IncomingAnnouncement right = Of("CAM1/a", "picture");
  EXPECT_EQ(Verified(right), absl::StatusCode::kOk);
  right.sha256 = absl::AsciiStrToUpper(right.sha256);
  EXPECT_EQ(Verified(right), absl::StatusCode::kOk);
  EXPECT_EQ(Verified(Of("CAM1/a", "PICTURE")), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Verified(Of("CAM1/a", "picture!")), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Verified({"CAM1/a", 7, ""}), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Verified(Of("CAM1/b", "picture")), absl::StatusCode::kNotFound);
  Put("CAM1/empty", "");
  EXPECT_EQ(Verified(Of("CAM1/empty", "")), absl::StatusCode::kOk);
}

TEST_F(IncomingFolderTest, NoAnnouncementLeadsOutOfTheFolder) {
  std::ofstream(folder_.File("secret")) << "secret";
  Put("CAM1/a", "picture");
  Put("CAM1/.viaduct-x.part", "secret");
  fs::create_symlink(folder_.File("secret"), Path("CAM1/link"));
  fs::create_symlink(folder_.path(), Path("CAM1/folder"));
  fs::create_symlink(Path("CAM1"), Path("CAM2"));
  ASSERT_EQ(mkfifo(Path("CAM1/pipe").c_str(), 0600), 0);
  for (const char* name : {"../secret", "CAM1/../../secret", "CAM1/link", "CAM1/folder/secret",
                           "CAM2/a", "/etc/passwd", "CAM1//a", "CAM1/./a", "CAM1/.viaduct-x.part",
                           "", "CAM1", "CAM1/pipe", "CAM1/a/", "CAM1/a/b"}) {
    EXPECT_NE(Verified(Of(name, "secret")), absl::StatusCode::kOk) << name;
    EXPECT_NE(Verified(Of(name, "secret")), absl::StatusCode::kDataLoss) << name << " was read";
  }
}

TEST_F(IncomingFolderTest, ACopyIsWhatWasVerified) {
  auto own = OwnedFolder::Open(folder_.File("own"), 0);
  ASSERT_TRUE(own.ok()) << own.status();
  Put("CAM1/a", "picture");
  EXPECT_TRUE(absl::IsDataLoss(incoming_->CopyVerified(Of("CAM1/a", "PICTURE"), **own, kId)));
  EXPECT_TRUE(absl::IsDataLoss(incoming_->CopyVerified(Of("CAM1/a", "short"), **own, kId)));
  EXPECT_TRUE(absl::IsNotFound(incoming_->CopyVerified(Of("CAM1/b", "picture"), **own, kId)));
  EXPECT_TRUE(fs::is_empty(folder_.File("own")));
  const absl::Status copied = incoming_->CopyVerified(Of("CAM1/a", "picture"), **own, kId);
  ASSERT_TRUE(copied.ok()) << copied;
  // The device still has its file open.
  std::ofstream(Path("CAM1/a"), std::ios::in | std::ios::out) << "forged!";
  EXPECT_EQ(TextOf((*own)->PathOf(kId)), "picture");
}

TEST_F(IncomingFolderTest, SetsAside) {
  Put("CAM1/d/a", "wrong");
  ASSERT_TRUE(incoming_->SetAside("CAM1/d/a", kId).ok());
  EXPECT_FALSE(fs::exists(Path("CAM1/d/a")));
  EXPECT_EQ(TextOf(Path(std::string(".viaduct-aside/") + kId)), "wrong");
  EXPECT_TRUE(Files().empty());
  EXPECT_TRUE(incoming_->SetAside("CAM1/d/a", kId).ok());
  EXPECT_TRUE(incoming_->SetAside("CAM1/none/a", kId).ok());
  EXPECT_FALSE(incoming_->SetAside("CAM1/../x", kId).ok());
  EXPECT_FALSE(incoming_->SetAside("CAM1/d/a", "../x").ok());
  std::ofstream(folder_.File("secret")) << "secret";
  fs::create_symlink(folder_.path(), Path("CAM1/folder"));
  EXPECT_FALSE(incoming_->SetAside("CAM1/folder/secret", kId).ok());
  EXPECT_TRUE(fs::exists(folder_.File("secret")));
}

TEST_F(IncomingFolderTest, KeepsABoundedNumberAside) {
  for (size_t i = 0; i < IncomingFolder::kMaxAside; ++i) {
    std::ofstream(Path(".viaduct-aside/" + std::to_string(i))) << "old";
  }
  Put("CAM1/a", "wrong");
  ASSERT_TRUE(incoming_->SetAside("CAM1/a", kId).ok());
  EXPECT_TRUE(fs::exists(Path(std::string(".viaduct-aside/") + kId)));
  const fs::directory_iterator aside(Path(".viaduct-aside"));
  EXPECT_EQ(static_cast<size_t>(std::distance(begin(aside), end(aside))),
            IncomingFolder::kMaxAside);
}

TEST_F(IncomingFolderTest, RefusesARootThatIsNoFolder) {
  std::ofstream(folder_.File("file")) << "x";
  IncomingFolderOptions options;
  options.root = folder_.File("file");
  EXPECT_FALSE(IncomingFolder::Open(options).ok());
  options.root = folder_.File("no/such/parent");
  EXPECT_FALSE(IncomingFolder::Open(options).ok());
}

}  // namespace
}  // namespace viaduct
