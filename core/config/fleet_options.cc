#include "core/config/fleet_options.h"

#include <nlohmann/json.hpp>

namespace viaduct {

FleetOptions ReadFleetOptions(const NodeConfig& config) {
  using nlohmann::json;
  FleetOptions options;
  // Checked against the schema, with the defaults filled in.
  const json sections = json::parse(config.sections_json, nullptr, /*allow_exceptions=*/false);
  const json fleet = sections.is_object() ? sections.value("fleet", json()) : json();
  if (!fleet.is_object()) return options;
  for (const json& command : fleet.value("accept", json::array())) {
    if (command.is_string()) options.accept.push_back(command.get<std::string>());
  }
  return options;
}

}  // namespace viaduct
