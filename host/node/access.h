// Who may use this node: the sections "auth" and "audit" as what they mean.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/base/executor_timer_queue.h"
#include "core/config/node_config.h"
#include "core/lpr/gatekeeper.h"
#include "core/observe/health_tree.h"
#include "core/observe/log.h"
#include "core/observe/metrics.h"
#include "core/security/api_key_store.h"
#include "core/security/audit_log.h"
#include "core/security/authenticator.h"
#include "core/security/logins.h"
#include "core/security/rate_limiter.h"
#include "core/security/user_store.h"

namespace viaduct {

// Thread-safe. Timers and writes must have stopped before it goes.
class Access {
 public:
  struct Deps {  // All outlive it.
    const Clock* clock = nullptr;
    Log* log = nullptr;
    HealthTree* health = nullptr;
    Metrics* metrics = nullptr;
    TimerQueue* timers = nullptr;
    Executor* writes = nullptr;  // May wait for the disk.
  };

  // Opens, and makes where they are missing, what the configuration names. An error names the
  // section and what is wrong.
  static absl::StatusOr<std::unique_ptr<Access>> Open(const NodeConfig& config, const Deps& deps);

  // False: nobody is asked who they are, and there is none of the following but the audit.
  bool guarded() const { return authenticator_.has_value(); }
  security::ApiKeyStore* keys() { return keys_.get(); }
  security::UserStore* users() { return users_.get(); }
  security::AuditLog* audit() { return audit_.get(); }

  // What the listeners call instead of `next`, which outlives it. Null where nobody is asked.
  Gatekeeper* Guard(CallHandler* next);
  // Null before Guard, and where nobody is asked.
  Gatekeeper* gatekeeper() { return gatekeeper_.get(); }
  // Ends what Guard began, before `next` goes: Gatekeeper::Stop.
  int StopGuard(absl::Duration limit);

  // In the health: that nobody is asked, and others than this machine reach it.
  void TellHealth(const NodeConfig& config);

 private:
  explicit Access(const Deps& deps) : deps_(deps) {}
  absl::Status OpenAudit(const NodeConfig& config);
  absl::Status OpenAuth(const NodeConfig& config);
  void KeepLastUse();

  const Deps deps_;
  std::unique_ptr<security::AuditLog> audit_;
  std::unique_ptr<security::ApiKeyStore> keys_;
  std::unique_ptr<security::UserStore> users_;
  std::unique_ptr<security::Logins> logins_;
  std::unique_ptr<security::JwtVerifier> tokens_;
  std::optional<security::Authenticator> authenticator_;
  std::unique_ptr<security::RateLimiter> limiter_;
  std::vector<BrokerRule> brokers_;
  std::unique_ptr<Gatekeeper> gatekeeper_;
};

}  // namespace viaduct
