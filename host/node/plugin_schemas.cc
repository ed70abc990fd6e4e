#include "host/node/plugin_schemas.h"

namespace viaduct {

absl::StatusOr<std::string> PluginSchemas::ConfigSchema(std::string_view plugin) {
  auto info = registry_->Describe(plugin);
  if (!info.ok()) return info.status();
  if (!info->failure.ok()) return info->failure;
  return info->config_schema;
}

std::vector<std::string> PluginSchemas::InstalledPlugins() {
  std::vector<std::string> names;
  for (const auto& info : registry_->List()) names.push_back(info.name);
  return names;
}

}  // namespace viaduct
