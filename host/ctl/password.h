// A password that is given to viaductctl: never on its command line.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace viaduct::ctl {

inline constexpr size_t kMaxPasswordFileBytes = 4'096;

// The first line of a file that only its owner may read, or of standard input for "-". With "":
// asked for twice on the terminal, which does not show it.
absl::StatusOr<std::string> ReadNewPassword(const std::string& file);

}  // namespace viaduct::ctl
