#include "tests/support/histogram.h"

#include <gtest/gtest.h>

namespace viaduct::support {
namespace {

TEST(Histogram, IsEmptyAtFirst) {
  Histogram h;
  EXPECT_EQ(h.count(), 0u);
  EXPECT_EQ(h.Quantile(0.99), 0);
}

TEST(Histogram, QuantilesAreWithinTwoPercent) {
  Histogram h;
  for (int64_t i = 1; i <= 100000; ++i) h.Add(i * 1000);
  for (const double share : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const double exact = share * 100000 * 1000;
    EXPECT_NEAR(static_cast<double>(h.Quantile(share)), exact, exact * 0.02) << share;
  }
  EXPECT_EQ(h.Quantile(1.0), 100000 * 1000);
  EXPECT_EQ(h.max(), 100000 * 1000);
  EXPECT_NEAR(h.MeanNanos(), 50000.5 * 1000, 1);
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram h;
  for (int64_t i = 0; i < 64; ++i) h.Add(i);
  EXPECT_EQ(h.Quantile(0.5), 31);
}

TEST(Histogram, TakesEveryValue) {
  Histogram h;
  h.Add(-5);
  h.Add(INT64_MAX);
  EXPECT_EQ(h.count(), 2u);
  EXPECT_EQ(h.Quantile(0.5), 0);
  EXPECT_EQ(h.Quantile(1.0), INT64_MAX);
}

TEST(Histogram, MergesAsIfAllWereAddedToOne) {
  Histogram a, b, both;
  for (int64_t i = 0; i < 1000; ++i) {
    (i % 2 == 0 ? a : b).Add(i * 777);
    both.Add(i * 777);
  }
  a.Merge(b);
  EXPECT_EQ(a.count(), both.count());
  EXPECT_EQ(a.Quantile(0.9), both.Quantile(0.9));
}

}  // namespace
}  // namespace viaduct::support
