// Identifiers that a node makes up itself.
#pragma once

#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace viaduct {

// A UUID version 7 (RFC 9562): time-ordered, so that an index over new ids grows at its end.
// `now` only orders the ids; uniqueness comes from 74 random bits. Thread-safe.
std::string NewUuid(absl::Time now);

// True for 8-4-4-4-12 hexadecimal digits, any version, either case.
bool IsUuid(std::string_view text);

}  // namespace viaduct
