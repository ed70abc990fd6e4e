// What the validator asks about plugins, answered by the registry.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/config/validate.h"
#include "core/plugin/registry.h"

namespace viaduct {

// Thread-safe.
class PluginSchemas final : public SchemaProvider {
 public:
  explicit PluginSchemas(PluginRegistry* registry) : registry_(registry) {}
  absl::StatusOr<std::string> ConfigSchema(std::string_view plugin) override;
  std::vector<std::string> InstalledPlugins() override;

 private:
  PluginRegistry* const registry_;
};

}  // namespace viaduct
