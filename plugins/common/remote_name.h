// Names of files on a server, as every road for files keeps to them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace viaduct {

inline constexpr size_t kMaxRemoteNameBytes = 1024;
inline constexpr size_t kMaxRemoteComponentBytes = 200;
// Names that begin so are ours while a file is on its way; receivers look past them.
inline constexpr std::string_view kReservedPrefix = ".viaduct";

// INVALID_ARGUMENT unless `name` is relative, UTF-8 without control characters, within the limits
// above, and has no component that is empty, "." or "..", or begins with kReservedPrefix.
absl::Status CheckRemoteName(std::string_view name);

// "a/b" of "a/b/c", "" of "c".
std::string_view FolderOf(std::string_view name);

// Where the content of `name` grows until it is complete: beside it, and named after the content,
// so that no other content ever continues it. Without a digest it is named after the name.
std::string PartName(std::string_view name, std::string_view sha256);

}  // namespace viaduct
