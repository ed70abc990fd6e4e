#include "host/node/link_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class LinkMetricsTest : public ::testing::Test {
 protected:
  // "name{reason}" or "name{le}" of the only link, or a number that no sample has.
  double Value(const std::string& name, const std::string& label = "") const {
    for (const MetricSample& sample : metrics_.Samples()) {
      if (sample.name != name) continue;
      bool matches = label.empty();
      for (const auto& [key, value] : sample.labels) matches = matches || value == label;
      if (matches) return sample.value;
    }
    return -1;
  }
  LinkStats Link(LinkId id) {
    LinkStats link;
    link.id = id;
    link.name = "uplink";
    link.ready = true;
    return link;
  }

  Metrics metrics_;
  LinkMetrics links_{&metrics_};
};

TEST_F(LinkMetricsTest, CountsFromTheSharesOfEachLook) {
  LinkStats link = Link(1);
  link.sent = 10;
  link.confirmed = 7;
  link.retried = 2;
  link.timed_out = 1;
  link.hedged = 3;
  link.switched_to[static_cast<size_t>(SwitchReason::kNotReady)] = 1;
  link.reading.probes = 4;
  links_.Look({link}, {"uplink"});
  link.sent = 15;
  link.confirmed = 11;
  links_.Look({link}, {"uplink"});
  EXPECT_EQ(Value("viaduct_link_sent_total"), 15);
  EXPECT_EQ(Value("viaduct_link_confirmed_total"), 11);
  EXPECT_EQ(Value("viaduct_link_failed_total", "retried"), 2);
  EXPECT_EQ(Value("viaduct_link_failed_total", "timed_out"), 1);
  EXPECT_EQ(Value("viaduct_link_failed_total", "rejected"), 0);
  EXPECT_EQ(Value("viaduct_link_hedged_total"), 3);
  EXPECT_EQ(Value("viaduct_link_switches_total", "not_ready"), 1);
  EXPECT_EQ(Value("viaduct_link_switches_total", "first"), 0);
  EXPECT_EQ(Value("viaduct_link_probes_total"), 4);
}

TEST_F(LinkMetricsTest, GoesOnWhenTheLinkIsMadeAnew) {
  LinkStats link = Link(1);
  link.sent = 10;
  links_.Look({link}, {"uplink"});
  links_.Look({}, {"uplink"});
  EXPECT_EQ(Value("viaduct_link_sent_total"), 10);
  EXPECT_EQ(Value("viaduct_link_ready"), 0);
  link = Link(2);
  link.sent = 3;
  links_.Look({link}, {"uplink"});
  EXPECT_EQ(Value("viaduct_link_sent_total"), 13);
  EXPECT_EQ(Value("viaduct_link_ready"), 1);
}

TEST_F(LinkMetricsTest, ForgetsALinkWhoseInstanceIsGone) {
  links_.Look({Link(1)}, {"uplink"});
  EXPECT_THAT(metrics_.ExpositionText(), HasSubstr("instance=\"uplink\""));
  links_.Look({}, {});
  EXPECT_THAT(metrics_.ExpositionText(), Not(HasSubstr("viaduct_link")));
}

TEST_F(LinkMetricsTest, ShowsEachConfirmationInItsBucketOnce) {
  LatencyHistogram latency;
  latency.Add(200'000);         // 0.2 ms: below the first bound.
  latency.Add(900'000);         // Up to 1.024 ms.
  latency.Add(30'000'000'000);  // Up to 67 s.
  latency.Add(100'000'000'000);
  LinkStats link = Link(1);
  link.delivery = latency.Read();
  links_.Look({link}, {"uplink"});
  links_.Look({link}, {"uplink"});
  const std::string name = "viaduct_link_confirmation_seconds";
  EXPECT_EQ(Value(name + "_bucket", "0.000256"), 1);
  EXPECT_EQ(Value(name + "_bucket", "0.001024"), 2);
  EXPECT_EQ(Value(name + "_bucket", "16.7772"), 2);
  EXPECT_EQ(Value(name + "_bucket", "67.1089"), 3);
  EXPECT_EQ(Value(name + "_bucket", "+Inf"), 4);
  EXPECT_EQ(Value(name + "_count"), 4);
  EXPECT_NEAR(Value(name + "_sum"), 130.0011, 1e-9);
}

TEST_F(LinkMetricsTest, ShowsStatesAsNumbers) {
  LinkStats link = Link(1);
  link.reading.quality = LinkQuality::kGood;
  link.reading.score = 0.75;
  link.breaker = BreakerState::kOpen;
  link.in_flight = 5;
  links_.Look({link}, {"uplink"});
  EXPECT_EQ(Value("viaduct_link_quality"), 3);
  EXPECT_EQ(Value("viaduct_link_score"), 0.75);
  EXPECT_EQ(Value("viaduct_link_breaker"), 2);
  EXPECT_EQ(Value("viaduct_link_in_flight"), 5);
}

}  // namespace
}  // namespace viaduct
