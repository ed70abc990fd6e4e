#include "core/gateway/link.h"

namespace viaduct {

std::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kDurable:
      return "durable";
    case Outcome::kRetry:
      return "retry";
    case Outcome::kReject:
      return "reject";
    case Outcome::kExpired:
      return "expired";
    case Outcome::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

}  // namespace viaduct
