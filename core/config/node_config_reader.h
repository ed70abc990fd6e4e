// From the checked document to the typed NodeConfig. Internal to the room.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/config/validate.h"

namespace viaduct {

// `document` has passed the node's schema and has its defaults; everything but the instances.
NodeConfig ReadNodeConfig(const nlohmann::json& document, bool store_given,
                          const ConfigEnvironment& environment);

// The part that comes before plugins. `document` need not be sound.
ConfigPreview ReadPreview(const nlohmann::json& document, const ConfigEnvironment& environment);

// What a host is called where the configuration does not say: the host name, with characters that
// an id may not have turned into '-'.
std::string DefaultNodeId(const ConfigEnvironment& environment);

}  // namespace viaduct
