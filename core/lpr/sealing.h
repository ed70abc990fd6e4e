// Payload encryption in the way of the messages: they are opened where they come in and a store is
// there to read them, and sealed before the spool. Between the two carries who has no key.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/lpr/sink.h"
#include "core/security/key_ring.h"
#include "core/security/payload_cipher.h"

namespace viaduct {

struct SealingOptions {
  bool seal = false;            // What goes up and is not encrypted yet.
  bool accept_unbound = false;  // As PayloadCipherOptions.
  // The node sends on what it opens: that goes as it came, and what it has no key for goes on, too.
  bool forwards = false;
  size_t max_message_bytes = 32u << 20;  // Of a sealed envelope; the next node takes no larger one.
};

// Since the node was started.
struct SealingCounts {
  uint64_t sealed = 0;
  uint64_t opened = 0;
  uint64_t refused = 0;  // Did not open, or could not be sealed.
  uint64_t passed = 0;   // Gone on unopened: no key of that id.
};

// Thread-safe.
class Sealing {
 public:
  Sealing(SealingOptions options, std::shared_ptr<const security::KeyRing> keys);

  // What is encrypted becomes what it was; everything else stays. INVALID_ARGUMENT: no such key,
  // changed on the way, or made for another message; the text says which.
  absl::Status Open(Arrival* arrival);
  // For the way up: what was opened is again as it came; what never was encrypted is sealed, where
  // that is wanted. INVALID_ARGUMENT: too large then. UNAVAILABLE: cannot be sealed now.
  absl::Status Seal(Arrival* arrival);

  // As Open, for who only looks: nothing is counted.
  absl::Status Peek(Envelope* envelope) const { return cipher_.OpenEnvelope(envelope); }

  SealingCounts counts() const;

 private:
  absl::Status SealNow(Envelope* envelope);

  const SealingOptions options_;
  security::PayloadCipher cipher_;
  std::atomic<uint64_t> sealed_{0};
  std::atomic<uint64_t> opened_{0};
  std::atomic<uint64_t> refused_{0};
  std::atomic<uint64_t> passed_{0};
};

// What stands before the uplink. Thread-safe.
class SealSink final : public Sink {
 public:
  // Both outlive it.
  SealSink(Sealing* sealing, Sink* next) : sealing_(sealing), next_(next) {}

  void Accept(std::vector<Arrival> batch, AcceptFn done) override;

 private:
  Sealing* const sealing_;
  Sink* const next_;
};

}  // namespace viaduct
