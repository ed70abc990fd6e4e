// Where the dispatcher takes messages from and says what became of them. core/spool implements it
// on disk; simulations implement it in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "core/message/envelope.h"

namespace viaduct {

// A message that has been claimed: nobody else gets it until it is settled.
struct OutboxMessage {
  int64_t key = 0;  // Names it in the outbox; orders by priority, then acceptance.
  std::string message_id;
  std::string edge_device_id;
  std::string envelope_json;  // Complete, as WriteEnvelope wrote it.
  DataType data_type = DataType::kDetection;
  Priority priority = Priority::kNormal;
  uint32_t attempts = 0;              // Deliveries that ended before, without success.
  int64_t captured_ns = 0;            // Unix time.
  int64_t queued_ns = 0;              // Time since acceptance, to the millisecond or better.
  int64_t deadline_monotonic_ns = 0;  // End of its time to live; 0: none.
  bool backlog = false;               // Waits already longer than what is live.
};

struct ClaimLimits {
  static constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
  size_t messages = 0;
  size_t bytes = 0;  // Of envelopes: a claim ends with the message that reaches it.
  size_t live = kNoLimit;
  size_t backlog = kNoLimit;
  bool put_off = true;  // false: not those that were released with a delay.
};

enum class SettleKind : uint8_t {
  kConfirmed,  // The peer has stored it: forget it.
  kRetry,      // An attempt failed: again after `delay_ns`.
  kReject,   // A peer refused it: again after `delay_ns`, or set aside when it happened too often.
  kExpired,  // Too old: forget it.
  kRelease,  // Was not tried: again after `delay_ns`, nothing counted.
};

struct Settlement {
  int64_t key = 0;
  SettleKind kind = SettleKind::kConfirmed;
  int64_t delay_ns = 0;
  std::string reason;  // For kRetry and kReject.
};

// Thread-safe, but for Claim: one caller at a time.
class Outbox {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  virtual ~Outbox() = default;
  // Appends messages to `out`: by priority, then live ones before the backlog, then in order of
  // acceptance. Returns how many.
  virtual size_t Claim(const ClaimLimits& limits, std::vector<OutboxMessage>* out) = 0;
  // Ends claims. A key that is not claimed (settled twice) is ignored and counted.
  virtual void Settle(absl::Span<const Settlement> settlements) = 0;
  // When the earliest delayed message may be claimed, monotonic, or the past; kNever when none
  // waits.
  virtual int64_t NextDueNanos() const = 0;
  // Called, on any thread and with no lock held, when Claim may give more than before. Set before
  // first use; cleared with nullptr, and then no old function is running when the call returns.
  virtual void SetReadyHandler(std::function<void()> on_ready) = 0;
};

}  // namespace viaduct
