// Sizes and durations as people write them: 4GiB, 1500, 200ms, 1h30m, 30d.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace viaduct {

// A number without unit is bytes. kB, MB, GB, TB are powers of 1000; KiB, MiB, GiB, TiB of 1024.
// INVALID_ARGUMENT, without the text itself.
absl::StatusOr<uint64_t> ParseBytes(std::string_view text);

// Numbers with the units ns, us, ms, s, m, h, d, one after the other; "0" alone needs none. At most
// 100 years. INVALID_ARGUMENT, without the text itself.
absl::StatusOr<absl::Duration> ParseDuration(std::string_view text);

}  // namespace viaduct
