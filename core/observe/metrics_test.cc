#include "core/observe/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

MetricSpec Counter(std::string name, std::string owner = "") {
  MetricSpec spec;
  spec.kind = MetricKind::kCounter;
  spec.name = std::move(name);
  spec.help = "Help.";
  spec.owner = std::move(owner);
  return spec;
}

MetricSpec Gauge(std::string name) {
  MetricSpec spec = Counter(std::move(name));
  spec.kind = MetricKind::kGauge;
  return spec;
}

MetricSpec Histogram(std::string name, std::vector<double> bounds) {
  MetricSpec spec = Counter(std::move(name));
  spec.kind = MetricKind::kHistogram;
  spec.bounds = std::move(bounds);
  return spec;
}

TEST(MetricsTest, ShowsEveryKindAsPrometheusText) {
  Metrics metrics;
  MetricSpec accepted = Counter("viaduct_spool_messages_total");
  accepted.labels = {{"type", "det\"ection\n"}};
  const MetricNumber counter = *metrics.Add(accepted);
  const MetricNumber gauge = *metrics.Add(Gauge("viaduct_spool_depth_messages"));
  const MetricNumber histogram =
      *metrics.Add(Histogram("viaduct_gateway_delivery_seconds", {0.1, 1}));
  metrics.Increase(counter);
  metrics.Increase(counter, 2.5);
  metrics.Increase(counter, -1);  // A counter never goes down.
  metrics.Set(gauge, 7);
  metrics.Increase(gauge, -2);
  metrics.Observe(histogram, 0.1);  // On the bound: in the bucket.
  metrics.Observe(histogram, 0.5);
  metrics.Observe(histogram, 5);
  const std::string text = metrics.ExpositionText();
  EXPECT_THAT(text, HasSubstr("# HELP viaduct_spool_messages_total Help.\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE viaduct_spool_messages_total counter\n"));
  EXPECT_THAT(text, HasSubstr("viaduct_spool_messages_total{type=\"det\\\"ection\\n\"} 3.5\n"));
  EXPECT_THAT(text, HasSubstr("viaduct_spool_depth_messages 5\n"));
  EXPECT_THAT(text, HasSubstr("viaduct_gateway_delivery_seconds_count 3\n"));
  EXPECT_THAT(text, HasSubstr("viaduct_gateway_delivery_seconds_sum 5.6"));
  EXPECT_THAT(text, HasSubstr("_bucket{le=\"0.1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("_bucket{le=\"1\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("_bucket{le=\"+Inf\"} 3\n"));
}

TEST(MetricsTest, MergesWhatWasCountedElsewhere) {
  Metrics metrics;
  const MetricNumber histogram = *metrics.Add(Histogram("viaduct_link_time_seconds", {0.1, 1}));
  metrics.Observe(histogram, 0.5);
  metrics.Merge(histogram, {2, 1, 1}, 7.5);
  metrics.Merge(histogram, {1, 1}, 100);  // Not its buckets.
  metrics.Merge(*metrics.Add(Gauge("viaduct_a_b")), {1}, 100);
  const std::string text = metrics.ExpositionText();
  EXPECT_THAT(text, HasSubstr("_bucket{le=\"0.1\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("_bucket{le=\"1\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("viaduct_link_time_seconds_count 5\n"));
  EXPECT_THAT(text, HasSubstr("viaduct_link_time_seconds_sum 8\n"));
  EXPECT_THAT(text, HasSubstr("viaduct_a_b 0\n"));
}

TEST(MetricsTest, TheSameSeriesHasTheSameNumber) {
  Metrics metrics;
  MetricSpec spec = Counter("viaduct_a_b_total");
  spec.labels = {{"x", "1"}, {"a", "2"}};
  const MetricNumber first = *metrics.Add(spec);
  std::swap(spec.labels[0], spec.labels[1]);
  EXPECT_EQ(*metrics.Add(spec), first);
  spec.labels[0].second = "3";
  EXPECT_NE(*metrics.Add(spec), first);
}

TEST(MetricsTest, RefusesBadSpecs) {
  Metrics metrics;
  const auto code = [&](const MetricSpec& spec) { return metrics.Add(spec).status().code(); };
  const auto bad = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code(Counter("spool_total")), bad);
  EXPECT_EQ(code(Counter("viaduct_Ü")), bad);
  EXPECT_EQ(code(Counter("viaduct_a b")), bad);
  EXPECT_EQ(code(Counter("")), bad);
  MetricSpec labels = Counter("viaduct_x_total");
  labels.labels = {{"le", "1"}};
  EXPECT_EQ(code(labels), bad);
  labels.labels = {{"a", "1"}, {"a", "2"}};
  EXPECT_EQ(code(labels), bad);
  labels.labels = {{"a", std::string(Metrics::kMaxTextBytes + 1, 'x')}};
  EXPECT_EQ(code(labels), bad);
  EXPECT_EQ(code(Histogram("viaduct_h_seconds", {})), bad);
  EXPECT_EQ(code(Histogram("viaduct_h_seconds", {1, 1})), bad);
  EXPECT_EQ(code(Histogram("viaduct_h_seconds", {std::nan("")})), bad);
  EXPECT_EQ(code(Histogram("viaduct_h_seconds", std::vector<double>(33, 1))), bad);
  ASSERT_TRUE(metrics.Add(Counter("viaduct_k_total")).ok());
  EXPECT_EQ(code(Gauge("viaduct_k_total")), bad);
  ASSERT_TRUE(metrics.Add(Histogram("viaduct_h_seconds", {1})).ok());
  EXPECT_EQ(code(Histogram("viaduct_h_seconds", {2})), bad);
  EXPECT_EQ(metrics.series_count(), 2u);
}

TEST(MetricsTest, AnOwnerHasABoundAndGivesItsSeriesBack) {
  Metrics metrics;
  for (size_t i = 0; i < Metrics::kMaxSeriesPerOwner; ++i) {
    ASSERT_TRUE(metrics.Add(Counter(absl::StrCat("viaduct_p_n", i, "_total"), "http")).ok());
  }
  EXPECT_EQ(metrics.Add(Counter("viaduct_p_more_total", "http")).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(metrics.Add(Counter("viaduct_q_total", "mqtt")).ok());
  metrics.RemoveOwner("http");
  EXPECT_EQ(metrics.series_count(), 1u);
  EXPECT_THAT(metrics.ExpositionText(), Not(HasSubstr("viaduct_p_n")));
  EXPECT_TRUE(metrics.Add(Counter("viaduct_p_more_total", "http")).ok());
}

TEST(MetricsTest, TheNodeHasABound) {
  Metrics metrics;
  for (size_t i = 1; i < Metrics::kMaxSeries; ++i) {
    ASSERT_TRUE(metrics.Add(Counter(absl::StrCat("viaduct_n", i, "_total"))).ok()) << i;
  }
  EXPECT_EQ(metrics.Add(Counter("viaduct_more_total")).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(MetricsTest, IgnoresWrongNumbersAndValues) {
  Metrics metrics;
  const MetricNumber counter = *metrics.Add(Counter("viaduct_c_total"));
  metrics.Increase(0);
  metrics.Increase(77);
  metrics.Increase(1u << 31);
  metrics.Set(counter, 5);
  metrics.Observe(counter, 5);
  metrics.Increase(counter, std::nan(""));
  metrics.Increase(counter, std::numeric_limits<double>::infinity());
  EXPECT_EQ(metrics.Samples().at(0).value, 0);
}

TEST(MetricsTest, LosesNoUpdateOfManyThreads) {
  Metrics metrics;
  const MetricNumber counter = *metrics.Add(Counter("viaduct_c_total"));
  const MetricNumber gauge = *metrics.Add(Gauge("viaduct_g_bytes"));
  const MetricNumber histogram = *metrics.Add(Histogram("viaduct_h_seconds", {1, 2}));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        metrics.Increase(counter, 0.25);
        metrics.Increase(gauge, 1);
        metrics.Observe(histogram, 1.5);
        if (i % 1000 == 0) metrics.Collect();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const MetricSample& sample : metrics.Samples()) {
    if (sample.name == "viaduct_c_total") {
      EXPECT_EQ(sample.value, 10'000);
    }
    if (sample.name == "viaduct_g_bytes") {
      EXPECT_EQ(sample.value, 40'000);
    }
    if (sample.name == "viaduct_h_seconds_count") {
      EXPECT_EQ(sample.value, 40'000);
    }
    if (sample.name == "viaduct_h_seconds_sum") {
      EXPECT_EQ(sample.value, 60'000);
    }
  }
}

}  // namespace
}  // namespace viaduct
