// What the files of the image folder share. Internal to core/store.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace viaduct::image_paths {

inline constexpr size_t kMaxNameBytes = 100;
inline constexpr size_t kMaxPathBytes = 1024;

// Of errno.
absl::Status DiskError(std::string_view what, const std::string& path);
absl::Status SyncFolder(const std::string& path);

// A character that stands for itself in a name.
bool IsPlain(char c);
// A path as ImageFolder gives them, whatever a row or peer says.
bool IsImagePath(std::string_view path);

}  // namespace viaduct::image_paths
