// What a plugin's schema tells the host of the time that a road takes.
#pragma once

#include <string_view>

#include "absl/time/time.h"
#include "core/config/config_view.h"

namespace viaduct {

// The longest that is believed.
inline constexpr absl::Duration kMaxConfirmTimeout = absl::Hours(24);

// How long a peer may take to confirm a message: the option, in seconds, whose property in the
// schema has "x-viaduct-confirm-timeout": true. Zero when none has or the config gives no number.
absl::Duration ReadConfirmTimeout(std::string_view config_schema, const ConfigView& config);

}  // namespace viaduct
