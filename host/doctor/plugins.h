// A configuration read with the plugins that it names. Internal to host/doctor.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/config/node_config.h"
#include "core/config/validate.h"
#include "core/observe/log.h"
#include "core/plugin/registry.h"

namespace viaduct::doctor {

// Thread-compatible.
class ConfiguredPlugins {
 public:
  ConfiguredPlugins(const std::string& text, const std::string& name);
  PluginRegistry* registry() { return registry_.get(); }
  Log* log() { return &log_; }
  // With all secrets. None: it has mistakes.
  const std::optional<NodeConfig>& config() const { return config_; }

 private:
  SystemEnvironment environment_;
  NullLog log_;
  std::unique_ptr<PluginRegistry> registry_;
  std::optional<NodeConfig> config_;
};

}  // namespace viaduct::doctor
