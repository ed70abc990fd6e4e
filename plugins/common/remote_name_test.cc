#include "plugins/common/remote_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

TEST(CheckRemoteName, TakesWhatAFileMayBeCalled) {
  const std::string names[] = {"a",
                               "CAM001/2026/11/26/a.jpg",
                               "-rf",
                               "a b/c d",
                               "*?[x]",
                               "\"'`$(id);|&<>\\",
                               "..a/a../...",
                               ".hidden",
                               "ä/ü/€/\U0001F697.jpg",
                               std::string(200, 'x'),
                               "x.viaduct/y",
                               "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16"};
  for (const std::string& name : names) EXPECT_TRUE(CheckRemoteName(name).ok()) << name;
  EXPECT_TRUE(CheckRemoteName(std::string(200, 'x') + "/" + std::string(200, 'y')).ok());
}

TEST(CheckRemoteName, RefusesWhatLeavesTheFolderOrMisleads) {
  const struct {
    std::string name;
    const char* why;
  } kCases[] = {
      {"", "is empty"},
      {"/etc/passwd", "absolute"},
      {"a//b", "empty component"},
      {"a/", "empty component"},
      {".", "leaves its folder"},
      {"..", "leaves its folder"},
      {"a/../b", "leaves its folder"},
      {"../a", "leaves its folder"},
      {"a/.", "leaves its folder"},
      {".viaduct-0.part", "begins with .viaduct"},
      {"a/.viaduct/b", "begins with .viaduct"},
      {"a\nb", "control character"},
      {std::string("a\0b", 3), "control character"},
      {"a\x7f", "control character"},
      {"a\xC2\x85z", "control character"},     // NEL.
      {"\xC0\xAE\xC0\xAE/a", "is not UTF-8"},  // ".." the long way.
      {"\xED\xA0\x80", "is not UTF-8"},        // A surrogate.
      {"\xF4\x90\x80\x80", "is not UTF-8"},    // Above U+10FFFF.
      {"\xE2\x82", "is not UTF-8"},            // Cut off.
      {"\xFF", "is not UTF-8"},
      {"a/\x80", "is not UTF-8"},
      {std::string(201, 'x'), "above 200 bytes"},
      {"1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", "more than 16 components"},
      {std::string(1025, 'x'), "above 1024 bytes"},
  };
  for (const auto& c : kCases) {
    const absl::Status status = CheckRemoteName(c.name);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.why));
    EXPECT_EQ(status.message().find('\n'), std::string::npos) << "shown as it is";
  }
}

TEST(PartName, LiesBesideTheFileAndIsItsOwn) {
  const std::string digest(64, 'f');
  const std::string part = PartName("a/b/c.jpg", digest, "lte");
  EXPECT_THAT(part, MatchesRegex("a/b/\\.viaduct-[0-9a-f]+\\.part"));
  EXPECT_EQ(part.size(), std::string("a/b/.viaduct-").size() + 32 + std::string(".part").size());
  EXPECT_EQ(PartName("c.jpg", digest, "lte").find(".viaduct-"), 0u);
  EXPECT_EQ(part, PartName("a/b/c.jpg", digest, "lte")) << "not found again";
  EXPECT_NE(part, PartName("a/b/c.jpg", digest, "ethernet"));
  EXPECT_NE(part, PartName("a/b/c.jpg", std::string(64, 'e'), "lte"));
  EXPECT_NE(part, PartName("a/b/d.jpg", digest, "lte"));
  EXPECT_NE(PartName("a", "b", ""), PartName("a", "", "b"));
}

}  // namespace
}  // namespace viaduct
