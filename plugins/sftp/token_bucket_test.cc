#include "plugins/sftp/token_bucket.h"

#include <gtest/gtest.h>

namespace viaduct::sftp {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(TokenBucket, WithoutARateGivesWhatIsWanted) {
  TokenBucket bucket(0, 0);
  EXPECT_EQ(bucket.Take(1u << 20, 0), 1u << 20);
}

TEST(TokenBucket, GivesItsRateAndNoBurstAfterAPause) {
  TokenBucket bucket(80'000, 0);
  EXPECT_EQ(bucket.Take(1u << 20, 0), 0u);
  EXPECT_EQ(bucket.Take(1u << 20, 100 * kSecond), 10'000u) << "an eighth of a second";
  uint64_t total = 0;
  for (int64_t now = 100 * kSecond; now < 110 * kSecond; now = bucket.next_ns()) {
    total += bucket.Take(1u << 20, now);
  }
  EXPECT_GE(total, 780'000u);
  EXPECT_LE(total, 800'000u);
}

TEST(TokenBucket, IsNotSlowerThanToldWhereItIsVerySlow) {
  TokenBucket bucket(100, 0);
  EXPECT_EQ(bucket.Take(5000, 10 * kSecond), 0u);
  EXPECT_EQ(bucket.Take(5000, 11 * kSecond), TokenBucket::kLeastBytes);
  EXPECT_EQ(bucket.Take(50, 11 * kSecond + kSecond / 2), 50u) << "the rest of a file";
}

}  // namespace
}  // namespace viaduct::sftp
