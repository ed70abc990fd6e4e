#include "core/config/fleet_options.h"

#include <nlohmann/json.hpp>

#include "core/config/members.h"

namespace viaduct {

FleetOptions ReadFleetOptions(const NodeConfig& config) {
  using nlohmann::json;
  FleetOptions options;
  const json fleet = members::SectionOf(config, "fleet");
  if (!fleet.is_object()) return options;
  for (const json& command : fleet.value("accept", json::array())) {
    if (command.is_string()) options.accept.push_back(command.get<std::string>());
  }
  return options;
}

}  // namespace viaduct
