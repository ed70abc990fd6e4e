#include "core/security/token_cache.h"

#include <utility>

#include "core/base/sha256.h"

namespace viaduct::security {

std::optional<VerifiedToken> TokenCache::Find(std::string_view token, absl::Time now) {
  const std::string digest = Sha256(token);
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(digest);
  if (found == entries_.end()) return std::nullopt;
  const VerifiedToken& verified = found->second.verified;
  if (now < verified.from || now >= verified.until) {
    used_.erase(found->second.place);
    entries_.erase(found);
    return std::nullopt;
  }
  used_.splice(used_.begin(), used_, found->second.place);
  return verified;
}

void TokenCache::Keep(std::string_view token, VerifiedToken verified) {
  std::string digest = Sha256(token);
  absl::MutexLock lock(&mutex_);
  if (const auto known = entries_.find(digest); known != entries_.end()) {
    known->second.verified = std::move(verified);
    return;
  }
  if (entries_.size() >= max_tokens_) {
    entries_.erase(used_.back());
    used_.pop_back();
  }
  used_.push_front(digest);
  entries_[std::move(digest)] = {std::move(verified), used_.begin()};
}

void TokenCache::Forget(std::string_view token) {
  const std::string digest = Sha256(token);
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(digest);
  if (found == entries_.end()) return;
  used_.erase(found->second.place);
  entries_.erase(found);
}

size_t TokenCache::size() const {
  absl::MutexLock lock(&mutex_);
  return entries_.size();
}

}  // namespace viaduct::security
