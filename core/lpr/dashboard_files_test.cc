#include "core/lpr/dashboard_files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "core/base/test_folder.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;

class DashboardFilesTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    const fs::path path = fs::path(folder_.path()) / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  TestFolder folder_;
};

TEST_F(DashboardFilesTest, KnowsWhatIsInTheFolderAndNothingElse) {
  Write("index.html", "<html>");
  Write("index.html.gz", "packed");
  Write("assets/main-4YGZ5QNS.js", "code");
  Write("only.gz", "x");
  TestFolder elsewhere;
  std::ofstream(elsewhere.path() + "/secret.txt") << "secret";
  fs::create_symlink(elsewhere.path() + "/secret.txt", folder_.path() + "/secret.txt");
  fs::create_directory_symlink(elsewhere.path(), folder_.path() + "/out");
  const auto files = DashboardFiles::Read(folder_.path());
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ((*files)->size(), 3u);
  const DashboardFile* index = (*files)->Find("index.html");
  ASSERT_NE(index, nullptr);
  EXPECT_EQ(index->body, "<html>");
  EXPECT_EQ(index->gzip, "packed");
  EXPECT_EQ(index->content_type, "text/html; charset=utf-8");
  EXPECT_FALSE(index->immutable);
  const DashboardFile* code = (*files)->Find("assets/main-4YGZ5QNS.js");
  ASSERT_NE(code, nullptr);
  EXPECT_TRUE(code->immutable);
  EXPECT_NE(code->tag, index->tag);
  for (const char* path :
       {"", ".", "assets", "assets/", "/index.html", "./index.html", "../index.html",
        "assets/../index.html", "secret.txt", "out/secret.txt", "index.html.gz"}) {
    EXPECT_EQ((*files)->Find(path), nullptr) << path;
  }
}

TEST_F(DashboardFilesTest, IsNotThereWithoutAFirstPage) {
  EXPECT_TRUE(absl::IsNotFound(DashboardFiles::Read(folder_.path() + "/none").status()));
  Write("main.js", "code");
  EXPECT_TRUE(absl::IsNotFound(DashboardFiles::Read(folder_.path()).status()));
}

TEST_F(DashboardFilesTest, IsBounded) {
  Write("index.html", "<html>");
  for (size_t i = 0; i < DashboardFiles::kMaxFiles; ++i) Write(absl::StrCat("f", i), "");
  EXPECT_TRUE(absl::IsResourceExhausted(DashboardFiles::Read(folder_.path()).status()));
  TestFolder large;
  std::ofstream(large.path() + "/index.html") << std::string(DashboardFiles::kMaxBytes + 1, 'x');
  EXPECT_TRUE(absl::IsResourceExhausted(DashboardFiles::Read(large.path()).status()));
}

TEST(DashboardNamesTest, KnowsDigestsOfBundlers) {
  for (const char* name : {"main-4YGZ5QNS.js", "a/b/style-ABCDEFGH.css", "x-0f3a9c1d.js.map"}) {
    EXPECT_TRUE(HasDigestInName(name)) << name;
  }
  for (const char* name : {"main.js", "dash-overview.js", "a-ABCDEFG.js", "a-deadbeef.js",
                           "main-4YGZ5QNS/x.js", "4YGZ5QNS.js", ""}) {
    EXPECT_FALSE(HasDigestInName(name)) << name;
  }
}

}  // namespace
}  // namespace viaduct
