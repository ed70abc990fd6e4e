// Names of files on a server, as every road for files keeps to them.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace viaduct {

// INVALID_ARGUMENT for what viaduct/cpp/file_name.h does not allow.
absl::Status CheckRemoteName(std::string_view name);

// "a/b" of "a/b/c", "" of "c".
std::string_view FolderOf(std::string_view name);

// Where the content of `name` grows until it is complete: beside it, and named after both and after
// the road, which finds it again in each of its lives. So no other content ever continues it, and
// what another road has under way is never in its way.
std::string PartName(std::string_view name, std::string_view sha256, std::string_view road);

}  // namespace viaduct
