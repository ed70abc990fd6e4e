// Keeps messages away from a link that fails, and lets one find out when it works again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "absl/functional/function_ref.h"

namespace viaduct {

enum class BreakerState : uint8_t {
  kClosed,    // Messages pass.
  kOpen,      // None passes until its time is over.
  kHalfOpen,  // One passes, which decides.
};
std::string_view BreakerStateName(BreakerState state);  // "closed", "open", "half_open"

// Times are monotonic nanoseconds. Lives on one thread.
class CircuitBreaker {
 public:
  // Opens after so many failures in a row, at once when the peer asked for a pause, and again after
  // one failure while half open.
  explicit CircuitBreaker(uint32_t failures_to_open) : failures_to_open_(failures_to_open) {}

  BreakerState state(int64_t now_ns) const;
  int64_t open_until_ns() const { return std::max(open_until_ns_, paused_until_ns_); }
  uint32_t opened_in_a_row() const { return opened_in_a_row_; }

  // A delivery that was sent at `sent_ns` failed; `asked_ns` > 0: the peer wants no more for so
  // long, which counts whatever is known already: the longest pause that was asked for is kept.
  // `delay_for` says how long to stay open the n-th time in a row. True: it has opened now, or for
  // clearly longer.
  bool OnFailure(int64_t sent_ns, int64_t asked_ns, int64_t now_ns,
                 absl::FunctionRef<int64_t(uint32_t)> delay_for);
  // A delivery that was sent at `sent_ns` and all after it are without an answer for too long:
  // opens at once. True: it has opened now.
  bool OnSilence(int64_t sent_ns, int64_t now_ns, absl::FunctionRef<int64_t(uint32_t)> delay_for);
  // A delivery succeeded. True: that ended a time of failures.
  bool OnSuccess();
  // The road was measured and the peer answers: what an unanswered measurement left in doubt is
  // forgotten, and after failures the next message may find out now. A pause that the peer asked
  // for goes on.
  void OnSignOfLife();
  // The road was measured and the peer does not answer: while it is closed the next message
  // decides.
  void OnUnanswered() { doubted_ = true; }

 private:
  bool half_open() const { return deciding_ || doubted_; }
  void Open(int64_t for_ns, int64_t now_ns);

  const uint32_t failures_to_open_;
  uint32_t failures_in_a_row_ = 0;
  uint32_t opened_in_a_row_ = 0;
  int64_t open_until_ns_ = 0;
  int64_t paused_until_ns_ = 0;  // The peer asked for it: a success meanwhile does not end it.
  int64_t opened_at_ns_ = -1;
  bool deciding_ = false;  // After failures: only a delivery that succeeds ends it.
  bool doubted_ = false;   // A measurement was not answered: one that is ends it too.
};

}  // namespace viaduct
