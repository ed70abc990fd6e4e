#include "core/config/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/config/fleet_options.h"
#include "core/config/test_environment.h"
#include "core/config/validate.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class PlanTest : public ::testing::Test {
 protected:
  PlanTest() { schemas_.Add("rest", R"({"properties":{"timeout":{"default":30}}})"); }
  NodeConfig Read(std::string_view yaml) {
    ConfigReport report = ConfigValidator(&schemas_, &environment_).Validate(yaml, "");
    EXPECT_TRUE(report.ok()) << report.status();
    return *std::move(report.config);
  }
  std::vector<Effect> Plan(std::string_view current, std::string_view next) {
    return PlanChange(Read(current), Read(next));
  }

  FakeSchemas schemas_;
  FakeEnvironment environment_;
};

TEST_F(PlanTest, WritingADefaultOutChangesNothing) {
  const auto plan =
      Plan("instances: [{name: a, plugin: rest}]\n",
           "node: {id: test-host.example, sinks: [uplink]}\nspool: {max_bytes: 4GiB}\n"
           "rest: {}\ninstances: [{name: a, plugin: rest, config: {timeout: 30}}]\n");
  ASSERT_THAT(plan, SizeIs(2));
  EXPECT_EQ(plan[0].subject, "instance/a");
  EXPECT_EQ(plan[0].kind, EffectKind::kNone);
  EXPECT_EQ(plan[1].kind, EffectKind::kAdd);
  EXPECT_FALSE(NeedsNodeRestart(plan));
}

TEST_F(PlanTest, NamesWhatChangedButNotTheValues) {
  const auto plan = Plan(
      "instances:\n"
      "- {name: a, plugin: rest, config: {tls: {key: old1}}}\n"
      "- {name: b, plugin: rest}\n- {name: c, plugin: rest}\n",
      "instances:\n"
      "- {name: a, plugin: rest, config: {tls: {key: new1}, timeout: 5}}\n"
      "- {name: b, plugin: rest, start: manual}\n- {name: d, plugin: other}\n");
  ASSERT_THAT(plan, SizeIs(4));
  EXPECT_EQ(plan[0].kind, EffectKind::kRestart);
  EXPECT_EQ(plan[0].text, "changed: config.timeout, config.tls.key");
  EXPECT_EQ(plan[1].kind, EffectKind::kApply);
  EXPECT_EQ(plan[1].text, "changed: start");
  EXPECT_EQ(plan[2].kind, EffectKind::kAdd);
  EXPECT_EQ(plan[3].subject, "instance/c");
  EXPECT_EQ(plan[3].kind, EffectKind::kRemove);
  for (const Effect& effect : plan) EXPECT_THAT(effect.text, Not(HasSubstr("new1")));
}

TEST_F(PlanTest, SaysWhichSectionsNeedARestartOfTheNode) {
  const auto plan = Plan("log: {level: info}\nspool: {max_messages: 5}\n",
                         "log: {level: debug}\nspool: {max_messages: 6}\nnode: {id: x}\n");
  ASSERT_THAT(plan, SizeIs(3));
  EXPECT_EQ(plan[0].subject, "log");
  EXPECT_EQ(plan[0].kind, EffectKind::kApply);
  EXPECT_EQ(plan[1].subject, "node");
  EXPECT_EQ(plan[1].kind, EffectKind::kNodeRestart);
  EXPECT_EQ(plan[1].text, "changed: node.id");
  EXPECT_EQ(plan[2].text, "changed: spool.max_messages");
  EXPECT_TRUE(NeedsNodeRestart(plan));
  const auto format = Plan("log: {level: info}\n", "log: {level: debug, format: text}\n");
  EXPECT_TRUE(NeedsNodeRestart(format));
}

TEST_F(PlanTest, APluginThatWasInstalledSinceRestartsItsInstance) {
  const NodeConfig before = Read("instances: [{name: a, plugin: mqtt}]\n");
  schemas_.Add("mqtt", "{}");
  const auto plan = PlanChange(before, Read("instances: [{name: a, plugin: mqtt}]\n"));
  ASSERT_THAT(plan, SizeIs(1));
  EXPECT_EQ(plan[0].kind, EffectKind::kRestart);
}

TEST_F(PlanTest, WhatANodeDoesForItsServerIsTakenOverAndOnlyReadsUnlessSaidSo) {
  EXPECT_THAT(ReadFleetOptions(Read("{}")).accept,
              ElementsAre("get_status", "get_health", "test_connection"));
  const NodeConfig more = Read("fleet: {accept: [get_status, restart_instance]}\n");
  EXPECT_THAT(ReadFleetOptions(more).accept, ElementsAre("get_status", "restart_instance"));
  EXPECT_THAT(ReadFleetOptions(Read("fleet: {accept: []}\n")).accept, IsEmpty());
  const auto plan = PlanChange(Read("{}"), more);
  ASSERT_THAT(plan, SizeIs(1));
  EXPECT_EQ(plan[0].subject, "fleet");
  EXPECT_EQ(plan[0].kind, EffectKind::kApply);
  EXPECT_FALSE(ConfigValidator(&schemas_, &environment_)
                   .Validate("fleet: {accept: [format_disk]}\n", "")
                   .ok());
}

TEST_F(PlanTest, TheSameConfigurationHasNoEffect) {
  EXPECT_THAT(Plan("node: {id: a}\n", "node: {id: a}\n"), IsEmpty());
}

}  // namespace
}  // namespace viaduct
