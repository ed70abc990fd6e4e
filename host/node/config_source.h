// What must be known before the configuration can be checked: the text, and where plugins are.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/config/validate.h"

namespace viaduct {

inline constexpr size_t kMaxConfigBytes = 1u << 20;

// NOT_FOUND, or INVALID_ARGUMENT when it is larger than kMaxConfigBytes.
absl::StatusOr<std::string> ReadConfigFile(const std::string& path);

// What a document says of its surroundings, as far as it can be read; a document with mistakes is
// read, too, since its plugins' schemas are needed to find all of them.
struct Surroundings {
  std::string data_dir;
  std::vector<std::string> plugin_path;
  LogOptions log;
};
Surroundings PeekSurroundings(std::string_view text, const ConfigEnvironment& environment);

// Where the parts of this installation are.
std::string ProbeProgram(const ConfigEnvironment& environment);  // "" when it is not installed.

}  // namespace viaduct
