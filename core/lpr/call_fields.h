// The fields of a request's head.
#pragma once

#include <string_view>

#include "core/message/exchange.h"

namespace viaduct {

// "" where it is missing.
inline std::string_view FieldOf(const CallRequest& call, std::string_view name) {
  for (const auto& [key, value] : call.attributes) {
    if (key == name) return value;
  }
  return {};
}

}  // namespace viaduct
