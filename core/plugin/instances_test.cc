#include "core/plugin/instances.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "core/observe/health_tree.h"
#include "core/observe/metrics.h"
#include "core/plugin/testing/instances_fixture.h"
#include "viaduct/abi/abi.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class InstancesTest : public InstancesFixture {};

TEST_F(InstancesTest, StartsWhatIsConfiguredAndShowsIt) {
  Boot({Spec("a", "{}"), Spec("b", R"({"start":"health"})")});
  EXPECT_EQ(State("a"), InstanceState::kStarted);
  const InstanceInfo b = *instances_->Get("b");
  EXPECT_EQ(b.state, InstanceState::kStarted);
  EXPECT_EQ(b.plugin_version, "1.0.0");
  EXPECT_EQ(b.health, InstanceHealth::kDegraded);
  EXPECT_EQ(b.health_reason, "the peer is away");
  EXPECT_TRUE(b.link);
  EXPECT_EQ(b.interfaces.size(), 7u);
  EXPECT_EQ(health_.Get("instance/a")->state, HealthState::kHealthy);
  EXPECT_EQ(health_.Get("instance/b")->state, HealthState::kDegraded);
}

TEST_F(InstancesTest, AListenerThatPublishesIsNoRoad) {
  Boot({Spec("a", "{}"), Spec("b", R"({"deliver":"publish"})")});
  EXPECT_FALSE(instances_->Get("b")->link);
  ASSERT_EQ(instances_->links().size(), 1u);
  EXPECT_EQ(instances_->links()[0]->name(), "a");
  ASSERT_EQ(instances_->publishers().size(), 1u);
  Recorder recorder(instances_->publishers()[0]);
  EXPECT_EQ(recorder.Deliver(3), 3u);
  EXPECT_EQ(recorder.Await(3), "DDD");
  EXPECT_EQ(instances_->Get("b")->counters.durable, 3u);
}

TEST_F(InstancesTest, APluginThatIsNotInstalledIsShownAndTakesNothingDown) {
  InstanceSpec absent = Spec("x", "{}");
  absent.plugin = "absent";
  InstanceSpec unavailable = Spec("y", "{}");
  unavailable.unavailable_reason = "plugin mqtt is not installed";
  Boot({absent, unavailable, Spec("a", "{}")});
  EXPECT_EQ(State("a"), InstanceState::kStarted);
  EXPECT_EQ(State("x"), InstanceState::kFailed);
  EXPECT_THAT(Reason("x"), HasSubstr("absent is not installed"));
  // Boot does not wait for what will never start.
  EXPECT_TRUE(Await("y", [](const InstanceInfo& i) { return i.state == InstanceState::kFailed; }));
  EXPECT_EQ(Reason("y"), "plugin mqtt is not installed");
  EXPECT_EQ(instances_->Get("y")->retry_in, absl::ZeroDuration());
  EXPECT_GT(instances_->Get("x")->retry_in, absl::ZeroDuration());
}

TEST_F(InstancesTest, EveryFailureOfALifeCycleCallIsShownWithItsReason) {
  Boot({Spec("fails-create", "{}"), Spec("throws-create", "{}"), Spec("null-create", "{}"),
        Spec("c", R"({"configure":"fail"})"), Spec("d", R"({"configure":"throw"})"),
        Spec("e", R"({"start":"throw"})"), Spec("f", R"({"start":"fail"})")});
  EXPECT_EQ(Reason("fails-create"), "create: no memory today");
  EXPECT_THAT(Reason("throws-create"), HasSubstr("create: threw an exception"));
  EXPECT_THAT(Reason("null-create"), HasSubstr("create: gave no instance"));
  EXPECT_EQ(Reason("c"), "configure: /configure: not in this house");
  EXPECT_THAT(Reason("d"), HasSubstr("configure: threw an exception"));
  EXPECT_THAT(Reason("e"), HasSubstr("start: threw an exception"));
  EXPECT_EQ(Reason("f"), "start: the port is taken");
  EXPECT_EQ(instances_->Get("f")->failures, 1u);
  EXPECT_GE(instances_->Get("e")->counters.exceptions, 1u);
}

TEST_F(InstancesTest, AFailedStartIsTriedAgainUntilItWorks) {
  const std::string obstacle = MakeFifo("obstacle");
  Boot({Spec("a", absl::StrCat(R"({"start":"fail_while_file","fifo":")", obstacle, "\"}"))});
  EXPECT_EQ(State("a"), InstanceState::kFailed);
  fs::remove(obstacle);
  EXPECT_TRUE(Await("a", [](const InstanceInfo& i) { return i.state == InstanceState::kStarted; }));
  EXPECT_EQ(instances_->Get("a")->failures, 0u);
  EXPECT_EQ(instances_->Get("a")->retry_in, absl::ZeroDuration());
}

TEST_F(InstancesTest, APolicyOfFailEndsTheNodeInsteadOfRetrying) {
  InstanceSpec spec = Spec("a", R"({"start":"fail"})");
  spec.on_start_failure = StartFailurePolicy::kFail;
  Boot({spec});
  ASSERT_TRUE(fatal_.WaitForNotificationWithTimeout(kLong));
  EXPECT_EQ(State("a"), InstanceState::kFailed);
  EXPECT_EQ(instances_->Get("a")->retry_in, absl::ZeroDuration());
}

TEST_F(InstancesTest, AFailureAfterWorkIsAlwaysTheFirst) {
  Boot({Spec("a", "{}")});
  Recorder recorder(instances_->links()[0]);
  const auto fail_and_count = [this] {
    Order("a", "fail", 0);
    uint32_t failures = 0;
    const absl::Time deadline = absl::Now() + kLong;
    while (failures == 0 && absl::Now() < deadline) failures = instances_->Get("a")->failures;
    EXPECT_TRUE(
        Await("a", [](const InstanceInfo& i) { return i.state == InstanceState::kStarted; }));
    return failures;
  };
  for (size_t life = 1; life <= 3; ++life) {
    EXPECT_EQ(recorder.Deliver(1), 1u);
    EXPECT_EQ(recorder.Await(life), std::string(life, 'D'));
    EXPECT_EQ(fail_and_count(), 1u);
  }
  EXPECT_EQ(fail_and_count(), 2u) << "a life without work";
}

TEST_F(InstancesTest, AHangingStartIsGivenUpAndHoldsNobodyElseUp) {
  const std::string fifo = MakeFifo("hang");
  Boot({Spec("h", absl::StrCat(R"({"start":"hang","fifo":")", fifo, "\"}")), Spec("a", "{}")});
  EXPECT_EQ(State("a"), InstanceState::kStarted);
  EXPECT_EQ(State("h"), InstanceState::kFailed);
  EXPECT_EQ(Reason("h"), "start: did not return within 500ms");
  EXPECT_EQ(instances_->Get("h")->counters.quarantined, 1u);
  EXPECT_TRUE(instances_->Stop("h").ok());
  EXPECT_EQ(instances_->StopAll(absl::Seconds(1)), 1u);
  Release(fifo);
}

TEST_F(InstancesTest, AHangingStopIsGivenUpAndCancelsWhatWasInFlight) {
  const std::string fifo = MakeFifo("hang");
  Boot({Spec("h", absl::StrCat(R"({"stop":"hang","deliver":"hold","fifo":")", fifo, "\"}"))});
  Recorder recorder(instances_->links()[0]);
  EXPECT_EQ(recorder.Deliver(3), 3u);
  EXPECT_EQ(instances_->Stop("h").code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(State("h"), InstanceState::kFailed);
  EXPECT_EQ(Reason("h"), "stop: did not return within 500ms");
  EXPECT_EQ(recorder.Await(3), "CCC");
  EXPECT_TRUE(instances_->Start("h").ok()) << "a new incarnation beside the hung one";
  Release(fifo);
}

TEST_F(InstancesTest, APluginThatSaysItCanNotGoOnIsMadeAnew) {
  Boot({Spec("a", "{}")});
  Order("a", "fail", 0);
  EXPECT_TRUE(Await("a", [](const InstanceInfo& i) { return i.counters.starts == 2; }));
  EXPECT_TRUE(Await("a", [](const InstanceInfo& i) { return i.state == InstanceState::kStarted; }));
}

TEST_F(InstancesTest, WhatAPluginSaysWhileItStopsIsInTheLog) {
  Boot({Spec("a", R"({"stop":"fail"})")});
  EXPECT_TRUE(instances_->Stop("a").ok());
  EXPECT_THAT(log_.text(), HasSubstr("instance/a: failed"));
  EXPECT_EQ(State("a"), InstanceState::kStopped);
}

TEST_F(InstancesTest, AnExceptionOutOfALaneFailsTheInstanceAndIsCounted) {
  Boot({Spec("a", "{}")});
  EXPECT_EQ(OrderReply("a", "throw", 0).status, 503);
  EXPECT_TRUE(Await("a", [](const InstanceInfo& i) { return i.counters.starts == 2; }));
  EXPECT_EQ(instances_->Get("a")->counters.exceptions, 1u);
}

TEST_F(InstancesTest, StopStartDrainAndRestartDoWhatTheySay) {
  Boot({Spec("a", "{}")});
  EXPECT_TRUE(instances_->Stop("a").ok());
  EXPECT_EQ(State("a"), InstanceState::kStopped);
  EXPECT_TRUE(instances_->Stop("a").ok()) << "stopped already";
  EXPECT_TRUE(instances_->Start("a").ok());
  EXPECT_TRUE(instances_->Start("a").ok()) << "started already";
  EXPECT_TRUE(instances_->Drain("a", absl::Seconds(1)).ok());
  EXPECT_EQ(State("a"), InstanceState::kStopped);
  EXPECT_TRUE(instances_->Restart("a").ok());
  EXPECT_EQ(State("a"), InstanceState::kStarted);
  EXPECT_EQ(instances_->Get("a")->counters.starts, 3u);
  EXPECT_EQ(instances_->Start("nobody").code(), absl::StatusCode::kNotFound);
}

TEST_F(InstancesTest, AManualInstanceWaitsForItsStart) {
  InstanceSpec spec = Spec("a", "{}");
  spec.start = StartPolicy::kManual;
  Boot({spec});
  EXPECT_TRUE(
      Await("a", [](const InstanceInfo& i) { return i.state == InstanceState::kConfigured; }));
  EXPECT_TRUE(instances_->Start("a").ok());
  EXPECT_EQ(State("a"), InstanceState::kStarted);
}

TEST_F(InstancesTest, ApplyTouchesOnlyWhatHasChanged) {
  Boot({Spec("a", "{}"), Spec("b", "{}"), Spec("c", "{}")});
  const ApplyResult result = instances_->Apply(
      {Spec("a", "{}"), Spec("b", R"({"credit":5})"), Spec("d", "{}")}, ApplyMode::kAllOrNothing);
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_THAT(result.unchanged, ElementsAre("a"));
  EXPECT_THAT(result.started, ElementsAre("b", "d"));
  EXPECT_THAT(result.stopped, ElementsAre("c"));
  ASSERT_TRUE(instances_->AwaitSettled(kLong));
  EXPECT_EQ(instances_->Get("a")->counters.starts, 1u);
  EXPECT_EQ(instances_->Get("b")->counters.starts, 2u);
  EXPECT_EQ(State("d"), InstanceState::kStarted);
  EXPECT_EQ(instances_->Get("c").status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(health_.Get("instance/c").ok());
}

TEST_F(InstancesTest, AnApplyWithOneBadInstanceChangesNothing) {
  Boot({Spec("a", "{}"), Spec("b", "{}")});
  const ApplyResult result =
      instances_->Apply({Spec("a", R"({"credit":5})"), Spec("c", R"({"configure":"fail"})")},
                        ApplyMode::kAllOrNothing);
  EXPECT_EQ(result.status.message(), "configure: /configure: not in this house");
  ASSERT_EQ(result.failures.size(), 1u);
  EXPECT_EQ(result.failures[0].first, "c");
  EXPECT_EQ(instances_->List().size(), 2u);
  EXPECT_EQ(instances_->Get("a")->counters.starts, 1u);
  EXPECT_EQ(State("a"), InstanceState::kStarted);
  EXPECT_EQ(State("b"), InstanceState::kStarted);
}

TEST_F(InstancesTest, ValidateReportsEveryInstanceAndLeavesNothingBehind) {
  InstanceSpec unavailable = Spec("c", "{}");
  unavailable.unavailable_reason = "its plugin is not installed";
  const auto mistakes =
      instances_->Validate({Spec("a", "{}"), Spec("b", R"({"configure":"fail"})"),
                            Spec("fails-create", "{}"), Spec("no name", "{}"), unavailable});
  ASSERT_EQ(mistakes.size(), 3u);
  EXPECT_EQ(mistakes[0].instance, "b");
  EXPECT_EQ(mistakes[0].pointer, "/configure");
  EXPECT_EQ(mistakes[1].instance, "fails-create");
  EXPECT_THAT(std::string(mistakes[2].status.message()), HasSubstr("bad name, \"no name\""));
  EXPECT_THAT(instances_->List(), IsEmpty());
  EXPECT_FALSE(registry_->Describe("testbed")->in_use);
}

TEST_F(InstancesTest, ANewLibraryStartsOnlyWhatRan) {
  InstanceSpec manual = Spec("c", "{}");
  manual.start = StartPolicy::kManual;
  Boot({Spec("a", "{}"), Spec("b", "{}"), manual});
  ASSERT_TRUE(instances_->Stop("b").ok());
  const uint64_t starts = instances_->Get("a")->counters.starts;
  ASSERT_TRUE(instances_->RestartPlugin("testbed").ok());
  EXPECT_EQ(instances_->Get("a")->counters.starts, starts + 1);
  EXPECT_EQ(State("a"), InstanceState::kStarted);
  EXPECT_EQ(State("b"), InstanceState::kStopped);
  EXPECT_EQ(State("c"), InstanceState::kConfigured);
}

TEST_F(InstancesTest, NoLibraryIsHeldOnceAllHaveStopped) {
  Boot({Spec("a", "{}"), Spec("b", "{}")});
  EXPECT_TRUE(registry_->Describe("testbed")->in_use);
  EXPECT_EQ(instances_->StopAll(absl::Seconds(1)), 0u);
  EXPECT_THAT(instances_->List(), IsEmpty());
  EXPECT_FALSE(registry_->Describe("testbed")->in_use);
  EXPECT_TRUE(registry_->Unload("testbed").ok());
}

TEST_F(InstancesTest, AWatchTellsTheStateThenSyncedThenChanges) {
  Boot({Spec("a", "{}")});
  const auto watch = *instances_->Watch();
  const auto next = [&watch] { return *watch->Next(absl::Now() + kLong); };
  InstanceEvent event = next();
  EXPECT_EQ(event.kind, InstanceEvent::Kind::kChanged);
  EXPECT_EQ(event.info.state, InstanceState::kStarted);
  EXPECT_EQ(next().kind, InstanceEvent::Kind::kSynced);
  ASSERT_TRUE(instances_->Stop("a").ok());
  event = next();  // Everything in between is merged into the latest.
  EXPECT_EQ(event.info.state, InstanceState::kStopped);
  EXPECT_EQ(watch->Next(absl::Now()).status().code(), absl::StatusCode::kDeadlineExceeded);
  instances_->Apply({}, ApplyMode::kBoot);
  while (event.kind != InstanceEvent::Kind::kRemoved) event = next();
  EXPECT_EQ(event.info.name, "a");
  watch->Cancel();
  EXPECT_EQ(watch->Next(absl::Now() + kLong).status().code(), absl::StatusCode::kCancelled);
}

TEST_F(InstancesTest, LinksComeAndGoWithTheirInstances) {
  std::atomic<int> changes{0};
  instances_->SetLinksChanged([&changes] { ++changes; });
  Boot({Spec("a", "{}"), Spec("b", R"({"deliver":"none"})")});
  EXPECT_EQ(changes, 2);  // A link, and a road for files only.
  const auto links = instances_->links();
  ASSERT_EQ(links.size(), 1u);
  EXPECT_EQ(links[0]->name(), "a");
  EXPECT_TRUE(links[0]->ready());
  ASSERT_TRUE(instances_->Restart("a").ok());
  EXPECT_EQ(instances_->links()[0], links[0]) << "the same object over restarts";
  ASSERT_TRUE(instances_->Stop("a").ok());
  EXPECT_FALSE(links[0]->ready());
  EXPECT_EQ(changes, 2);
  instances_->Apply({}, ApplyMode::kBoot);
  EXPECT_EQ(changes, 4);
  EXPECT_FALSE(links[0]->ready());
  EXPECT_EQ(links[0]->credit(), 0u);
}

TEST_F(InstancesTest, HostServicesWork) {
  Boot({Spec("a", "{}")});
  EXPECT_EQ(Order("a", "log", 0), "0");
  EXPECT_THAT(log_.text(), HasSubstr("instance/a: hello from the testbed"));
  EXPECT_EQ(Order("a", "post", 7), "0");
  EXPECT_EQ(Order("a", "timer", 1), "0");
  EXPECT_EQ(Order("a", "timer_cancelled", 0), "0") << "cancelled on its own lane";
  EXPECT_TRUE(AwaitSeen("a", "task timer"));
  EXPECT_TRUE(AwaitSeen("a", "task 7"));
  EXPECT_THAT(OrderReply("a", "seen", 0).body, testing::Not(HasSubstr("never")));
  EXPECT_THAT(metrics_.ExpositionText(), HasSubstr("viaduct_testbed_orders_total{instance=\"a\"}"));
}

TEST_F(InstancesTest, MetricsAreAddedUntilStartHasReturned) {
  Boot({Spec("a", R"({"start":"metric"})")});
  EXPECT_EQ(State("a"), InstanceState::kStarted) << Reason("a");
  EXPECT_THAT(metrics_.ExpositionText(), HasSubstr("viaduct_testbed_starts_total{instance=\"a\"}"));
  EXPECT_EQ(Order("a", "metric", 0), absl::StrCat(VD_FAILED_PRECONDITION));
}

TEST_F(InstancesTest, MetricsGoWithTheInstanceOrItsPlugin) {
  const size_t before = metrics_.series_count();
  Boot({Spec("a", "{}")});
  const size_t with_one = metrics_.series_count();
  EXPECT_GT(with_one, before);
  instances_->Validate({Spec("a", R"({"credit":5})"), Spec("b", "{}")});
  EXPECT_EQ(metrics_.series_count(), with_one) << "b was only tried";
  instances_->Apply({Spec("a", "{}"), Spec("b", "{}"), Spec("c", R"({"configure":"fail"})")},
                    ApplyMode::kAllOrNothing);
  EXPECT_EQ(metrics_.series_count(), with_one) << "b and c were dropped";
  Order("a", "log", 0);
  EXPECT_THAT(metrics_.ExpositionText(), HasSubstr("orders_total{instance=\"a\"} 1"));
  InstanceSpec other = Spec("a", "{}");
  other.plugin = "quick";
  EXPECT_TRUE(instances_->Apply({other}, ApplyMode::kAllOrNothing).status.ok());
  ASSERT_TRUE(instances_->AwaitSettled(kLong));
  EXPECT_EQ(metrics_.series_count(), before) << "quick has none";
  instances_->Apply({Spec("a", "{}")}, ApplyMode::kAllOrNothing);
  ASSERT_TRUE(instances_->AwaitSettled(kLong));
  instances_->Apply({}, ApplyMode::kAllOrNothing);
  EXPECT_EQ(metrics_.series_count(), before);
}

TEST_F(InstancesTest, HostileArgumentsAreRefusedAndCounted) {
  Boot({Spec("a", "{}")});
  EXPECT_EQ(Order("a", "abuse", 0), "0");
  const InstanceCounters counters = instances_->Get("a")->counters;
  EXPECT_GE(counters.refused, 14u);
  EXPECT_GE(counters.unknown_tokens, 4u);
  EXPECT_EQ(State("a"), InstanceState::kStarted);
}

TEST_F(InstancesTest, AChattyPluginIsCutShort) {
  limits_.max_log_burst = 3;
  limits_.max_logs_per_second = 0.0001;
  Remake();
  Boot({Spec("a", "{}")});
  for (int i = 0; i < 10; ++i) Order("a", "log", 0);
  const std::string text = log_.text();
  int lines = 0;
  for (size_t at = 0; (at = text.find("hello", at)) != std::string::npos; ++at) ++lines;
  EXPECT_EQ(lines, 3);
}

}  // namespace
}  // namespace viaduct
