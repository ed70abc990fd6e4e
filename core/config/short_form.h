// The original gateway's file: protocols at the top level. Internal to the room.
#pragma once

#include "core/config/document.h"

namespace viaduct {

// Moves the short form's top-level keys to where the canonical form has them; each moved node keeps
// the pointer of where it stood. Leaves a document without short-form keys as it is.
void ExpandShortForm(ConfigNode* root, Findings* findings);

}  // namespace viaduct
