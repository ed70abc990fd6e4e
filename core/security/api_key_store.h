// The API keys of a node: who has which, until when, and when it was last used. What is kept of a
// key is a keyed hash (docs/adr/0012-keyed-hash-of-api-keys.md); the key itself is shown once, by
// the call that makes it, and nowhere else.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
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

struct ApiKeyRecord {
  std::string key_id;
  PrincipalKind kind = PrincipalKind::kDevice;
  std::string owner;  // The principal's id.
  Role role = Role::kDevice;
  ScopeSet scopes = ScopeSet::All();
  std::vector<std::string> devices;
  std::string note;  // For people, at most kMaxNoteBytes.
  absl::Time created = absl::InfinitePast();
  absl::Time expires = absl::InfiniteFuture();
  absl::Time last_used = absl::InfinitePast();  // To about kLastUseGrain.
  absl::Time revoked = absl::InfiniteFuture();  // Since when; InfiniteFuture: it is not.
  std::string replaces;                         // The key that this one was made instead of.
};

struct NewKey {
  std::string text;  // Shown once.
  ApiKeyRecord record;
};

// Thread-safe. A look-up costs no I/O: all records are in memory.
class ApiKeyStore {
 public:
  static constexpr size_t kMaxKeys = 65'536;
  static constexpr size_t kMaxNoteBytes = 256;
  static constexpr absl::Duration kLastUseGrain = absl::Minutes(1);
  static constexpr absl::Duration kMaxOverlap = absl::Hours(24 * 90);

  // `folder`/api_keys.db and `folder`/api_keys.secret, both of mode 0600, made where they are
  // missing. DATA_LOSS: damaged, or the secret is not the one of these keys.
  static absl::StatusOr<std::unique_ptr<ApiKeyStore>> Open(const std::string& folder,
                                                           const Clock* clock);
  ~ApiKeyStore();

  // INVALID_ARGUMENT: no such principal can be. RESOURCE_EXHAUSTED: kMaxKeys are there.
  absl::StatusOr<NewKey> Create(const ApiKeyRecord& wanted);
  // A new key for the same principal. The old one ends after `overlap`, or when it would anyway.
  // NOT_FOUND; FAILED_PRECONDITION: revoked or expired.
  absl::StatusOr<NewKey> Rotate(std::string_view key_id, absl::Duration overlap,
                                absl::Time expires = absl::InfiniteFuture());
  // Holds from the return on, and over kill -9. NOT_FOUND. Once more is no error.
  absl::Status Revoke(std::string_view key_id);
  // Removes the record of a key that is revoked or expired: FAILED_PRECONDITION otherwise.
  absl::Status Forget(std::string_view key_id);
  // By creation, the oldest first. There is no secret in a record.
  std::vector<ApiKeyRecord> List() const;

  // Counts what the four above have changed, so that whoever goes on with what a key proved once
  // knows when to ask anew.
  uint64_t changes() const { return changes_.load(std::memory_order_acquire); }

  // The principal of a key that holds now. UNAUTHENTICATED otherwise, in the same words and the
  // same time whether it is unknown, wrong, expired or revoked; `why` is for the audit alone.
  absl::StatusOr<Principal> Check(std::string_view key, std::string* why);

  // Writes the times of last use that have changed, in one transaction. Whoever owns the store
  // calls it now and then; the destructor does.
  absl::Status FlushLastUse();

  // The octets of the file as of now, for a backup.
  absl::StatusOr<std::string> Serialize();

 private:
  struct Entry {
    ApiKeyRecord record;
    std::string hash;
    bool dirty = false;  // last_used is newer than on disk.
  };
  ApiKeyStore(sqlite::SqliteHandle db, std::string secret, const Clock* clock);

  absl::Status Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk_mutex_, mutex_);
  absl::Status CheckSecret() ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk_mutex_);
  std::string HashOf(std::string_view key_id, std::string_view secret) const;
  absl::StatusOr<NewKey> MakeKey(ApiKeyRecord record, std::string* hash) const;
  using Use = std::pair<std::string, absl::Time>;
  absl::Status WriteLastUse(const std::vector<Use>& used)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk_mutex_);
  absl::Status Write(const Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk_mutex_);
  absl::StatusOr<Entry> Find(std::string_view key_id) const;
  void Keep(Entry entry);
  bool IsFull() const;

  const std::string secret_;
  const std::string no_hash_;  // What an unknown key is compared with.
  const Clock* const clock_;
  // Taken before mutex_, and held while the file is written; Check never waits for it.
  absl::Mutex disk_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  sqlite::SqliteHandle db_ ABSL_GUARDED_BY(disk_mutex_);
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> changes_{0};
};

}  // namespace viaduct::security
