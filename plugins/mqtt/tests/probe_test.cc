// Probes over a real broker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>
#include <utility>
#include <vector>

#include "plugins/mqtt/tests/road.h"

namespace viaduct::mqtt {
namespace {

using ::testing::SizeIs;

// What has become of probes, in their order.
class Probes {
 public:
  bool Ask(Publisher* publisher, absl::Duration timeout) {
    return publisher->Probe(
        timeout, [this](const absl::Status& status, absl::Duration trip, const ProbeCost&) {
          absl::MutexLock lock(&mutex_);
          results_.emplace_back(status, trip);
        });
  }
  std::pair<absl::Status, absl::Duration> Result(size_t index) const {
    EXPECT_TRUE(Eventually([&] {
      absl::MutexLock lock(&mutex_);
      return results_.size() > index;
    })) << "the probe did not end";
    absl::MutexLock lock(&mutex_);
    return results_.at(index);
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<std::pair<absl::Status, absl::Duration>> results_ ABSL_GUARDED_BY(mutex_);
};

class ProbeTest : public ::testing::TestWithParam<bool> {
 protected:
  bool version_5() const { return GetParam(); }
  RealBroker broker_;
};
INSTANTIATE_TEST_SUITE_P(Versions, ProbeTest, ::testing::Bool(), [](const auto& info) {
  return info.param ? std::string("Mqtt5") : std::string("Mqtt311");
});

TEST_P(ProbeTest, MeasuresTheRoundTripAndLeavesNothing) {
  RealPeer all(SessionOn(broker_, "all"), {"#"});
  Probes probes;
  Road road(broker_, version_5());
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_TRUE(probes.Ask(road.publisher.get(), kDeadline));
    const auto [status, trip] = probes.Result(i);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_GT(trip, absl::ZeroDuration());
    EXPECT_LT(trip, kDeadline);
  }
  Publication last;
  last.topic = "last";
  all.Publish(last);
  ASSERT_TRUE(Eventually([&] { return !all.On("last").empty(); }));
  EXPECT_THAT(all.heard(), SizeIs(1)) << "a probe was published";
  // Commands and answers still come.
  Publication command;
  command.topic = "system/control/CAM1";
  command.payload = "{}";
  all.Publish(command);
  EXPECT_TRUE(Eventually([&] { return !road.commands().empty(); }));
}

TEST_P(ProbeTest, OfABrokerThatHangsOrDiesEndsInTime) {
  Probes probes;
  Road road(broker_, version_5());
  broker_.Signal(SIGSTOP);
  ASSERT_TRUE(probes.Ask(road.publisher.get(), absl::Milliseconds(100)));
  EXPECT_EQ(probes.Result(0).first.code(), absl::StatusCode::kDeadlineExceeded);
  ASSERT_TRUE(probes.Ask(road.publisher.get(), 2 * kDeadline));
  EXPECT_FALSE(probes.Ask(road.publisher.get(), kDeadline)) << "one is under way";
  broker_.Stop(SIGKILL);
  EXPECT_EQ(probes.Result(1).first.code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(probes.Ask(road.publisher.get(), 2 * kDeadline)) << "it ends at once";
  EXPECT_EQ(probes.Result(2).first.code(), absl::StatusCode::kUnavailable);
}

TEST_P(ProbeTest, StopEndsAProbe) {
  Probes probes;
  Road road(broker_, version_5());
  broker_.Signal(SIGSTOP);
  ASSERT_TRUE(probes.Ask(road.publisher.get(), 2 * kDeadline));
  road.publisher->Stop();
  EXPECT_EQ(probes.Result(0).first.code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace viaduct::mqtt
