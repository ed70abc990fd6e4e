// Files of deploy/ have parts that only some machines need:
//
//   #[mosquitto]
//   # listener 1883 127.0.0.1
//   #[/mosquitto]
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace viaduct::setup {

// The text with the comment taken off the parts in `parts` ("a+b" needs both), their marks gone;
// others stay as they are. INTERNAL when marks do not match.
absl::StatusOr<std::string> TakeParts(std::string_view text, const std::set<std::string>& parts);

// `sample` replaced by `value` wherever it stands. INTERNAL when it stands nowhere.
absl::Status PutIn(std::string_view sample, std::string_view value, std::string* text);

}  // namespace viaduct::setup
