// What transfers that were given up have left in the folder into which devices put files.
#pragma once

#include <cstddef>

#include "absl/time/time.h"
#include "core/receive/incoming_folder.h"

namespace viaduct {

// Removes `.viaduct-*.part` beside files, and what lies in folders `.viaduct-partial`, where it has
// not changed since then by the server's clock. How many. Call it on a thread that may wait for the
// disk.
size_t RemoveOldParts(const IncomingFolder& folder, absl::Time before);

}  // namespace viaduct
