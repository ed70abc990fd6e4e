// Stands between the listeners and everybody who answers their calls: finds out who calls, and
// turns away whose credentials are wrong and who comes too often. What the others may do is asked
// further in, where it is known what they want.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/message/exchange.h"
#include "core/observe/metrics.h"
#include "core/security/audit_log.h"
#include "core/security/authenticator.h"
#include "core/security/principal.h"
#include "core/security/rate_limiter.h"
#include "core/security/token_cache.h"
#include "core/security/user_store.h"

namespace viaduct {

// A broker is no peer of its own publishers: it tells nobody who they are. What comes through an
// instance is believed as far as this says; the broker's own rules must see to it that devices
// publish on topics of their own only.
struct BrokerRule {
  std::string instance;
  security::Role role = security::Role::kDevice;
  std::vector<std::string> devices = {"*"};  // Of role device: whom it may speak for.
};

using PrincipalPtr = std::shared_ptr<const security::Principal>;

// Thread-safe.
class Gatekeeper final : public CallHandler {
 public:
  // Checks of passwords, which take long: one more than UserStore allows at once is refused there.
  static constexpr int kPasswordThreads = security::UserStore::kMaxChecksAtOnce;
  static constexpr size_t kMaxWaitingPasswords = 64;
  // A password that was right is remembered that long, as a digest, unless some user changes
  // meanwhile: its owner sends it with every request.
  static constexpr absl::Duration kRemembered = absl::Minutes(1);
  static constexpr size_t kMaxRemembered = 1'024;

  struct Parts {  // All outlive it.
    const Clock* clock = nullptr;
    const security::Authenticator* authenticator = nullptr;
    const security::UserStore* users = nullptr;  // Null: there are no passwords.
    security::RateLimiter* limiter = nullptr;
    security::AuditLog* audit = nullptr;
    Metrics* metrics = nullptr;
    CallHandler* next = nullptr;
    std::vector<BrokerRule> brokers;
  };

  explicit Gatekeeper(Parts parts);

  void Handle(CallRequest request, ReplyFn reply) override;
  void OnListenerGone(std::string_view instance) override;

  // The same for whoever answers its peers itself (gRPC). Null: it showed no credentials at all.
  // UNAUTHENTICATED; RESOURCE_EXHAUSTED with `retry_after`.
  absl::StatusOr<PrincipalPtr> Identify(const Peer& peer, absl::Duration* retry_after);
  // Who somebody is that Identify has let in; nothing is counted. Null: nobody.
  PrincipalPtr Recognise(const Peer& peer) const;

 private:
  PrincipalPtr BrokerOf(const CallRequest& request) const;
  absl::StatusOr<PrincipalPtr> CheckPassword(const Peer& peer, absl::Duration* retry_after);
  absl::StatusOr<PrincipalPtr> Check(const Peer& peer, absl::Duration* retry_after);
  absl::Status Admit(const Peer& peer, const PrincipalPtr& principal, absl::Duration* retry_after);
  void PassOn(CallRequest request, absl::StatusOr<PrincipalPtr> principal,
              absl::Duration retry_after, const ReplyFn& reply);

  const Parts parts_;
  const MetricNumber not_accepted_;
  const MetricNumber too_often_;
  const std::string salt_;  // Of the digests, so that they are of no use elsewhere.
  security::TokenCache remembered_{kMaxRemembered};
  ThreadPool passwords_;  // Last: its threads use the rest.
};

}  // namespace viaduct
