// The pause that a peer asks for in an answer.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/time/time.h"

namespace viaduct {

// A peer may ask for no more.
inline constexpr absl::Duration kMaxRetryAfter = absl::Hours(1);

inline absl::Duration BoundedRetryAfter(absl::Duration asked) {
  return std::clamp(asked, absl::ZeroDuration(), kMaxRetryAfter);
}

// The member "retry_after" of an answer, in seconds; zero where it has none, or one that is no
// time.
inline absl::Duration RetryAfterIn(const nlohmann::json& answer) {
  if (!answer.is_object()) return absl::ZeroDuration();
  const auto found = answer.find("retry_after");
  if (found == answer.end() || !found->is_number()) return absl::ZeroDuration();
  return BoundedRetryAfter(absl::Seconds(found->get<double>()));
}

}  // namespace viaduct
