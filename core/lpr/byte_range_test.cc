#include "core/lpr/byte_range.h"

#include <gtest/gtest.h>

#include <string>

namespace viaduct {
namespace {

// "first+size", "whole" or "none".
std::string Parsed(std::string_view header, uint64_t resource_bytes) {
  const ByteRange range = ParseByteRange(header, resource_bytes);
  if (range.kind == ByteRange::Kind::kWhole) return "whole";
  if (range.kind == ByteRange::Kind::kUnsatisfiable) return "none";
  return std::to_string(range.first) + "+" + std::to_string(range.size);
}

TEST(ByteRangeTest, ReadsOneRange) {
  EXPECT_EQ(Parsed("bytes=0-0", 10), "0+1");
  EXPECT_EQ(Parsed("bytes=2-5", 10), "2+4");
  EXPECT_EQ(Parsed("Bytes= 2-5 ", 10), "2+4");
  EXPECT_EQ(Parsed("bytes=7-", 10), "7+3");
  EXPECT_EQ(Parsed("bytes=7-100", 10), "7+3");
  EXPECT_EQ(Parsed("bytes=0-18446744073709551615", 10), "0+10");
  EXPECT_EQ(Parsed("bytes=0-99999999999999999999999", 10), "0+10");
  EXPECT_EQ(Parsed("bytes=-3", 10), "7+3");
  EXPECT_EQ(Parsed("bytes=-30", 10), "0+10");
  EXPECT_EQ(Parsed("bytes=-99999999999999999999999", 10), "0+10");
}

TEST(ByteRangeTest, SaysWhereNothingOfItIsThere) {
  for (const char* header : {"bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99999999999999999999-",
                             "bytes=18446744073709551615-"}) {
    EXPECT_EQ(Parsed(header, 10), "none") << header;
  }
  EXPECT_EQ(Parsed("bytes=0-", 0), "none");
  EXPECT_EQ(Parsed("bytes=-1", 0), "none");
}

TEST(ByteRangeTest, LeavesWhatItDoesNotUnderstand) {
  for (const char* header : {"", "bytes", "bytes=", "bytes=-", "bytes=5", "bytes=5-2", "bytes=a-b",
                             "bytes=1-2,4-5", "bytes=+1-2", "bytes=1-2x", "bytes=--1",
                             "bytes=0x1-2", "lines=1-2", "bytes 1-2", "bytes=1 - 2"}) {
    EXPECT_EQ(Parsed(header, 10), "whole") << header;
  }
}

TEST(ByteRangeTest, FindsATag) {
  EXPECT_TRUE(NamesTag("\"a-1\"", "a-1"));
  EXPECT_TRUE(NamesTag("*", "a-1"));
  EXPECT_TRUE(NamesTag("\"b\", W/\"a-1\"", "a-1"));
  for (const char* header : {"", "a-1", "\"a-1", "\"a-12\"", "\"\"", ",", "\"", "W/a-1"}) {
    EXPECT_FALSE(NamesTag(header, "a-1")) << header;
  }
}

}  // namespace
}  // namespace viaduct
