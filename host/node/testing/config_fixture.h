// The configuration of a node in a temporary folder, for tests. Time passes when they say so.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/plugin/registry.h"
#include "host/node/config_control.h"

namespace viaduct {

inline constexpr absl::Duration kLong = absl::Seconds(30);

class ConfigFixture : public ::testing::Test {
 protected:
  ConfigFixture() {
    std::string pattern = ::testing::TempDir() + "/config-XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
    revisions_ = *RevisionStore::Open(dir_ + "/config", &clock_, &log_);
    InstancesDeps instances;
    instances.plugins = &plugins_;
    instances.clock = &clock_;
    instances.log = &log_;
    instances_ = std::make_unique<Instances>(instances, InstancesOptions());
    deps_.clock = &clock_;
    deps_.log = &log_;
    deps_.health = &health_;
    deps_.revisions = revisions_.get();
    deps_.validator = &validator_;
    deps_.plugins = &plugins_;
    deps_.instances = instances_.get();
    deps_.timers = &timers_;
  }
  ~ConfigFixture() override { std::filesystem::remove_all(dir_); }

  // With what deps_ says by now, and the keeper among it.
  void Make() { config_ = std::make_unique<ConfigControl>(deps_); }
  // The node starts with this configuration.
  void Begin(const std::string& yaml) {
    const auto start = revisions_->ChooseForStart(yaml);
    config_->Begin(*validator_.Validate(start->yaml, "f.yaml").config);
  }
  void Pass(absl::Duration time) {
    clock_.Advance(time);
    timers_.Wake();
  }

  FakeClock clock_;
  NullLog log_;
  HealthTree health_{&clock_};
  std::string dir_;
  SystemEnvironment environment_;
  ConfigValidator validator_{nullptr, &environment_};
  PluginRegistry plugins_{PluginRegistry::Options(), &log_};
  TimerQueue timers_{&clock_};  // To be stopped before what it calls goes.
  std::unique_ptr<RevisionStore> revisions_;
  std::unique_ptr<Instances> instances_;
  ConfigControl::Deps deps_;
  std::unique_ptr<ConfigControl> config_;
};

}  // namespace viaduct
