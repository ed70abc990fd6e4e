// Stands between the listeners and everybody who answers their calls: finds out who calls, and
// turns away whose credentials are wrong and who comes too often. What the others may do is asked
// further in, where it is known what they want.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/lpr/signing_in.h"
#include "core/message/exchange.h"
#include "core/observe/metrics.h"
#include "core/security/api_key_store.h"
#include "core/security/audit_log.h"
#include "core/security/authenticator.h"
#include "core/security/logins.h"
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

// Thread-safe.
class Gatekeeper final : public CallHandler {
 public:
  // Checks of passwords, which take long: one more than UserStore allows at once is refused there.
  static constexpr int kPasswordThreads = security::UserStore::kMaxChecksAtOnce;
  static constexpr size_t kMaxWaitingPasswords = 64;
  // Calls of one session that wait until its password has been checked; its end always may.
  static constexpr size_t kMaxWaitingOfSession = 256;
  // A password that was right is remembered that long, as a digest, unless some user changes
  // meanwhile: its owner sends it with every request.
  static constexpr absl::Duration kRemembered = absl::Minutes(1);
  static constexpr size_t kMaxRemembered = 1'024;
  // Credentials that were right are looked at for that long although others at their address guess:
  // whoever guesses must not lock out those behind the same address.
  static constexpr absl::Duration kTrusted = absl::Minutes(10);
  static constexpr size_t kMaxTrusted = 16'384;

  struct Parts {  // All outlive it.
    const Clock* clock = nullptr;
    const security::Authenticator* authenticator = nullptr;
    const security::ApiKeyStore* keys = nullptr;  // Null: there are none.
    const security::UserStore* users = nullptr;   // Null: there are no passwords.
    security::Logins* logins = nullptr;           // Null: nobody signs in to pages.
    security::RateLimiter* limiter = nullptr;
    security::AuditLog* audit = nullptr;
    Metrics* metrics = nullptr;
    CallHandler* next = nullptr;
    std::vector<BrokerRule> brokers;
  };

  explicit Gatekeeper(Parts parts);
  // Shows what it counts also where nobody is asked, and nothing is counted.
  static void AddMetrics(Metrics* metrics);

  // Those of one session go on in the order in which they came.
  void Handle(CallRequest request, ReplyFn reply) override;
  void OnListenerGone(std::string_view instance) override;

  // The same for whoever answers its peers itself (gRPC). Null: it showed no credentials at all.
  // UNAUTHENTICATED; RESOURCE_EXHAUSTED with `retry_after`.
  absl::StatusOr<PrincipalPtr> Identify(const Peer& peer, absl::Duration* retry_after);
  // Who somebody is that Identify has let in; nothing is counted. Null: nobody.
  PrincipalPtr Recognise(const Peer& peer) const;

  // A name and password for a login: SigningIn::log_in and ::log_out.
  void LogIn(const Peer& peer, std::string name, std::string password, SigningIn::DoneFn done);
  void LogOut(const Peer& peer, const security::Principal& who);

  // Of keys and users: whoever was recognised before one may be nobody since.
  uint64_t changes() const;

  // From now on calls are answered with UNAVAILABLE, also those that wait, and `next` may go. Once
  // the listeners have stopped. Returns the number of threads that were left behind.
  int Stop(absl::Duration limit);

 private:
  struct Waiting {
    CallRequest request;
    ReplyFn reply;
  };
  // What a session has said since the check of its password began.
  struct Line {
    std::deque<Waiting> calls;
    bool gone = false;  // Its listener is.
  };
  using LinePtr = std::shared_ptr<Line>;
  using SessionKey = std::pair<std::string, std::string>;  // Of the listener, and its own.

  bool Follow(const SessionKey& key, Waiting* call);
  void Queue(const SessionKey& key, Waiting call);
  void WorkOff(const SessionKey& key, const LinePtr& line, Waiting call);
  void Answer(Waiting call);
  bool NextOf(const SessionKey& key, const LinePtr& line, Waiting* call);
  void DropEndedLogin(Peer* peer) const;
  absl::StatusOr<SignedIn> CheckLogin(const Peer& peer, const std::string& name,
                                      absl::Duration* retry_after);
  std::string Said(const Peer& peer) const;
  std::string RememberedAs(const Peer& peer) const;
  PrincipalPtr Remembered(const Peer& peer);
  PrincipalPtr BrokerOf(const CallRequest& request) const;
  absl::StatusOr<PrincipalPtr> CheckPassword(const Peer& peer, absl::Duration* retry_after);
  absl::StatusOr<PrincipalPtr> Check(const Peer& peer, absl::Duration* retry_after);
  void NoteFailure(const Peer& peer, const std::string& why);
  void NoteLogin(const Peer& peer, const security::Principal& who, const char* what);
  absl::Status Admit(const Peer& peer, const PrincipalPtr& principal, absl::Duration* retry_after);
  void PassOn(CallRequest request, absl::StatusOr<PrincipalPtr> principal,
              absl::Duration retry_after, const ReplyFn& reply);

  const Parts parts_;
  const MetricNumber not_accepted_;
  const MetricNumber too_often_;
  const std::string salt_;  // Of the digests, so that they are of no use elsewhere.
  security::TokenCache remembered_{kMaxRemembered};
  security::TokenCache trusted_{kMaxTrusted};
  std::atomic<bool> stopped_{false};
  absl::Mutex mutex_;
  // Sessions whose password is being checked.
  std::map<SessionKey, LinePtr> lines_ ABSL_GUARDED_BY(mutex_);
  ThreadPool passwords_;  // Last: its threads use the rest.
};

}  // namespace viaduct
