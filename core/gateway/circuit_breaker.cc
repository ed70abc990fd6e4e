#include "core/gateway/circuit_breaker.h"

#include <algorithm>

namespace viaduct {
namespace {

constexpr int64_t kClearlyNs = 1'000'000'000;

}  // namespace

std::string_view BreakerStateName(BreakerState state) {
  switch (state) {
    case BreakerState::kClosed:
      return "closed";
    case BreakerState::kOpen:
      return "open";
    case BreakerState::kHalfOpen:
      return "half_open";
  }
  return "closed";
}

BreakerState CircuitBreaker::state(int64_t now_ns) const {
  if (open_until_ns() > now_ns) return BreakerState::kOpen;
  return half_open() ? BreakerState::kHalfOpen : BreakerState::kClosed;
}

bool CircuitBreaker::OnFailure(int64_t sent_ns, int64_t asked_ns, int64_t now_ns,
                               absl::FunctionRef<int64_t(uint32_t)> delay_for) {
  const int64_t before_ns = std::max(open_until_ns(), now_ns);
  if (asked_ns > 0) {
    paused_until_ns_ = std::max(paused_until_ns_, now_ns + asked_ns);
    deciding_ = true;
  }
  // Failures of what was in flight when it opened tell nothing else that is new.
  if (sent_ns <= opened_at_ns_ || before_ns > now_ns) {
    return open_until_ns() - before_ns >= kClearlyNs;
  }
  ++failures_in_a_row_;
  if (asked_ns <= 0 && !half_open() && failures_in_a_row_ < failures_to_open_) return false;
  Open(delay_for(++opened_in_a_row_), now_ns);
  return true;
}

bool CircuitBreaker::OnSilence(int64_t sent_ns, int64_t now_ns,
                               absl::FunctionRef<int64_t(uint32_t)> delay_for) {
  if (sent_ns <= opened_at_ns_ || open_until_ns() > now_ns) return false;
  Open(delay_for(++opened_in_a_row_), now_ns);
  return true;
}

void CircuitBreaker::Open(int64_t for_ns, int64_t now_ns) {
  open_until_ns_ = now_ns + for_ns;
  opened_at_ns_ = now_ns;
  deciding_ = true;
}

bool CircuitBreaker::OnSuccess() {
  const bool recovered = opened_in_a_row_ > 0;
  failures_in_a_row_ = 0;
  opened_in_a_row_ = 0;
  deciding_ = false;
  doubted_ = false;
  open_until_ns_ = 0;
  return recovered;
}

void CircuitBreaker::OnSignOfLife() {
  open_until_ns_ = 0;
  doubted_ = false;
}

}  // namespace viaduct
