// Small files that are either the old or the new one after a crash, never half.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace viaduct {

// Replaces `dir`/`name`: written beside it with mode 0600, synced, renamed, folder synced.
absl::Status WriteFileDurably(const std::string& dir, const std::string& name,
                              std::string_view text);

// NOT_FOUND; RESOURCE_EXHAUSTED: more than `max_bytes`.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path, size_t max_bytes);

}  // namespace viaduct
