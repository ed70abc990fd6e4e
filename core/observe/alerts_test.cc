#include "core/observe/alerts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kLook = absl::Seconds(1);

class AlertsTest : public ::testing::Test {
 protected:
  AlertsTest() {
    Rule(AlertKind::kLinkDown) = {true, 1, 0, absl::Seconds(10), absl::Seconds(5)};
    Rule(AlertKind::kLinkErrors) = {true, 0.5, 0.2, absl::Seconds(3), absl::Seconds(3)};
    Rule(AlertKind::kDiskFree) = {true, 0.05, 0.1, absl::ZeroDuration(), absl::ZeroDuration()};
    Rule(AlertKind::kDeadLetters).hold = absl::ZeroDuration();
    Rule(AlertKind::kBacklogAge).enabled = false;
  }
  AlertRule& Rule(AlertKind kind) { return rules_[static_cast<size_t>(kind)]; }
  Alerts& alerts() {
    if (alerts_ == nullptr) {
      alerts_ = std::make_unique<Alerts>(rules_, &clock_, [this](const Alert& alert) {
        changes_.push_back(absl::StrCat(alert.cleared_at.has_value() ? "cleared " : "raised ",
                                        std::string(AlertKindName(alert.kind)), " ",
                                        alert.subject));
        last_ = alert;
      });
    }
    return *alerts_;
  }
  // So many looks, a second apart, all with the same value.
  void Look(int looks, AlertKind kind, std::optional<double> value,
            const std::string& subject = "uplink") {
    for (int i = 0; i < looks; ++i) {
      alerts().Evaluate({{kind, subject, value}});
      clock_.Advance(kLook);
    }
  }
  std::vector<std::string> Take() { return std::exchange(changes_, {}); }

  FakeClock clock_;
  AlertRules rules_;
  std::vector<std::string> changes_;
  Alert last_;
  std::unique_ptr<Alerts> alerts_;
};

TEST_F(AlertsTest, IsRaisedOnceWhenTheConditionHasHeldAndClearedOnceWhenItIsOver) {
  Look(10, AlertKind::kLinkDown, 1);
  EXPECT_THAT(Take(), IsEmpty());
  Look(20, AlertKind::kLinkDown, 1);
  EXPECT_THAT(Take(), ElementsAre("raised link_down uplink"));
  EXPECT_EQ(last_.text, "link uplink: down");
  const std::string id = last_.id;
  ASSERT_THAT(alerts().Active(), SizeIs(1));
  Look(5, AlertKind::kLinkDown, 0);
  EXPECT_THAT(Take(), IsEmpty());
  Look(20, AlertKind::kLinkDown, 0);
  EXPECT_THAT(Take(), ElementsAre("cleared link_down uplink"));
  EXPECT_EQ(last_.id, id);
  EXPECT_EQ(*last_.cleared_at - last_.raised_at, absl::Seconds(25));
  EXPECT_THAT(alerts().Active(), IsEmpty());
  ASSERT_THAT(alerts().Past(), SizeIs(1));
  EXPECT_EQ(alerts().Past()[0].id, id);
}

TEST_F(AlertsTest, AConditionThatComesAndGoesIsNotRaised) {
  for (int i = 0; i < 10; ++i) {
    Look(9, AlertKind::kLinkDown, 1);
    Look(1, AlertKind::kLinkDown, 0);
  }
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(AlertsTest, ARaisedOneThatFlapsStaysRaised) {
  Look(11, AlertKind::kLinkDown, 1);
  EXPECT_THAT(Take(), SizeIs(1));
  for (int i = 0; i < 10; ++i) {
    Look(4, AlertKind::kLinkDown, 0);
    Look(1, AlertKind::kLinkDown, 1);
  }
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(AlertsTest, BetweenTheThresholdsNothingChanges) {
  Look(30, AlertKind::kLinkErrors, 0.4);
  EXPECT_THAT(Take(), IsEmpty());
  Look(4, AlertKind::kLinkErrors, 0.5);
  EXPECT_THAT(Take(), ElementsAre("raised link_errors uplink"));
  EXPECT_EQ(last_.text, "link uplink: 50.0 % of its deliveries fail");
  EXPECT_EQ(last_.threshold, 0.5);
  Look(30, AlertKind::kLinkErrors, 0.4);
  EXPECT_THAT(Take(), IsEmpty());
  Look(4, AlertKind::kLinkErrors, 0.2);
  EXPECT_THAT(Take(), ElementsAre("cleared link_errors uplink"));
}

TEST_F(AlertsTest, WhereNothingCanBeSaidNothingChanges) {
  Look(2, AlertKind::kLinkErrors, 0.9);
  Look(30, AlertKind::kLinkErrors, std::nullopt);
  EXPECT_THAT(Take(), IsEmpty());
  Look(4, AlertKind::kLinkErrors, 0.9);
  EXPECT_THAT(Take(), SizeIs(1));
  Look(30, AlertKind::kLinkErrors, std::nullopt);
  EXPECT_THAT(alerts().Active(), SizeIs(1));
}

TEST_F(AlertsTest, FreeSpaceIsTheWorseTheLessItIs) {
  Look(1, AlertKind::kDiskFree, 0.5, "");
  EXPECT_THAT(Take(), IsEmpty());
  Look(1, AlertKind::kDiskFree, 0.04, "");
  EXPECT_THAT(Take(), ElementsAre("raised disk_free "));
  EXPECT_THAT(last_.text, HasSubstr("4.0 %"));
  Look(1, AlertKind::kDiskFree, 0.07, "");
  EXPECT_THAT(Take(), IsEmpty());
  Look(1, AlertKind::kDiskFree, 0.1, "");
  EXPECT_THAT(Take(), ElementsAre("cleared disk_free "));
}

TEST_F(AlertsTest, ALinkThatIsTakenAwayClearsItsAlert) {
  Look(11, AlertKind::kLinkDown, 1);
  EXPECT_THAT(Take(), SizeIs(1));
  alerts().Evaluate({});
  EXPECT_THAT(Take(), ElementsAre("cleared link_down uplink"));
  Look(10, AlertKind::kLinkDown, 1);
  EXPECT_THAT(Take(), IsEmpty()) << "it began to count anew";
}

TEST_F(AlertsTest, LinksAreTheirOwnSubjects) {
  for (int i = 0; i < 12; ++i) {
    alerts().Evaluate({{AlertKind::kLinkDown, "a", 1.0},
                       {AlertKind::kLinkDown, "b", 0.0},
                       {AlertKind::kLinkErrors, "b", 1.0}});
    clock_.Advance(kLook);
  }
  EXPECT_THAT(Take(), ElementsAre("raised link_errors b", "raised link_down a"));
  EXPECT_EQ(alerts().Active()[0].subject, "b");
}

TEST_F(AlertsTest, ARuleThatIsOffSaysNothing) {
  Look(30, AlertKind::kBacklogAge, 1e9, "");
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(AlertsTest, AClockThatIsSetChangesNothing) {
  Look(5, AlertKind::kLinkDown, 1);
  clock_.JumpWall(absl::Hours(24 * 3650));
  Look(1, AlertKind::kLinkDown, 1);
  EXPECT_THAT(Take(), IsEmpty());
  clock_.JumpWall(-absl::Hours(24 * 3651));
  Look(5, AlertKind::kLinkDown, 1);
  EXPECT_THAT(Take(), SizeIs(1));
}

TEST_F(AlertsTest, KeepsTheLastHundredAndWatchesABoundedNumber) {
  for (int i = 0; i < 120; ++i) {
    Look(1, AlertKind::kDeadLetters, 1, "");
    Look(1, AlertKind::kDeadLetters, 0, "");
  }
  EXPECT_THAT(Take(), SizeIs(240));
  EXPECT_THAT(alerts().Past(), SizeIs(Alerts::kMaxPast));
  EXPECT_EQ(alerts().Past().back().id, last_.id);
  alerts().Evaluate({});
  std::vector<AlertReading> readings;
  for (size_t i = 0; i < 2 * Alerts::kMaxWatched; ++i) {
    readings.push_back({AlertKind::kDeadLetters, absl::StrCat(i), 1.0});
  }
  alerts().Evaluate(readings);
  EXPECT_THAT(alerts().Active(), SizeIs(Alerts::kMaxWatched));
}

}  // namespace
}  // namespace viaduct
