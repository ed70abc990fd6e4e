#include "core/security/user_store.h"

#include <argon2.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"
#include "core/security/protected_database.h"
#include "core/security/secret_octets.h"

namespace viaduct::security {
namespace {

using sqlite::Statement;

constexpr DatabaseFormat kFormat = {0x56445531, 1, R"sql(
CREATE TABLE user(
  name TEXT PRIMARY KEY, hash TEXT NOT NULL, kind INTEGER, role INTEGER, scopes INTEGER,
  devices TEXT, created_us INTEGER, disabled INTEGER) WITHOUT ROWID;
)sql"};

constexpr size_t kSaltBytes = 16;
constexpr size_t kEncodedBytes = 128;

absl::StatusOr<std::string> HashPassword(std::string_view password, const PasswordCost& cost) {
  VD_ASSIGN_OR_RETURN(const std::string salt, RandomOctets(kSaltBytes));
  std::array<char, kEncodedBytes> encoded{};
  const int code = argon2id_hash_encoded(cost.passes, cost.memory_kib, /*parallelism=*/1,
                                         password.data(), password.size(), salt.data(), salt.size(),
                                         kSecretBytes, encoded.data(), encoded.size());
  if (code != ARGON2_OK) {
    return absl::ResourceExhaustedError(
        absl::StrCat("password: cannot hash, ", argon2_error_message(code)));
  }
  return std::string(encoded.data());
}

Principal PrincipalOf(const UserRecord& user) {
  Principal principal;
  principal.kind = user.kind;
  principal.id = user.name;
  principal.role = user.role;
  principal.scopes = user.scopes;
  principal.devices = user.devices;
  principal.proof = Proof::kPassword;
  return principal;
}

absl::Status CheckUser(const UserRecord& user) {
  VD_RETURN_IF_ERROR(CheckPrincipal(PrincipalOf(user)));
  // Basic authentication ends the name at the first one.
  if (user.name.find(':') != std::string::npos) {
    return absl::InvalidArgumentError("user: a name has no colon");
  }
  if (user.kind == PrincipalKind::kLocalPeer) {
    return absl::InvalidArgumentError("user: a local peer has no password");
  }
  return absl::OkStatus();
}

absl::Status CheckPassword(std::string_view name, std::string_view password) {
  if (password.size() < UserStore::kMinPasswordBytes ||
      password.size() > UserStore::kMaxPasswordBytes) {
    return absl::InvalidArgumentError(absl::StrCat("password: want ", UserStore::kMinPasswordBytes,
                                                   " to ", UserStore::kMaxPasswordBytes, " bytes"));
  }
  if (password == name || password.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError("password: is the name, or has a zero octet");
  }
  return absl::OkStatus();
}

absl::Status NotThere(std::string_view name) {
  return absl::NotFoundError(absl::StrCat("user: there is none called ", ShownText(name)));
}

}  // namespace

UserStore::UserStore(sqlite::SqliteHandle db, const Clock* clock, PasswordCost cost,
                     std::string no_hash)
    : clock_(clock), cost_(cost), no_hash_(std::move(no_hash)), db_(std::move(db)) {}

absl::StatusOr<std::unique_ptr<UserStore>> UserStore::Open(const std::string& folder,
                                                           const Clock* clock, PasswordCost cost) {
  VD_ASSIGN_OR_RETURN(sqlite::SqliteHandle db,
                      OpenProtectedDatabase(folder + "/users.db", kFormat));
  VD_ASSIGN_OR_RETURN(const std::string nobodys, RandomOctets(kSecretBytes));
  VD_ASSIGN_OR_RETURN(std::string no_hash, HashPassword(nobodys, cost));
  std::unique_ptr<UserStore> store(new UserStore(std::move(db), clock, cost, std::move(no_hash)));
  absl::MutexLock disk(&store->disk_mutex_);
  absl::MutexLock lock(&store->mutex_);
  VD_RETURN_IF_ERROR(store->Load());
  return store;
}

absl::Status UserStore::Load() {
  Statement all("SELECT name, hash, kind, role, scopes, devices, created_us, disabled FROM user");
  VD_RETURN_IF_ERROR(all.Start(db_.get()));
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool there, all.Step());
    if (!there) return absl::OkStatus();
    Entry entry;
    entry.record.name = std::string(all.Text(0));
    entry.hash = std::string(all.Text(1));
    entry.record.kind = static_cast<PrincipalKind>(all.Int(2) & 0xff);
    entry.record.role = static_cast<Role>(all.Int(3) & 0xff);
    entry.record.scopes = ScopeSet::FromBits(static_cast<uint32_t>(all.Int(4)));
    entry.record.devices = absl::StrSplit(AbslView(all.Text(5)), '\n', absl::SkipEmpty());
    entry.record.created = absl::FromUnixMicros(all.Int(6));
    entry.record.disabled = all.Int(7) != 0;
    if (!CheckUser(entry.record).ok() || entries_.size() >= kMaxUsers) {
      return absl::DataLossError(
          absl::StrCat("users: the record ", ShownText(entry.record.name), " is damaged"));
    }
    entry.change = ++last_change_;
    entries_[entry.record.name] = std::move(entry);
  }
}

absl::Status UserStore::Write(const Entry& entry) {
  VD_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db_.get()));
  Statement put(
      "INSERT OR REPLACE INTO user(name, hash, kind, role, scopes, devices, created_us, disabled)"
      " VALUES(?,?,?,?,?,?,?,?)");
  VD_RETURN_IF_ERROR(put.Start(db_.get()));
  const UserRecord& user = entry.record;
  const std::string devices = absl::StrJoin(user.devices, "\n");
  put.Bind(std::string_view(user.name)).Bind(std::string_view(entry.hash));
  put.Bind(static_cast<int64_t>(user.kind)).Bind(static_cast<int64_t>(user.role));
  put.Bind(int64_t{user.scopes.bits()}).Bind(std::string_view(devices));
  put.Bind(absl::ToUnixMicros(user.created)).Bind(int64_t{user.disabled});
  VD_RETURN_IF_ERROR(put.Run());
  VD_RETURN_IF_ERROR(transaction.Commit());
  absl::MutexLock lock(&mutex_);
  entries_[user.name] = entry;
  changes_.fetch_add(1, std::memory_order_release);
  return absl::OkStatus();
}

absl::StatusOr<UserStore::Entry> UserStore::Find(std::string_view name) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = entries_.find(AbslView(name));
  if (found == entries_.end()) return NotThere(name);
  return found->second;
}

uint64_t UserStore::ChangeOf(std::string_view name) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = entries_.find(AbslView(name));
  return found == entries_.end() || found->second.record.disabled ? 0 : found->second.change;
}

absl::Status UserStore::Put(const UserRecord& user, std::string_view password) {
  VD_RETURN_IF_ERROR(CheckUser(user));
  VD_RETURN_IF_ERROR(CheckPassword(user.name, password));
  Entry entry{user, "", 0};
  VD_ASSIGN_OR_RETURN(entry.hash, HashPassword(password, cost_));
  absl::MutexLock disk(&disk_mutex_);
  const absl::StatusOr<Entry> old = Find(user.name);
  entry.record.created = old.ok() ? old->record.created : clock_->Now();
  if (!old.ok() && List().size() >= kMaxUsers) {
    return absl::ResourceExhaustedError(absl::StrCat("users: there are ", kMaxUsers));
  }
  entry.change = ++last_change_;
  return Write(entry);
}

absl::Status UserStore::Change(const UserRecord& user) {
  VD_RETURN_IF_ERROR(CheckUser(user));
  absl::MutexLock disk(&disk_mutex_);
  VD_ASSIGN_OR_RETURN(Entry entry, Find(user.name));
  const absl::Time created = entry.record.created;
  entry.record = user;
  entry.record.created = created;
  entry.change = ++last_change_;
  return Write(entry);
}

absl::Status UserStore::SetPassword(std::string_view name, std::string_view password) {
  VD_RETURN_IF_ERROR(Find(name).status());  // Before it costs a hash.
  VD_RETURN_IF_ERROR(CheckPassword(name, password));
  VD_ASSIGN_OR_RETURN(std::string hash, HashPassword(password, cost_));
  absl::MutexLock disk(&disk_mutex_);
  VD_ASSIGN_OR_RETURN(Entry entry, Find(name));
  entry.hash = std::move(hash);
  entry.change = ++last_change_;
  return Write(entry);
}

absl::Status UserStore::Remove(std::string_view name) {
  absl::MutexLock disk(&disk_mutex_);
  VD_ASSIGN_OR_RETURN(const Entry entry, Find(name));
  VD_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db_.get()));
  Statement erase("DELETE FROM user WHERE name=?");
  VD_RETURN_IF_ERROR(erase.Start(db_.get()));
  VD_RETURN_IF_ERROR(erase.Bind(std::string_view(entry.record.name)).Run());
  VD_RETURN_IF_ERROR(transaction.Commit());
  absl::MutexLock lock(&mutex_);
  entries_.erase(entry.record.name);
  changes_.fetch_add(1, std::memory_order_release);
  return absl::OkStatus();
}

std::vector<UserRecord> UserStore::List() const {
  std::vector<UserRecord> users;
  {
    absl::ReaderMutexLock lock(&mutex_);
    for (const auto& [name, entry] : entries_) users.push_back(entry.record);
  }
  std::sort(users.begin(), users.end(),
            [](const UserRecord& a, const UserRecord& b) { return a.name < b.name; });
  return users;
}

bool UserStore::TakePlace() {
  absl::MutexLock lock(&mutex_);
  if (checks_ >= kMaxChecksAtOnce) return false;
  ++checks_;
  return true;
}

void UserStore::LeavePlace() {
  absl::MutexLock lock(&mutex_);
  --checks_;
}

// A hash of another cost would tell by its time that there is such a user. Where it can not be made
// or written now, the next check tries again.
void UserStore::Renew(const Entry& entry, std::string_view password) {
  const std::string wanted = absl::StrCat("$m=", cost_.memory_kib, ",t=", cost_.passes, ",p=1$");
  if (entry.hash.find(wanted) != std::string::npos) return;
  absl::StatusOr<std::string> hash = HashPassword(password, cost_);
  absl::MutexLock disk(&disk_mutex_);
  absl::StatusOr<Entry> present = Find(entry.record.name);
  if (!hash.ok() || !present.ok() || present->hash != entry.hash) return;
  present->hash = *std::move(hash);
  Write(*present).IgnoreError();
}

absl::StatusOr<Principal> UserStore::Check(std::string_view name, std::string_view password,
                                           std::string* why) {
  *why = absl::StrCat("user ", ShownText(name));
  if (password.size() > kMaxPasswordBytes) {  // The same for every name.
    absl::StrAppend(why, ": password too long");
    return absl::UnauthenticatedError("credentials: not accepted");
  }
  if (!TakePlace()) {
    absl::StrAppend(why, ": too many checks at once");
    return absl::ResourceExhaustedError("credentials: too many passwords are being checked");
  }
  const absl::Cleanup leave = [this] { LeavePlace(); };
  const absl::StatusOr<Entry> entry = Find(name);
  const std::string& hash = entry.ok() ? entry->hash : no_hash_;
  const int code = argon2id_verify(hash.c_str(), password.data(), password.size());
  if (entry.ok() && code == ARGON2_OK && !entry->record.disabled) {
    Renew(*entry, password);
    return PrincipalOf(entry->record);
  }
  absl::StrAppend(why, !entry.ok()         ? ": unknown"
                       : code != ARGON2_OK ? ": wrong password"
                                           : ": disabled");
  return absl::UnauthenticatedError("credentials: not accepted");
}

absl::StatusOr<std::string> UserStore::Serialize() {
  const absl::MutexLock disk(&disk_mutex_);
  return SerializeDatabase(db_.get());
}

}  // namespace viaduct::security
