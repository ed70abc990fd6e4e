// ConfigView over a JSON tree. Internal to the room: nlohmann stays out of the public headers.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "core/config/config_view.h"

namespace viaduct {

std::shared_ptr<const ConfigView> MakeConfigView(nlohmann::json document);

}  // namespace viaduct
