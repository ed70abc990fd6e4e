// Which of rsync's own options a configuration may add.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace viaduct::rsync {

// Adds to `arguments` what `option` changes of how this plugin runs rsync; nothing, where that is
// so anyway or must not be. INVALID_ARGUMENT: an option that is not allowed, and what to use
// instead.
absl::Status AddAllowedOption(std::string_view option, std::vector<std::string>* arguments);

}  // namespace viaduct::rsync
