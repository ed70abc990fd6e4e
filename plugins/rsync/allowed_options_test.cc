#include "plugins/rsync/allowed_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace viaduct::rsync {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(AddAllowedOption, ThoseThatChangeHowItIsRun) {
  std::vector<std::string> out;
  for (const char* option : {"-az", "--compress", "--compress-choice=zstd", "--compress-level=3",
                             "--bwlimit=100", "--timeout=10"}) {
    EXPECT_TRUE(AddAllowedOption(option, &out).ok()) << option;
  }
  EXPECT_THAT(out, ElementsAre("--perms", "--compress", "--compress-choice=zstd",
                               "--compress-level=3", "--bwlimit=100", "--timeout=10"));
}

TEST(AddAllowedOption, ThoseThatAreSoAnyway) {
  std::vector<std::string> out;
  for (const char* option : {"--partial", "--delete", "-P", "-v", "--progress", "-rt", "--stats"}) {
    EXPECT_TRUE(AddAllowedOption(option, &out).ok()) << option;
  }
  EXPECT_THAT(out, IsEmpty());
}

TEST(AddAllowedOption, AllOthersAreRefusedByName) {
  const struct {
    const char* option;
    const char* text;
  } kCases[] = {{"-e", "\"-e\" is not allowed: use port"},
                {"--rsh=sh -c id", "use port"},
                {"-aze", "\"-e\" is not allowed"},
                {"--rsync-path=id", "the server's own rsync"},
                {"--inplace", "half a file"},
                {"--remove-source-files", "retention"},
                {"--log-file=/etc/passwd", "is not allowed: use -a"},
                {"--files-from=/etc/passwd", "is not allowed"},
                {"--compress-choice=x", "is not allowed"},
                {"--bwlimit=0", "is not allowed"},
                {"--bwlimit=99999999999", "is not allowed"},
                {"--timeout=-1", "is not allowed"},
                {"--delete=x", "is not allowed"},
                {"--", "is not allowed"},
                {"-", "is not allowed"},
                {"", "is not allowed"},
                {"/etc", "is not allowed"},
                {"-\n", "\\n"},
                {"::mod", "is not allowed"}};
  for (const auto& c : kCases) {
    std::vector<std::string> out;
    const absl::Status status = AddAllowedOption(c.option, &out);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.option;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.text)) << c.option;
  }
}

}  // namespace
}  // namespace viaduct::rsync
