#include "core/gateway/network_monitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/gateway/selector.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class EmptyOutbox final : public Outbox {
 public:
  size_t Claim(const ClaimLimits&, std::vector<OutboxMessage>*) override { return 0; }
  void Settle(absl::Span<const Settlement>) override {}
  int64_t NextDueNanos() const override { return kNever; }
  void SetReadyHandler(std::function<void()>) override {}
};

class QuietLink final : public Link {
 public:
  explicit QuietLink(std::string name) : name_(std::move(name)) {}
  std::string_view name() const override { return name_; }
  bool ready() const override { return true; }
  size_t credit() const override { return 1; }
  size_t Deliver(absl::Span<const OutboundMessage>) override { return 0; }
  void SetHandlers(CompletionFn, ReadyFn) override {}

 private:
  const std::string name_;
};

class NetworkMonitorTest : public ::testing::Test {
 protected:
  NetworkMonitorTest()
      : dispatcher_(DispatcherOptions(), &outbox_, std::make_unique<ConfiguredOrderSelector>(),
                    &clock_, &log_),
        timers_(&clock_),
        monitor_(
            NetworkMonitor::Options(), &dispatcher_, &timers_, &clock_,
            [this](const std::string& link, absl::Duration, uint32_t, NetworkMonitor::DoneFn done) {
              probed_.push_back(link);
              done_.push_back(std::move(done));
              return can_probe_;
            }) {
    clock_.Advance(absl::Hours(1));
    LinkTraits metered;
    metered.metered = true;
    free_id_ = *dispatcher_.AddLink(&free_);
    EXPECT_TRUE(dispatcher_.AddLink(&dear_, metered).ok());
    Settle();
  }
  // The dispatcher has done what it was told to.
  void Settle() { dispatcher_.Explain(SelectorMessage()); }
  std::vector<std::string> Look() {
    probed_.clear();
    monitor_.Look();
    return probed_;
  }
  void Answer(bool answered, int ms) {
    for (const auto& done : done_) done({answered, absl::Milliseconds(ms), 150});
    done_.clear();
    Settle();
  }

  FakeClock clock_;
  NullLog log_;
  EmptyOutbox outbox_;
  QuietLink free_{"free"};
  QuietLink dear_{"dear"};
  Dispatcher dispatcher_;
  TimerQueue timers_;
  std::vector<std::string> probed_;
  std::vector<NetworkMonitor::DoneFn> done_;
  bool can_probe_ = true;
  LinkId free_id_ = 0;
  NetworkMonitor monitor_;
};

TEST_F(NetworkMonitorTest, ProbesWhatIsSilentAndNeverWhatIsMetered) {
  EXPECT_THAT(Look(), ElementsAre("free"));
  EXPECT_THAT(Look(), IsEmpty()) << "one at a time";
  Answer(true, 42);
  EXPECT_THAT(Look(), IsEmpty()) << "heard of";
  clock_.Advance(absl::Seconds(29));
  EXPECT_THAT(Look(), IsEmpty());
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(Look(), ElementsAre("free"));
  const LinkReading reading = dispatcher_.Stats()[0].reading;
  EXPECT_EQ(reading.probes, 1u);
  EXPECT_EQ(reading.probe_bytes, 150u);
  EXPECT_EQ(reading.latency_p50, absl::Milliseconds(42));
  EXPECT_EQ(reading.quality, LinkQuality::kExcellent);
}

TEST_F(NetworkMonitorTest, ARoadThatDoesNotAnswerIsNotReadyAndAskedMoreOften) {
  EXPECT_THAT(Look(), ElementsAre("free"));
  EXPECT_TRUE(dispatcher_.Stats()[0].ready);
  clock_.Advance(absl::Seconds(5));
  Answer(false, 0);
  EXPECT_FALSE(dispatcher_.Stats()[0].ready) << "though its instance runs";
  EXPECT_TRUE(dispatcher_.Stats()[0].connected);
  EXPECT_THAT(Look(), ElementsAre("free"));
  clock_.Advance(absl::Minutes(5));
  Answer(false, 0);
  EXPECT_LT(dispatcher_.Stats()[0].reading.facts.uptime, 0.7);
  clock_.Advance(absl::Seconds(5));
  EXPECT_THAT(Look(), ElementsAre("free"));
  Answer(true, 10);
  EXPECT_TRUE(dispatcher_.Stats()[0].ready);
  EXPECT_THAT(Look(), IsEmpty());
}

TEST_F(NetworkMonitorTest, AProbeThatCannotBeMadeIsTriedAgainLater) {
  can_probe_ = false;
  EXPECT_THAT(Look(), ElementsAre("free"));
  EXPECT_THAT(Look(), IsEmpty());
  clock_.Advance(absl::Seconds(30));
  EXPECT_THAT(Look(), ElementsAre("free"));
}

TEST_F(NetworkMonitorTest, ALinkThatWentAwayIsForgotten) {
  EXPECT_THAT(Look(), ElementsAre("free"));
  dispatcher_.RemoveLink(free_id_);
  EXPECT_THAT(Look(), IsEmpty());
  Answer(true, 1);
  EXPECT_TRUE(dispatcher_.AddLink(&free_).ok());
  Settle();
  EXPECT_THAT(Look(), ElementsAre("free"));
}

}  // namespace
}  // namespace viaduct
