// A change of some members of a configuration, for who does not have the whole text.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace viaduct {

inline constexpr size_t kMaxPatchBytes = 256u << 10;

// The document with a JSON merge patch (RFC 7396) applied: an object is merged, null removes, and
// anything else replaces. Where the document has a list of objects that are told apart by "name"
// (instances) and the patch an object, its members are those names. References stay as they are
// written; comments and the layout are lost. INVALID_ARGUMENT: the document is no YAML or the patch
// no JSON object; whether the result is a valid configuration is not looked at.
absl::StatusOr<std::string> PatchDocument(std::string_view yaml, std::string_view patch_json);

}  // namespace viaduct
