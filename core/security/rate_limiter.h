// How often a device, a credential and an address may come.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/security/bucket_table.h"
#include "core/security/principal.h"

namespace viaduct::security {

struct RateLimits {
  BucketRate device;
  BucketRate credential;
  BucketRate address;
  BucketRate failure;           // Of an address whose credentials were not accepted.
  size_t max_buckets = 65'536;  // Of each kind; about 200 octets each.
};

// Who comes; "" is not counted.
struct Comer {
  std::string_view device;
  std::string_view credential;  // IdentityKey
  std::string_view address;     // Peer::address, as it comes.
};

// What a bucket of an identity is named by: who it is together with by what it shows that. A kid
// alone is of many, and passwords have none.
std::string IdentityKey(const Principal& principal);

// What a bucket of an address is named by: without the port; of IPv6 the first 64 bits, because
// whoever has one address there has all of them. What is no address is taken as it is, cut.
std::string AddressKey(std::string_view peer_address);

// Thread-safe.
class RateLimiter {
 public:
  // What credentials that were not accepted cost their address, beside the failure: as many calls
  // of nobody.
  static constexpr double kFailureCost = 10;

  RateLimiter(const RateLimits& limits, const Clock* clock);

  // OK, and every bucket has paid; or RESOURCE_EXHAUSTED naming which was empty, and none has. Then
  // `retry_after` says when to come again, at least a second, as a Retry-After does.
  absl::Status Admit(const Comer& comer, double cost, absl::Duration* retry_after);

  // Before credentials are looked at: RESOURCE_EXHAUSTED while the address has failed too often.
  absl::Status AdmitAttempt(std::string_view address, absl::Duration* retry_after);
  void NoteFailure(std::string_view address);

  uint64_t refused() const;

 private:
  enum Kind { kDevice, kCredential, kAddress, kFailure };
  absl::Status Refuse(std::string_view what, absl::Duration wait, absl::Duration* retry_after)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock* const clock_;
  mutable absl::Mutex mutex_;
  std::array<BucketTable, 4> tables_ ABSL_GUARDED_BY(mutex_);
  uint64_t refused_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace viaduct::security
