// Who has signed in to the pages of this node: what the cookie of a browser stands for. They are in
// memory alone, so a restart ends them all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/security/principal.h"
#include "core/security/user_store.h"

namespace viaduct::security {

// Of what the browser shows only digests are kept. Thread-safe.
class Logins {
 public:
  static constexpr size_t kMaxLogins = 1'000;  // Of one more the one that is used least goes.
  static constexpr size_t kMaxOfUser = 50;     // The same, so that nobody pushes others out.
  static constexpr absl::Duration kIdle = absl::Hours(12);  // Unused for so long it has ended.

  // Both outlive it.
  Logins(const UserStore* users, const Clock* clock) : users_(users), clock_(clock) {}

  struct Login {
    std::string token;  // What the browser shows from now on: 256 random bits in hexadecimal.
    Principal principal;
  };
  // For a user whose password was right when UserStore::ChangeOf said `change`.
  absl::StatusOr<Login> Begin(Principal user, uint64_t change);

  // Whose it is; it goes on for kIdle from now. UNAUTHENTICATED: nobody's, or it has ended, as it
  // does when its user is changed or removed. `why` is for the audit.
  absl::StatusOr<Principal> Check(std::string_view token, std::string* why);
  bool Holds(std::string_view token) const;

  void End(std::string_view proof_id);  // Principal::proof_id of what Check returned.
  size_t size() const;

 private:
  struct Entry {
    Principal principal;
    uint64_t change = 0;
    int64_t used_ns = 0;  // Of the monotonic clock.
  };
  using Table = absl::flat_hash_map<std::string, Entry>;  // By the digest of the token.

  bool Lasts(const Entry& entry) const;
  void MakeRoom(const std::string& user) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const UserStore* const users_;
  const Clock* const clock_;
  mutable absl::Mutex mutex_;
  Table entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct::security
