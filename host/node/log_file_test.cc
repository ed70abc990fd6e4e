#include "host/node/log_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/base/test_folder.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Say(const std::string& text) {
  ASSERT_EQ(write(STDERR_FILENO, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

class LogFileTest : public ::testing::Test {
 protected:
  std::unique_ptr<LogFile> Open(uint64_t max_bytes, uint32_t max_files) {
    auto file = LogFile::Open(LogFileOptions{path_, max_bytes, max_files});
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }
  TestFolder folder_;
  const std::string path_ = folder_.File("log/node.log");
};

TEST_F(LogFileTest, WhatIsSaidIsInTheFileForItsOwnerAlone) {
  {
    const auto file = Open(1000, 3);
    Say("first\n");
  }
  {
    const auto file = Open(1000, 3);
    Say("second\n");
  }
  EXPECT_EQ(Read(path_), "first\nsecond\n");
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07, 0U);
}

TEST_F(LogFileTest, KeepsSoManyOfSuchASize) {
  const auto file = Open(10, 3);
  for (const char* text : {"one-------\n", "two-------\n", "three-----\n", "four------\n"}) {
    Say(text);
    EXPECT_TRUE(file->RotateIfFull().ok());
  }
  Say("five\n");
  EXPECT_TRUE(file->RotateIfFull().ok());
  EXPECT_EQ(Read(path_), "five\n");
  EXPECT_EQ(Read(path_ + ".1"), "four------\n");
  EXPECT_EQ(Read(path_ + ".2"), "three-----\n");
  EXPECT_FALSE(fs::exists(path_ + ".3"));
}

TEST_F(LogFileTest, GoesOnInANewFileWhenItWasMoved) {
  const auto file = Open(1000, 3);
  Say("before\n");
  fs::rename(path_, path_ + ".old");
  Say("still\n");
  ASSERT_TRUE(file->Reopen().ok());
  Say("after\n");
  EXPECT_EQ(Read(path_ + ".old"), "before\nstill\n");
  EXPECT_EQ(Read(path_), "after\n");
}

TEST_F(LogFileTest, ALinkIsNotFollowed) {
  fs::create_directories(folder_.File("log"));
  fs::create_symlink("/dev/null", path_);
  const auto file = LogFile::Open(LogFileOptions{path_, 1000, 3});
  EXPECT_THAT(std::string(file.status().message()), HasSubstr("node.log"));
}

}  // namespace
}  // namespace viaduct
