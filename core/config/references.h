// ${NAME}, ${NAME:-default} and file:/path in values, the path of a file with variables as well.
// Internal to the room.
#pragma once

#include "core/config/document.h"

namespace viaduct {

inline constexpr size_t kMaxReferencedBytes = 64u << 10;  // One file; all of a value.

// Resolves every reference below `root`. A reference that leads nowhere is a finding and leaves its
// node broken. "$${" stands for "${". Keys are never touched.
void ResolveReferences(ConfigNode* root, const ConfigEnvironment& environment, Findings* findings);

}  // namespace viaduct
