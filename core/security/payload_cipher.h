// Encryption of payloads from end to end: docs/WIRE.md "Security". Nodes between that have no key
// carry them like any other message.
//
// The text form is base64(nonce of 12 octets, tag of 16, ciphertext). In an envelope it stands as
// payload {"encrypted": "<text>"}; `metadata.encryption` is true and `metadata.encryption_key` is
// the key's id. What the payload belongs to (message, device, type, capture time, key) is bound to
// it: put into another envelope it does not open.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/message/envelope.h"
#include "core/security/aes_gcm.h"
#include "core/security/key_ring.h"

namespace viaduct::security {

// Nonces of one key: begins at 96 random bits and counts. Two of one process are never the same.
// Two of different processes could be: where a thousand nodes use a key for ten years, start every
// day and send a million messages each time, with a chance below 2^-32. A child after fork() begins
// anew. Thread-safe.
class NonceSource {
 public:
  // NIST SP 800-38D wants fewer under one key.
  static constexpr uint64_t kMaxNonces = uint64_t{1} << 32;

  explicit NonceSource(uint64_t max_nonces = kMaxNonces) : max_nonces_(max_nonces) {}

  // 12 octets. FAILED_PRECONDITION: `max_nonces` were given, a new key is due.
  absl::StatusOr<std::string> Next();

 private:
  absl::Status Begin() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t max_nonces_;
  absl::Mutex mutex_;
  pid_t pid_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t given_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t high_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t low_ ABSL_GUARDED_BY(mutex_) = 0;
};

struct PayloadCipherOptions {
  // Also take payloads of peers that know only the text form: without a key id, bound to nothing,
  // so that whoever is on the way can exchange one for another. Every key is tried.
  bool accept_unbound = false;
  size_t max_plain_bytes = 23u << 20;  // Encrypted it is a third longer and has to pass 32 MiB.
};

// Thread-safe.
class PayloadCipher {
 public:
  explicit PayloadCipher(KeyRing keys, PayloadCipherOptions options = PayloadCipherOptions())
      : PayloadCipher(std::make_shared<const KeyRing>(std::move(keys)), options) {}
  explicit PayloadCipher(std::shared_ptr<const KeyRing> keys,
                         PayloadCipherOptions options = PayloadCipherOptions())
      : keys_(std::move(keys)), options_(options) {}

  // The text form, by the active key.
  absl::StatusOr<std::string> Seal(std::string_view plain, std::string_view bound);
  // NOT_FOUND: no key of that id. DATA_LOSS: no such text, changed, or bound to something else.
  absl::StatusOr<std::string> Open(std::string_view text, std::string_view key_id,
                                   std::string_view bound) const;

  // FAILED_PRECONDITION: it is encrypted already.
  absl::Status SealEnvelope(Envelope* envelope);
  // One that is not encrypted stays as it is. On an error so does every other.
  absl::Status OpenEnvelope(Envelope* envelope) const;

  // INVALID_ARGUMENT where the payload of an envelope that says it is encrypted has another form.
  static absl::Status CheckForm(const Envelope& envelope);

 private:
  absl::StatusOr<std::string> OpenUnbound(std::string_view text) const;

  const std::shared_ptr<const KeyRing> keys_;  // With what else the node encrypts.
  const PayloadCipherOptions options_;
  NonceSource nonces_;
};

}  // namespace viaduct::security
