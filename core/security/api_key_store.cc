#include "core/security/api_key_store.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/identity.h"
#include "core/message/json_scanner.h"
#include "core/security/api_key.h"
#include "core/security/protected_database.h"
#include "core/security/secret_octets.h"

namespace viaduct::security {
namespace {

using sqlite::Statement;

constexpr DatabaseFormat kFormat = {0x56444b31, 1, R"sql(
CREATE TABLE api_key(
  key_id TEXT PRIMARY KEY, hash BLOB NOT NULL, kind INTEGER, owner TEXT, role INTEGER,
  scopes INTEGER, devices TEXT, note TEXT, created_us INTEGER, expires_us INTEGER,
  last_used_us INTEGER, revoked_us INTEGER, replaces TEXT) WITHOUT ROWID;
CREATE TABLE secret_check(id INTEGER PRIMARY KEY, hash BLOB NOT NULL);
)sql"};

constexpr char kSelect[] =
    "SELECT key_id, hash, kind, owner, role, scopes, devices, note, created_us, expires_us,"
    " last_used_us, revoked_us, replaces FROM api_key";

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

int64_t Micros(absl::Time time) {
  if (time == absl::InfiniteFuture()) return kNever;
  return time == absl::InfinitePast() ? std::numeric_limits<int64_t>::min()
                                      : absl::ToUnixMicros(time);
}

absl::Time TimeOf(int64_t micros) {
  if (micros == kNever) return absl::InfiniteFuture();
  return micros == std::numeric_limits<int64_t>::min() ? absl::InfinitePast()
                                                       : absl::FromUnixMicros(micros);
}

Principal PrincipalOf(const ApiKeyRecord& record) {
  Principal principal;
  principal.kind = record.kind;
  principal.id = record.owner;
  principal.role = record.role;
  principal.scopes = record.scopes;
  principal.devices = record.devices;
  principal.proof = Proof::kApiKey;
  principal.proof_id = record.key_id;
  principal.expires = record.expires;
  return principal;
}

ApiKeyRecord RecordOf(const Statement& row) {
  ApiKeyRecord record;
  record.key_id = std::string(row.Text(0));
  record.kind = static_cast<PrincipalKind>(row.Int(2) & 0xff);
  record.owner = std::string(row.Text(3));
  record.role = static_cast<Role>(row.Int(4) & 0xff);
  record.scopes = ScopeSet::FromBits(static_cast<uint32_t>(row.Int(5)));
  record.devices =
      absl::StrSplit(AbslView(row.Text(6)), '\n', absl::SkipEmpty());  // No id has line breaks.
  record.note = std::string(row.Text(7));
  record.created = TimeOf(row.Int(8));
  record.expires = TimeOf(row.Int(9));
  record.last_used = TimeOf(row.Int(10));
  record.revoked = TimeOf(row.Int(11));
  record.replaces = std::string(row.Text(12));
  return record;
}

absl::Status CheckWanted(const ApiKeyRecord& wanted) {
  VD_RETURN_IF_ERROR(CheckPrincipal(PrincipalOf(wanted)));
  if (wanted.kind == PrincipalKind::kLocalPeer) {
    return absl::InvalidArgumentError("api key: a local peer has none");
  }
  if (wanted.scopes == ScopeSet::None()) {
    return absl::InvalidArgumentError("api key: allows nothing, name a scope");
  }
  if (wanted.note.size() > ApiKeyStore::kMaxNoteBytes || !IsValidUtf8(wanted.note)) {
    return absl::InvalidArgumentError(
        absl::StrCat("api key: note is no text of at most ", ApiKeyStore::kMaxNoteBytes, " bytes"));
  }
  return absl::OkStatus();
}

absl::Status NotThere(std::string_view key_id) {
  return absl::NotFoundError(
      absl::StrCat("api key: there is none with the id ", ShownText(key_id)));
}

}  // namespace

ApiKeyStore::ApiKeyStore(sqlite::SqliteHandle db, std::string secret, const Clock* clock)
    : secret_(std::move(secret)), no_hash_(kSecretBytes, '\0'), clock_(clock), db_(std::move(db)) {}

ApiKeyStore::~ApiKeyStore() {
  // A time of last use that is lost is a line of a list that is older than it could be.
  FlushLastUse().IgnoreError();
}

absl::StatusOr<std::unique_ptr<ApiKeyStore>> ApiKeyStore::Open(const std::string& folder,
                                                               const Clock* clock) {
  VD_ASSIGN_OR_RETURN(sqlite::SqliteHandle db,
                      OpenProtectedDatabase(folder + "/api_keys.db", kFormat));
  const std::string secret_path = folder + "/api_keys.secret";
  VD_ASSIGN_OR_RETURN(const int64_t bound,
                      sqlite::QueryInt(db.get(), "SELECT count(*) FROM secret_check"));
  if (bound > 0 && absl::IsNotFound(CheckProtected(secret_path))) {
    return absl::DataLossError(absl::StrCat(secret_path, ": is gone, no key holds without it"));
  }
  VD_ASSIGN_OR_RETURN(std::string secret, LoadOrMakeSecret(secret_path));
  std::unique_ptr<ApiKeyStore> store(new ApiKeyStore(std::move(db), std::move(secret), clock));
  absl::MutexLock disk(&store->disk_mutex_);
  absl::MutexLock lock(&store->mutex_);
  VD_RETURN_IF_ERROR(store->CheckSecret());
  VD_RETURN_IF_ERROR(store->Load());
  return store;
}

// With another secret every key would be refused, and nobody would know why.
absl::Status ApiKeyStore::CheckSecret() {
  const std::string expected = HmacSha256(secret_, "viaduct api key secret check");
  Statement read("SELECT hash FROM secret_check WHERE id=1");
  VD_RETURN_IF_ERROR(read.Start(db_.get()));
  VD_ASSIGN_OR_RETURN(const bool there, read.Step());
  if (there) {
    if (EqualInConstantTime(read.Text(0), expected)) return absl::OkStatus();
    return absl::DataLossError("api keys: api_keys.secret is not the secret of these keys");
  }
  read.Reset();
  VD_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db_.get()));
  Statement write("INSERT INTO secret_check(id, hash) VALUES(1, ?)");
  VD_RETURN_IF_ERROR(write.Start(db_.get()));
  VD_RETURN_IF_ERROR(write.BindBlob(expected).Run());
  return transaction.Commit();
}

absl::Status ApiKeyStore::Load() {
  Statement all(kSelect);
  VD_RETURN_IF_ERROR(all.Start(db_.get()));
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool there, all.Step());
    if (!there) return absl::OkStatus();
    Entry entry{RecordOf(all), std::string(all.Text(1))};
    const absl::Status good = CheckWanted(entry.record);
    if (!good.ok() || entry.hash.size() != kSecretBytes || entries_.size() >= kMaxKeys) {
      return absl::DataLossError(
          absl::StrCat("api keys: the record ", ShownText(entry.record.key_id), " is damaged"));
    }
    entries_[entry.record.key_id] = std::move(entry);
  }
}

std::string ApiKeyStore::HashOf(std::string_view key_id, std::string_view secret) const {
  return HmacSha256(secret_,
                    absl::StrCat("viaduct api key 1|", AbslView(key_id), "|", AbslView(secret)));
}

absl::StatusOr<NewKey> ApiKeyStore::MakeKey(ApiKeyRecord record, std::string* hash) const {
  VD_ASSIGN_OR_RETURN(std::string text, NewApiKey());
  ApiKeyParts parts;
  if (!ParseApiKey(text, &parts)) return absl::InternalError("api key: made one that is none");
  record.key_id = std::string(parts.id);
  record.created = clock_->Now();
  record.last_used = absl::InfinitePast();
  record.revoked = absl::InfiniteFuture();
  *hash = HashOf(parts.id, parts.secret);
  return NewKey{std::move(text), std::move(record)};
}

absl::Status ApiKeyStore::Write(const Entry& entry) {
  const ApiKeyRecord& record = entry.record;
  Statement put(
      "INSERT OR REPLACE INTO api_key(key_id, hash, kind, owner, role, scopes, devices, note,"
      " created_us, expires_us, last_used_us, revoked_us, replaces)"
      " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)");
  VD_RETURN_IF_ERROR(put.Start(db_.get()));
  const std::string devices = absl::StrJoin(record.devices, "\n");
  put.Bind(std::string_view(record.key_id)).BindBlob(entry.hash);
  put.Bind(static_cast<int64_t>(record.kind)).Bind(std::string_view(record.owner));
  put.Bind(static_cast<int64_t>(record.role)).Bind(int64_t{record.scopes.bits()});
  put.Bind(std::string_view(devices)).Bind(std::string_view(record.note));
  put.Bind(Micros(record.created)).Bind(Micros(record.expires));
  put.Bind(Micros(record.last_used)).Bind(Micros(record.revoked));
  return put.Bind(std::string_view(record.replaces)).Run();
}

bool ApiKeyStore::IsFull() const {
  absl::ReaderMutexLock lock(&mutex_);
  return entries_.size() >= kMaxKeys;
}

void ApiKeyStore::Keep(Entry entry) {
  absl::MutexLock lock(&mutex_);
  std::string key_id = entry.record.key_id;
  entries_[std::move(key_id)] = std::move(entry);
  changes_.fetch_add(1, std::memory_order_release);
}

absl::StatusOr<ApiKeyStore::Entry> ApiKeyStore::Find(std::string_view key_id) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = entries_.find(AbslView(key_id));
  if (found == entries_.end()) return NotThere(key_id);
  return found->second;
}

absl::StatusOr<NewKey> ApiKeyStore::Create(const ApiKeyRecord& wanted) {
  VD_RETURN_IF_ERROR(CheckWanted(wanted));
  absl::MutexLock disk(&disk_mutex_);
  if (IsFull()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("api keys: there are ", kMaxKeys, ", forget some"));
  }
  Entry entry;
  VD_ASSIGN_OR_RETURN(NewKey made, MakeKey(wanted, &entry.hash));
  made.record.replaces.clear();
  entry.record = made.record;
  VD_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db_.get()));
  VD_RETURN_IF_ERROR(Write(entry));
  VD_RETURN_IF_ERROR(transaction.Commit());
  Keep(std::move(entry));
  return made;
}

absl::StatusOr<NewKey> ApiKeyStore::Rotate(std::string_view key_id, absl::Duration overlap,
                                           absl::Time expires) {
  if (overlap < absl::ZeroDuration() || overlap > kMaxOverlap) {
    return absl::InvalidArgumentError(
        absl::StrCat("api key: overlap is not between 0 and ", absl::FormatDuration(kMaxOverlap)));
  }
  absl::MutexLock disk(&disk_mutex_);
  VD_ASSIGN_OR_RETURN(Entry old, Find(key_id));
  const absl::Time now = clock_->Now();
  if (old.record.revoked != absl::InfiniteFuture() || old.record.expires <= now) {
    return absl::FailedPreconditionError(
        absl::StrCat("api key: ", ShownText(key_id), " holds no more, make a new one"));
  }
  if (IsFull()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("api keys: there are ", kMaxKeys, ", forget some"));
  }
  Entry entry;
  ApiKeyRecord wanted = old.record;
  wanted.expires = expires;
  VD_ASSIGN_OR_RETURN(NewKey made, MakeKey(wanted, &entry.hash));
  made.record.replaces = old.record.key_id;
  entry.record = made.record;
  old.record.expires = std::min(old.record.expires, now + overlap);
  VD_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db_.get()));
  VD_RETURN_IF_ERROR(Write(old));
  VD_RETURN_IF_ERROR(Write(entry));
  VD_RETURN_IF_ERROR(transaction.Commit());
  Keep(std::move(old));
  Keep(std::move(entry));
  return made;
}

absl::Status ApiKeyStore::Revoke(std::string_view key_id) {
  absl::MutexLock disk(&disk_mutex_);
  VD_ASSIGN_OR_RETURN(Entry entry, Find(key_id));
  if (entry.record.revoked != absl::InfiniteFuture()) return absl::OkStatus();
  entry.record.revoked = clock_->Now();
  VD_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db_.get()));
  VD_RETURN_IF_ERROR(Write(entry));
  VD_RETURN_IF_ERROR(transaction.Commit());
  Keep(std::move(entry));
  return absl::OkStatus();
}

absl::Status ApiKeyStore::Forget(std::string_view key_id) {
  absl::MutexLock disk(&disk_mutex_);
  VD_ASSIGN_OR_RETURN(const Entry entry, Find(key_id));
  if (entry.record.revoked == absl::InfiniteFuture() && entry.record.expires > clock_->Now()) {
    return absl::FailedPreconditionError(
        absl::StrCat("api key: ", ShownText(key_id), " still holds, revoke it first"));
  }
  VD_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db_.get()));
  Statement erase("DELETE FROM api_key WHERE key_id=?");
  VD_RETURN_IF_ERROR(erase.Start(db_.get()));
  VD_RETURN_IF_ERROR(erase.Bind(std::string_view(entry.record.key_id)).Run());
  VD_RETURN_IF_ERROR(transaction.Commit());
  absl::MutexLock lock(&mutex_);
  entries_.erase(entry.record.key_id);
  changes_.fetch_add(1, std::memory_order_release);
  return absl::OkStatus();
}

std::vector<ApiKeyRecord> ApiKeyStore::List() const {
  std::vector<ApiKeyRecord> records;
  {
    absl::ReaderMutexLock lock(&mutex_);
    records.reserve(entries_.size());
    for (const auto& [id, entry] : entries_) records.push_back(entry.record);
  }
  std::sort(records.begin(), records.end(), [](const ApiKeyRecord& a, const ApiKeyRecord& b) {
    return a.created != b.created ? a.created < b.created : a.key_id < b.key_id;
  });
  return records;
}

absl::StatusOr<Principal> ApiKeyStore::Check(std::string_view key, std::string* why) {
  const absl::Status refused = absl::UnauthenticatedError("credentials: not accepted");
  ApiKeyParts parts;
  if (!ParseApiKey(key, &parts)) {
    *why = "no api key";
    return refused;
  }
  const std::string hash = HashOf(parts.id, parts.secret);
  const absl::Time now = clock_->Now();
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(AbslView(parts.id));
  const bool known = found != entries_.end();
  const bool same = EqualInConstantTime(hash, known ? found->second.hash : no_hash_);
  *why = absl::StrCat("api key ", AbslView(parts.id));
  if (!known || !same) {
    absl::StrAppend(why, known ? ": wrong secret" : ": unknown");
    return refused;
  }
  Entry& entry = found->second;
  if (entry.record.revoked != absl::InfiniteFuture() || entry.record.expires <= now) {
    absl::StrAppend(why, entry.record.expires <= now ? ": expired" : ": revoked");
    return refused;
  }
  if (entry.record.last_used < now - kLastUseGrain || entry.record.last_used > now) {
    entry.record.last_used = now;
    entry.dirty = true;
  }
  return PrincipalOf(entry.record);
}

absl::Status ApiKeyStore::WriteLastUse(const std::vector<Use>& used) {
  VD_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(db_.get()));
  Statement update("UPDATE api_key SET last_used_us=? WHERE key_id=?");
  for (const auto& [id, time] : used) {
    VD_RETURN_IF_ERROR(update.Start(db_.get()));
    VD_RETURN_IF_ERROR(update.Bind(Micros(time)).Bind(std::string_view(id)).Run());
  }
  return transaction.Commit();
}

absl::Status ApiKeyStore::FlushLastUse() {
  absl::MutexLock disk(&disk_mutex_);
  std::vector<Use> used;
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [id, entry] : entries_) {
      if (!entry.dirty) continue;
      used.emplace_back(id, entry.record.last_used);
      entry.dirty = false;
    }
  }
  if (used.empty()) return absl::OkStatus();
  const absl::Status written = WriteLastUse(used);
  if (written.ok()) return written;
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, time] : used) {
    const auto found = entries_.find(id);
    if (found != entries_.end()) found->second.dirty = true;
  }
  return written;
}

absl::StatusOr<std::string> ApiKeyStore::Serialize() {
  const absl::MutexLock disk(&disk_mutex_);
  return SerializeDatabase(db_.get());
}

}  // namespace viaduct::security
