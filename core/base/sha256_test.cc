#include "core/base/sha256.h"

#include <gtest/gtest.h>

namespace viaduct {
namespace {

// The examples of FIPS 180-4.
TEST(Sha256Test, GivesTheDigestsOfTheStandard) {
  EXPECT_EQ(HexSha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(HexSha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256("abc").size(), kSha256Bytes);
}

TEST(Sha256Test, IsTheSameInPieces) {
  const std::string text(100'000, 'x');
  Sha256Stream stream;
  for (size_t at = 0; at < text.size(); at += 333) {
    stream.Add(std::string_view(text).substr(at, 333));
  }
  EXPECT_EQ(stream.Hex(), HexSha256(text));
  EXPECT_EQ(Sha256Stream().Hex(), HexSha256(""));
}

}  // namespace
}  // namespace viaduct
