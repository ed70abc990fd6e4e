// Tokens whose signature has been verified, or other credentials that were right: a device sends
// the same one with every request, and to verify it costs hundreds of microseconds.
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/security/principal.h"

namespace viaduct::security {

struct VerifiedToken {
  Principal principal;
  absl::Time from;  // Both with the leeway in them.
  absl::Time until;
};

// Holds digests, not tokens. The one that was asked for longest ago goes first. Thread-safe.
class TokenCache {
 public:
  static constexpr size_t kMaxTokens = 16'384;

  explicit TokenCache(size_t max_tokens = kMaxTokens) : max_tokens_(max_tokens) {}

  // Nothing where it is not known, or does not hold at `now`: then it is forgotten.
  std::optional<VerifiedToken> Find(std::string_view token, absl::Time now);
  // What was known of it is replaced.
  void Keep(std::string_view token, VerifiedToken verified);
  void Forget(std::string_view token);
  size_t size() const;

 private:
  struct Entry {
    VerifiedToken verified;
    std::list<std::string>::iterator place;
  };
  const size_t max_tokens_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::list<std::string> used_
      ABSL_GUARDED_BY(mutex_);  // The last one that was asked for is first.
};

}  // namespace viaduct::security
