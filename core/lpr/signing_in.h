// How people sign in to the pages of a node: what the application asks of whoever knows them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/message/exchange.h"
#include "core/security/principal.h"

namespace viaduct {

using PrincipalPtr = std::shared_ptr<const security::Principal>;

struct SignedIn {
  PrincipalPtr principal;
  std::string token;  // What the browser shows from now on: a secret.
};

// Both are thread-safe and return at once.
struct SigningIn {
  // Called once, on any thread. UNAUTHENTICATED: wrong; RESOURCE_EXHAUSTED: too often, come again
  // after `retry_after`.
  using DoneFn = std::function<void(absl::StatusOr<SignedIn>, absl::Duration retry_after)>;
  std::function<void(const Peer& peer, std::string name, std::string password, DoneFn done)> log_in;
  std::function<void(const Peer& peer, const security::Principal& who)> log_out;
};

}  // namespace viaduct
