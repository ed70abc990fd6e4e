// What the parts of the schema check share. Internal to the room.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/config/document.h"

namespace viaduct {

// A scalar without quotes by the YAML 1.2 core schema: null, boolean, number or text. Infinity and
// NaN have no JSON and stay text.
nlohmann::json ResolvePlain(std::string_view text);

// A value for a message: quoted, short, without control characters; nothing of a secret.
std::string Show(const ConfigNode& node);
std::string ShowText(std::string_view text);

// The node and everything below it.
void MarkAllSecret(ConfigNode* node);

}  // namespace viaduct
