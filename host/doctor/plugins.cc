#include "host/doctor/plugins.h"

#include <utility>

#include "host/node/config_source.h"
#include "host/node/plugin_schemas.h"

namespace viaduct::doctor {

ConfiguredPlugins::ConfiguredPlugins(const std::string& text, const std::string& name) {
  PluginRegistry::Options options;
  options.folders = PeekSurroundings(text, environment_).plugin_path;
  const std::string probe = ProbeProgram(environment_);
  if (!probe.empty()) options.probe_command = {probe};
  registry_ = std::make_unique<PluginRegistry>(std::move(options), &log_);
  registry_->Scan();
  PluginSchemas schemas(registry_.get());
  config_ = ConfigValidator(&schemas, &environment_).Validate(text, name).config;
}

}  // namespace viaduct::doctor
