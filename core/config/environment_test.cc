#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/config/validate.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;

class SystemEnvironmentTest : public ::testing::Test {
 protected:
  SystemEnvironmentTest() {
    std::string pattern = ::testing::TempDir() + "/environment-XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
  }
  ~SystemEnvironmentTest() override { std::filesystem::remove_all(dir_); }

  std::string Write(const std::string& name, const std::string& text, mode_t mode) {
    const std::string path = dir_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }

  const SystemEnvironment environment_;
  std::string dir_;
};

TEST_F(SystemEnvironmentTest, ReadsAFileAndSeesWhoElseCan) {
  const auto secret = environment_.ReadFile(Write("a", "text\n", 0600), 100);
  ASSERT_TRUE(secret.ok());
  EXPECT_EQ(secret->text, "text\n");
  EXPECT_FALSE(secret->others_can_read);
  EXPECT_TRUE(environment_.ReadFile(Write("b", "x", 0644), 100)->others_can_read);
  EXPECT_EQ(environment_.ReadFile(Write("c", "", 0600), 100)->text, "");
}

TEST_F(SystemEnvironmentTest, NeverWaitsAndNeverReadsWithoutEnd) {
  const std::string fifo = dir_ + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(std::string(environment_.ReadFile(fifo, 100).status().message()),
              HasSubstr("not a regular file"));
  EXPECT_EQ(environment_.ReadFile("/dev/zero", 100).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(environment_.ReadFile(dir_, 100).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(environment_.ReadFile(dir_ + "/none", 100).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(environment_.ReadFile(Write("long", std::string(101, 'x'), 0600), 100).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(SystemEnvironmentTest, KnowsItsMachine) {
  EXPECT_FALSE(environment_.Hostname().empty());
  EXPECT_TRUE(std::filesystem::is_directory(environment_.ExecutableDir()));
  EXPECT_TRUE(environment_.Variable("PATH").has_value());
  EXPECT_FALSE(environment_.Variable("VIADUCT_NO_SUCH_VARIABLE").has_value());
}

}  // namespace
}  // namespace viaduct
