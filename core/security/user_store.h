// People and tools that sign in with a name and a password. Passwords are guessed where keys are
// not, so they are kept as Argon2id, which costs whoever guesses time and memory; and whoever asks
// for many checks at once, too: their number is bounded.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/sqlite.h"
#include "core/security/principal.h"

namespace viaduct::security {

// RFC 9106; the defaults are the smallest that OWASP recommends, about 30 ms on a server.
struct PasswordCost {
  uint32_t memory_kib = 19'456;
  uint32_t passes = 2;
};

struct UserRecord {
  std::string name;
  PrincipalKind kind = PrincipalKind::kUser;  // Or kTool, or kDevice.
  Role role = Role::kViewer;
  ScopeSet scopes = ScopeSet::All();
  std::vector<std::string> devices;
  absl::Time created = absl::InfinitePast();
  bool disabled = false;
};

// Thread-safe.
class UserStore {
 public:
  static constexpr size_t kMaxUsers = 4'096;
  static constexpr size_t kMinPasswordBytes = 12;
  static constexpr size_t kMaxPasswordBytes = 256;
  static constexpr int kMaxChecksAtOnce = 2;  // Each holds memory_kib.

  // `folder`/users.db, mode 0600.
  static absl::StatusOr<std::unique_ptr<UserStore>> Open(const std::string& folder,
                                                         const Clock* clock,
                                                         PasswordCost cost = PasswordCost());

  // Adds the user, or gives the one of that name this record and password.
  absl::Status Put(const UserRecord& user, std::string_view password);
  // The same for one that is there, whose password stays. NOT_FOUND
  absl::Status Change(const UserRecord& user);
  absl::Status SetPassword(std::string_view name, std::string_view password);  // NOT_FOUND
  absl::Status Remove(std::string_view name);                                  // NOT_FOUND
  std::vector<UserRecord> List() const;                                        // By name.
  // Counts what the four above have changed, so that whoever remembers a check knows that it is
  // old.
  uint64_t changes() const { return changes_.load(std::memory_order_acquire); }
  // Another number for one user after each of these changes of it; 0: it is unknown or disabled.
  uint64_t ChangeOf(std::string_view name) const;

  // Takes as long as PasswordCost says, for a name that is unknown or disabled as well: not on a
  // thread that others wait for. UNAUTHENTICATED in the same words for every reason; `why` is for
  // the audit. RESOURCE_EXHAUSTED: kMaxChecksAtOnce are under way.
  absl::StatusOr<Principal> Check(std::string_view name, std::string_view password,
                                  std::string* why);

  // The octets of the file as of now, for a backup.
  absl::StatusOr<std::string> Serialize();

 private:
  struct Entry {
    UserRecord record;
    std::string hash;     // "$argon2id$v=19$m=...", which holds salt and cost.
    uint64_t change = 0;  // See ChangeOf; not kept.
  };
  UserStore(sqlite::SqliteHandle db, const Clock* clock, PasswordCost cost, std::string no_hash);

  absl::Status Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk_mutex_, mutex_);
  absl::Status Write(const Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk_mutex_);
  absl::StatusOr<Entry> Find(std::string_view name) const;
  void Renew(const Entry& entry, std::string_view password);
  bool TakePlace();
  void LeavePlace();

  const Clock* const clock_;
  const PasswordCost cost_;
  const std::string no_hash_;  // What the password of an unknown user is compared with.
  absl::Mutex disk_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  sqlite::SqliteHandle db_ ABSL_GUARDED_BY(disk_mutex_);
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  int checks_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_change_ ABSL_GUARDED_BY(disk_mutex_) = 0;
  std::atomic<uint64_t> changes_{0};
};

}  // namespace viaduct::security
