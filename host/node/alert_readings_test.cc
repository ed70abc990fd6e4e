#include "host/node/alert_readings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

constexpr int64_t kSecond = 1'000'000'000;

InstanceInfo Road(InstanceState state, InstanceHealth health = InstanceHealth::kUnknown) {
  InstanceInfo info;
  info.name = "uplink";
  info.link = true;
  info.state = state;
  info.health = health;
  return info;
}

LinkStats LinkOf(BreakerState breaker, uint64_t confirmed = 0, uint64_t failed = 0) {
  LinkStats link;
  link.name = "uplink";
  link.ready = true;
  link.breaker = breaker;
  link.confirmed = confirmed;
  link.retried = failed;
  return link;
}

TEST(DownReadingTest, SaysWhetherARoadReachesItsPeer) {
  const LinkStats closed = LinkOf(BreakerState::kClosed);
  const LinkStats open = LinkOf(BreakerState::kOpen);
  const LinkStats half = LinkOf(BreakerState::kHalfOpen);
  const auto started = InstanceState::kStarted;
  EXPECT_THAT(DownReading(Road(started), &closed), Optional(0.0));
  EXPECT_THAT(DownReading(Road(started), &open), Optional(1.0));
  LinkStats unconnected = closed;
  unconnected.ready = false;
  EXPECT_THAT(DownReading(Road(started), &unconnected), Optional(1.0));
  EXPECT_THAT(DownReading(Road(started, InstanceHealth::kHealthy), &open), Optional(1.0));
  EXPECT_THAT(DownReading(Road(started, InstanceHealth::kUnhealthy), &closed), Optional(1.0));
  EXPECT_THAT(DownReading(Road(started, InstanceHealth::kDegraded), &closed), Optional(0.0));
  EXPECT_EQ(DownReading(Road(started), &half), std::nullopt);
  EXPECT_THAT(DownReading(Road(started, InstanceHealth::kHealthy), &half), Optional(0.0));
  EXPECT_EQ(DownReading(Road(started), nullptr), std::nullopt);
  EXPECT_THAT(DownReading(Road(InstanceState::kFailed), nullptr), Optional(1.0));
  EXPECT_EQ(DownReading(Road(InstanceState::kStarting), nullptr), std::nullopt);
}

class AlertReadingsTest : public ::testing::Test {
 protected:
  AlertReadingsTest() : readings_(Options()) {}
  static AlertOptions Options() {
    AlertOptions options;
    options.error_window = absl::Seconds(60);
    options.min_messages = 10;
    return options;
  }
  // The share of errors after a look at that second.
  std::optional<double> Errors(int64_t second, uint64_t confirmed, uint64_t failed) {
    std::vector<AlertReading> out;
    readings_.AddLinks({Road(InstanceState::kStarted)},
                       {LinkOf(BreakerState::kClosed, confirmed, failed)}, second * kSecond, &out);
    EXPECT_EQ(out.size(), 2u);
    EXPECT_EQ(out.back().kind, AlertKind::kLinkErrors);
    return out.back().value;
  }
  AlertReadings readings_;
};

TEST_F(AlertReadingsTest, CountsTheErrorsOfTheWindowAlone) {
  EXPECT_EQ(Errors(0, 1000, 0), std::nullopt) << "what was before the first look";
  EXPECT_EQ(Errors(1, 1000, 9), std::nullopt) << "too few";
  EXPECT_THAT(Errors(2, 1010, 30), Optional(0.75));
  EXPECT_THAT(Errors(59, 1010, 30), Optional(0.75));
  EXPECT_EQ(Errors(70, 1010, 30), std::nullopt) << "the window is over";
  EXPECT_THAT(Errors(75, 1030, 30), Optional(0.0));
}

TEST_F(AlertReadingsTest, BeginsAnewWithALinkThatWasMadeAnew) {
  Errors(0, 1000, 50);
  Errors(1, 1000, 100);
  EXPECT_EQ(Errors(2, 0, 0), std::nullopt);
  EXPECT_THAT(Errors(3, 15, 5), Optional(0.25));
}

TEST_F(AlertReadingsTest, RoadsThatWereStoppedAndOtherInstancesHaveNoReading) {
  std::vector<AlertReading> out;
  InstanceInfo listener = Road(InstanceState::kStarted);
  listener.link = false;
  readings_.AddLinks({Road(InstanceState::kStopped), listener}, {}, kSecond, &out);
  EXPECT_THAT(out, IsEmpty());
}

TEST_F(AlertReadingsTest, ReadsTheSpool) {
  SpoolInfo info;
  info.max_bytes = 1000;
  info.max_messages = 100;
  info.bytes = 200;
  info.rejected_bytes = 50;
  info.messages = 2;
  info.oldest_age = absl::Minutes(3);
  info.rejected = 4;
  std::vector<AlertReading> out;
  AddSpoolReadings(info, &out);
  std::vector<double> values;
  for (const AlertReading& reading : out) values.push_back(reading.value.value_or(-1));
  EXPECT_THAT(values, ElementsAre(180.0, 0.25, 4.0));
  info.messages = 0;
  out.clear();
  AddSpoolReadings(info, &out);
  EXPECT_THAT(out[0].value, Optional(0.0));
  info.messages = 76;  // Small ones: their number is the bound that is closer.
  out.clear();
  AddSpoolReadings(info, &out);
  EXPECT_THAT(out[1].value, Optional(0.8));
}

TEST_F(AlertReadingsTest, ReadsTheFiles) {
  TransferCounts counts;
  counts.files[static_cast<size_t>(TransferState::kFailed)] = 3;
  counts.held_bytes = 250;
  std::vector<AlertReading> out;
  AddTransferReadings(counts, 1000, &out);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_THAT(out[0].value, Optional(3.0));
  EXPECT_THAT(out[1].value, Optional(0.25));
}

TEST_F(AlertReadingsTest, EachDeviceOverItsQuotaIsASubject) {
  std::vector<AlertReading> out;
  AddQuotaReadings({"CAM001", "CAM002"}, &out);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[1].kind, AlertKind::kDeviceQuota);
  EXPECT_EQ(out[1].subject, "CAM002");
  EXPECT_EQ(out[1].value, 1);
}

TEST_F(AlertReadingsTest, ReadsTheDisk) {
  std::vector<AlertReading> out;
  AddDiskReadings({"/proc/self/no-such-folder"}, &out);
  AddDiskReadings({"/"}, &out);
  EXPECT_EQ(out[0].value, std::nullopt);
  ASSERT_TRUE(out[1].value.has_value());
  EXPECT_GE(*out[1].value, 0);
  EXPECT_LT(*out[1].value, 1);
}

TEST_F(AlertReadingsTest, ReadsEachFileSystemOnceByWhatLiesOnIt) {
  std::vector<AlertReading> out;
  AddDiskReadings({"/", "/no-such-folder", "/", "/proc", "/proc/self", "/sys"}, &out);
  std::vector<std::string> subjects;
  for (const AlertReading& reading : out) subjects.push_back(reading.subject);
  EXPECT_THAT(subjects, testing::ElementsAre("", "/proc", "/sys"));
}

}  // namespace
}  // namespace viaduct
