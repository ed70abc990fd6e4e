// What may be shown of a configuration. Internal to the room.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/config/document.h"

namespace viaduct {

inline constexpr std::string_view kRedacted = "<redacted>";

// `text` with every value redacted that is a secret in `checked` (the tree after all checks) and
// stands in the text itself; references stay. Comments and layout stay where that is safe,
// otherwise the document is written anew.
std::string RedactYaml(std::string_view text, const ConfigNode& as_written,
                       const ConfigNode& checked);

// The checked value of `node` as JSON: references as written, secrets redacted.
std::string RedactJson(const ConfigNode& node, const nlohmann::json& value);

// Position and pointer of every secret that stands in the document in plain text.
void FindPlainSecrets(const ConfigNode& node, const std::string& pointer, Findings* findings);

}  // namespace viaduct
