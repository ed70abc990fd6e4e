// Commands that change the road which carries their answer, and those that come twice.
#include "host/node/node_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/lpr/command_attributes.h"
#include "host/node/testing/config_fixture.h"

namespace viaduct {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Runs what it is given on the spot, or refuses it.
class Inline final : public Executor {
 public:
  bool Submit(Task task) override {
    if (full) return false;
    task();
    return true;
  }
  std::atomic<bool> full{false};
};

// A node with one road of a plugin that is not installed.
class NodeCommandsTest : public ConfigFixture {
 protected:
  NodeCommandsTest() {
    deps_.keeper = &executor_;
    Make();
    Begin(Text("fail"));
    node_deps_.clock = &clock_;
    node_deps_.config = config_.get();
    node_deps_.instances = instances_.get();
    node_deps_.health = &health_;
    node_deps_.reads = node_deps_.commands = node_deps_.changes = &executor_;
    node_deps_.timers = &timers_;
    node_deps_.info = [] { return control::v1::NodeInfo(); };
    node_deps_.audit = [this](const std::string&, std::string_view command, std::string_view,
                              const absl::Status& status) {
      absl::MutexLock lock(&mutex_);
      audited_.push_back(absl::StrCat(std::string(command), " ", status.raw_code()));
    };
    commands_.Begin(node_deps_);
  }
  ~NodeCommandsTest() override { timers_.Stop(); }

  static std::string Text(const std::string& on_start_failure) {
    return absl::StrCat(
        "node: {id: N1}\nfleet: {accept: [get_status, update_config, confirm_config]}\n"
        "instances:\n- {name: uplink, plugin: nobody, on_start_failure: ",
        on_start_failure, "}\n");
  }
  Json Give(const std::string& command, const Json& arguments, const std::string& message_id = "",
            const std::string& carrier = "uplink") {
    CallRequest request;
    request.path = command;
    request.body = arguments.dump();
    request.peer.instance = carrier;
    request.attributes = {{std::string(kMessageIdAttribute), message_id}};
    absl::Notification done;
    Json out;
    commands_.Handle(std::move(request), [&](CallReply reply) {
      out = Json::parse(reply.body);
      out["status"] = reply.status;
      done.Notify();
    });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kLong)) << command;
    return out;
  }
  Json LastDeferred() { return Give("get_status", Json::object())["last_deferred"]; }
  void AwaitAudits(size_t count) {
    const auto reached = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return audited_.size() >= count;
    };
    absl::MutexLock lock(&mutex_);
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&reached), kLong));
  }
  std::vector<std::string> audited() {
    absl::MutexLock lock(&mutex_);
    return audited_;
  }
  uint64_t head() { return revisions_->head()->number; }

  NodeCommands::Deps node_deps_;
  Inline executor_;
  absl::Mutex mutex_;
  std::vector<std::string> audited_ ABSL_GUARDED_BY(mutex_);
  NodeCommands commands_;
};

// The road is replaced whatever it is that changes of it.
TEST_F(NodeCommandsTest, AnythingThatChangesTheCarrierIsAnsweredFirst) {
  const Json answer = Give("update_config", {{"yaml", Text("retry")}});
  EXPECT_EQ(answer["status"], 202) << answer;
  EXPECT_EQ(head(), 1u) << "before its answer is gone";
  EXPECT_EQ(LastDeferred()["status"], 202);
  Pass(NodeCommands::kAnswerFirst);
  AwaitAudits(1);
  EXPECT_EQ(head(), 2u);
  EXPECT_EQ(LastDeferred()["status"], 200);
  EXPECT_EQ(LastDeferred()["command"], "update_config");
}

TEST_F(NodeCommandsTest, AnotherRoadsChangeIsMadeAtOnce) {
  EXPECT_EQ(Give("update_config", {{"yaml", Text("retry")}}, "", "other")["status"], 200);
  EXPECT_EQ(head(), 2u);
  EXPECT_EQ(revisions_->head()->state, RevisionState::kRunning);
  EXPECT_TRUE(LastDeferred().is_null());
}

TEST_F(NodeCommandsTest, AChangeOfTheCarrierIsTakenBackUnlessItIsConfirmed) {
  EXPECT_EQ(Give("update_config", {{"yaml", Text("retry")}})["confirm_within"], "5m");
  Pass(NodeCommands::kAnswerFirst);
  AwaitAudits(1);
  ASSERT_EQ(head(), 2u);
  EXPECT_EQ(revisions_->head()->state, RevisionState::kUnconfirmed);
  Pass(NodeCommands::kConfirmAfterCut);
  const absl::Time deadline = absl::Now() + kLong;
  while (head() != 3 && absl::Now() < deadline) std::this_thread::yield();
  EXPECT_EQ(head(), 3u);
  EXPECT_EQ(revisions_->Get(2)->state, RevisionState::kRolledBack);
}

TEST_F(NodeCommandsTest, AChangeThatIsConfirmedStays) {
  Give("update_config", {{"yaml", Text("retry")}});
  Pass(NodeCommands::kAnswerFirst);
  AwaitAudits(1);
  EXPECT_EQ(Give("confirm_config", {{"revision", 2}})["status"], 200);
  EXPECT_EQ(revisions_->head()->state, RevisionState::kRunning);
}

TEST_F(NodeCommandsTest, WhatFailsAfterItsAnswerIsToldAndAudited) {
  const Json change = {{"yaml", Text("retry")}, {"request_id", "r-1"}};
  ASSERT_EQ(Give("update_config", change, "m-1")["status"], 202);
  // Somebody else is quicker.
  ASSERT_EQ(Give("update_config", {{"patch", {{"log", {{"level", "debug"}}}}}})["status"], 200);
  Pass(NodeCommands::kAnswerFirst);
  AwaitAudits(2);
  EXPECT_THAT(audited(), ElementsAre("update_config 0", "update_config 10"));
  const Json failed = LastDeferred();
  EXPECT_EQ(failed["status"], 409) << failed;
  EXPECT_EQ(failed["message_id"], "m-1");
  EXPECT_EQ(failed["request_id"], "r-1");
  EXPECT_THAT(failed["reason"].get<std::string>(), HasSubstr("revision 2 is running"));
}

TEST_F(NodeCommandsTest, WhatCouldNotBeginAfterItsAnswerIsToldAndAudited) {
  ASSERT_EQ(Give("update_config", {{"yaml", Text("retry")}})["status"], 202);
  executor_.full = true;
  Pass(NodeCommands::kAnswerFirst);
  AwaitAudits(1);
  executor_.full = false;
  EXPECT_THAT(audited(), ElementsAre("update_config 14"));
  EXPECT_EQ(LastDeferred()["status"], 503);
  EXPECT_EQ(head(), 1u);
}

TEST_F(NodeCommandsTest, AChangingCommandThatComesTwiceIsCarriedOutOnce) {
  const Json change = {{"patch", {{"log", {{"level", "debug"}}}}}};
  const Json first = Give("update_config", change, "m-1");
  ASSERT_EQ(first["status"], 200) << first;
  ASSERT_EQ(Give("update_config", {{"patch", {{"log", {{"level", "info"}}}}}}, "m-2")["status"],
            200);
  EXPECT_EQ(Give("update_config", change, "m-1"), first);
  EXPECT_EQ(head(), 3u) << "the older one was carried out again";
}

TEST_F(NodeCommandsTest, HearsWhatTheServerSaysOfAFileOnlyWhereItWaitsForIt) {
  const Json status = {{"transfer_id", "t1"}, {"status", "stored"}, {"sha256", "ab"}};
  EXPECT_EQ(Give("file_transfer_status", status)["status"], 501);
  std::vector<std::string> heard;
  node_deps_.file_status = [&](const std::string& id, const std::string& word,
                               const std::string& digest, const std::string& detail) {
    heard = {id, word, digest, detail};
  };
  commands_.Begin(node_deps_);
  EXPECT_EQ(Give("file_transfer_status", status)["status"], 200);
  EXPECT_THAT(heard, ElementsAre("t1", "stored", "ab", ""));
  EXPECT_EQ(Give("file_transfer_status", Json::object())["status"], 400);
  EXPECT_EQ(Give("file_transfer_status", {{"transfer_id", 5}, {"status", "x"}})["status"], 400);
}

}  // namespace
}  // namespace viaduct
