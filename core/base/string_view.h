// In Debian 12 absl::string_view is a class of its own, not std::string_view. Our interfaces use
// the standard one; these two turn it around where an Abseil function wants its own.
#pragma once

#include <string_view>

#include "absl/strings/string_view.h"

namespace viaduct {

inline absl::string_view AbslView(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}
inline std::string_view StdView(absl::string_view text) {
  return std::string_view(text.data(), text.size());
}

}  // namespace viaduct
