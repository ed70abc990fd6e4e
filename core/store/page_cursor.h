// What the read queries of every store share: limits and cursors. Internal to core/store.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/store/store.h"

namespace viaduct {

inline int ClampLimit(int limit) { return std::clamp(limit, 1, kMaxPageRows); }

// INVALID_ARGUMENT for a cursor that is none.
absl::StatusOr<int64_t> ParseCursor(std::string_view cursor);
absl::StatusOr<std::pair<int64_t, int64_t>> ParsePairCursor(std::string_view cursor);

// For LIKE with '\' as the escape.
std::string SubstringPattern(std::string_view text);

// The lines of detections.plate_images.
std::vector<std::string> SplitLines(std::string_view lines);

}  // namespace viaduct
