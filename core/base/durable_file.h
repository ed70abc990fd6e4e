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

// What errno says of `path`: NOT_FOUND, RESOURCE_EXHAUSTED for a full disk or quota, else
// UNAVAILABLE.
absl::Status FileFailure(const std::string& path, const char* what);

// Writes all of `text`, or fails with a part of it written.
absl::Status WriteAll(int fd, const std::string& path, std::string_view text);

}  // namespace viaduct
