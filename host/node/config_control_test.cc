#include "host/node/config_control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "host/node/testing/config_fixture.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kGoodAfter = absl::Seconds(2);
constexpr absl::Duration kConfirm = absl::Seconds(10);

// A node without instances.
class ConfigControlTest : public ConfigFixture {
 protected:
  ConfigControlTest() {
    deps_.keeper = &keeper_;
    deps_.good_after = kGoodAfter;
    Make();
    config_->SetChanged([this](const Revision& revision, ConfigControl::Change) {
      absl::MutexLock lock(&mutex_);
      told_[revision.number] = revision;
    });
    Begin(Text("info"));
  }
  ~ConfigControlTest() override {
    timers_.Stop();
    keeper_.Stop();
  }

  static std::string Text(const std::string& level, const std::string& more = "") {
    return absl::StrCat("node: {id: N1}\nlog: {level: ", level, "}\n", more);
  }
  static RevisionStore::Proposal Of(std::string yaml,
                                    absl::Duration within = absl::ZeroDuration()) {
    RevisionStore::Proposal proposal;
    proposal.yaml = std::move(yaml);
    proposal.author = "test";
    proposal.confirm_within = within;
    return proposal;
  }
  // Applies and, as time passes, finds it good.
  uint64_t ApplyGood(const std::string& yaml) {
    auto outcome = config_->Apply(Of(yaml));
    EXPECT_TRUE(outcome.status.ok()) << outcome.status;
    const uint64_t number = outcome.applied->revision.number;
    Pass(kGoodAfter);
    AwaitTold(number, [](const Revision& revision) { return revision.last_good; });
    return number;
  }
  template <typename Wanted>
  void AwaitTold(uint64_t number, Wanted wanted) {
    const auto reached = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      const auto found = told_.find(number);
      return found != told_.end() && wanted(found->second);
    };
    absl::MutexLock lock(&mutex_);
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&reached), kLong)) << number;
  }
  void AwaitState(uint64_t number, RevisionState state) {
    AwaitTold(number, [state](const Revision& revision) { return revision.state == state; });
  }
  RevisionState StateOf(uint64_t number) { return revisions_->Get(number)->state; }

  ThreadPool keeper_{{"keeper"}};
  absl::Mutex mutex_;
  std::map<uint64_t, Revision> told_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(ConfigControlTest, AnUnconfirmedRevisionIsNotSuperseded) {
  ASSERT_TRUE(config_->Apply(Of(Text("debug"), kConfirm)).status.ok());
  for (auto origin : {RevisionOrigin::kApply, RevisionOrigin::kFile}) {
    RevisionStore::Proposal next = Of(Text("warning"));
    next.origin = origin;
    const absl::Status status = config_->Apply(next).status;
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(config_->Rollback(1, Of("")).status));
  EXPECT_EQ(revisions_->head()->number, 2u);
  ASSERT_TRUE(config_->Confirm(2).ok());
  EXPECT_TRUE(config_->Apply(Of(Text("warning"))).status.ok());
}

TEST_F(ConfigControlTest, ARollBackThatFailsIsTriedAgain) {
  ASSERT_TRUE(config_->Apply(Of(Text("debug"), kConfirm)).status.ok());
  // The text to go back to cannot be read for a while.
  const std::string text = dir_ + "/config/0000000001.yaml";
  std::filesystem::rename(text, text + ".away");
  Pass(kConfirm);
  const absl::StatusOr<Revision> cancelled = config_->Cancel(2, "test");
  EXPECT_FALSE(cancelled.ok());
  EXPECT_EQ(StateOf(2), RevisionState::kUnconfirmed);
  std::filesystem::rename(text + ".away", text);
  while (revisions_->Get(2)->state != RevisionState::kRolledBack && timers_.size() == 0) {
    std::this_thread::yield();  // Until the attempt that failed has armed the next.
  }
  Pass(Reminder::kPause);
  AwaitState(2, RevisionState::kRolledBack);
  AwaitState(3, RevisionState::kRunning);
  EXPECT_EQ(config_->running().log.level, LogLevel::kInfo);
}

TEST_F(ConfigControlTest, RollbackGoesToTheNewestGoodOneThatSaysSomethingElse) {
  EXPECT_TRUE(absl::IsFailedPrecondition(config_->Rollback(0, Of("")).status));
  const uint64_t good = ApplyGood(Text("debug"));
  ASSERT_TRUE(config_->Apply(Of(Text("error"))).status.ok());  // Never found good.
  const uint64_t bad = ApplyGood(Text("warning"));
  RevisionStore::Proposal request = Of("");
  request.request_id = "back-1";
  auto first = config_->Rollback(0, request);
  ASSERT_TRUE(first.status.ok()) << first.status;
  EXPECT_EQ(*revisions_->ReadYaml(first.applied->revision.number), *revisions_->ReadYaml(good));
  EXPECT_EQ(StateOf(bad), RevisionState::kRolledBack);
  auto again = config_->Rollback(0, request);
  ASSERT_TRUE(again.status.ok()) << again.status;
  EXPECT_EQ(again.applied->revision.number, first.applied->revision.number);
}

TEST_F(ConfigControlTest, WatchersHearOfEveryRevisionThatChanged) {
  const uint64_t first = ApplyGood(Text("debug"));
  const uint64_t second = ApplyGood(Text("warning"));
  AwaitState(first, RevisionState::kSuperseded);
  AwaitTold(first, [](const Revision& revision) { return !revision.last_good; });
  AwaitState(second, RevisionState::kRunning);
}

TEST_F(ConfigControlTest, WhatWaitsForARestartIsForgottenWhenItIsTakenBack) {
  const auto reason = [this] {
    for (const auto& component : health_.List()) {
      if (component.component == "config") return component.reason;
    }
    return std::string("?");
  };
  ASSERT_TRUE(config_->Apply(Of(Text("info", "limits: {start_timeout: 2s}\n"))).status.ok());
  EXPECT_THAT(reason(), HasSubstr("limits"));
  ASSERT_TRUE(config_->Apply(Of(Text("debug"))).status.ok());
  EXPECT_EQ(reason(), "");
}

}  // namespace
}  // namespace viaduct
