#include "core/security/logins.h"

#include <utility>

#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/security/secret_octets.h"

namespace viaduct::security {
namespace {

constexpr size_t kShownDigestBytes = 6;  // Of the digest, as the name of a login.

}  // namespace

bool Logins::Lasts(const Entry& entry) const {
  return absl::Nanoseconds(clock_->MonotonicNanos() - entry.used_ns) < kIdle && entry.change != 0 &&
         users_->ChangeOf(entry.principal.id) == entry.change;
}

// What has ended, and where there are still too many what is used least.
void Logins::MakeRoom(const std::string& user) {
  size_t of_user = 0;
  Table::iterator oldest = entries_.end();
  Table::iterator oldest_of_user = entries_.end();
  const auto note = [](Table::iterator entry, Table::iterator end, Table::iterator* least) {
    if (*least == end || entry->second.used_ns < (*least)->second.used_ns) *least = entry;
  };
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (!Lasts(entry->second)) {
      entries_.erase(entry++);
      continue;
    }
    note(entry, entries_.end(), &oldest);
    if (entry->second.principal.id == user) {
      note(entry, entries_.end(), &oldest_of_user);
      ++of_user;
    }
    ++entry;
  }
  if (of_user >= kMaxOfUser) {
    entries_.erase(oldest_of_user);
  } else if (entries_.size() >= kMaxLogins) {
    entries_.erase(oldest);
  }
}

absl::StatusOr<Logins::Login> Logins::Begin(Principal user, uint64_t change) {
  VD_ASSIGN_OR_RETURN(const std::string secret, RandomOctets(kSecretBytes));
  Login login;
  login.token = HexOf(secret);
  const std::string digest = Sha256(login.token);
  user.proof = Proof::kLogin;
  user.proof_id = HexOf(std::string_view(digest).substr(0, kShownDigestBytes));
  login.principal = user;
  login.principal.expires = clock_->Now() + kIdle;
  absl::MutexLock lock(&mutex_);
  MakeRoom(user.id);
  entries_[digest] = {std::move(user), change, clock_->MonotonicNanos()};
  return login;
}

absl::StatusOr<Principal> Logins::Check(std::string_view token, std::string* why) {
  const std::string digest = Sha256(token);
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(digest);
  *why = "login: unknown, or it has ended";
  if (found == entries_.end()) return absl::UnauthenticatedError("credentials: not accepted");
  if (!Lasts(found->second)) {
    entries_.erase(found);
    return absl::UnauthenticatedError("credentials: not accepted");
  }
  found->second.used_ns = clock_->MonotonicNanos();
  Principal principal = found->second.principal;
  principal.expires = clock_->Now() + kIdle;
  *why = "login of " + principal.id;
  return principal;
}

bool Logins::Holds(std::string_view token) const {
  const std::string digest = Sha256(token);
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = entries_.find(digest);
  return found != entries_.end() && Lasts(found->second);
}

void Logins::End(std::string_view proof_id) {
  absl::MutexLock lock(&mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->second.principal.proof_id != proof_id) continue;
    entries_.erase(entry);
    return;
  }
}

size_t Logins::size() const {
  absl::ReaderMutexLock lock(&mutex_);
  return entries_.size();
}

}  // namespace viaduct::security
