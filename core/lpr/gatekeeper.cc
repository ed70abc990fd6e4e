#include "core/lpr/gatekeeper.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/own_page.h"
#include "core/lpr/replies.h"
#include "core/lpr/session_reply.h"
#include "core/security/secret_octets.h"

namespace viaduct {
namespace {

constexpr std::string_view kOpen = "OPEN";        // Method of the beginning of a session,
constexpr std::string_view kClose = "CLOSE";      // of its end,
constexpr std::string_view kByTopic = "PUBLISH";  // of what comes through a broker.

// Methods that the plugin of a listener or road makes up itself; their peers have no part in them.
bool IsOfPlugin(const CallRequest& request) {
  if (request.protocol == "http") return false;
  return request.method == kClose || request.method == "COMMAND" || request.method == "UP";
}

bool IsOfBroker(const CallRequest& request) {
  return request.protocol != "http" && request.method == kByTopic;
}

// The node's own socket: its file lets in two users, who would lock out each other only.
bool IsOwnSocket(const Peer& peer) {
  return peer.instance.empty() && absl::StartsWith(peer.address, "unix:");
}

absl::Status Stopping() { return absl::UnavailableError("the node is stopping"); }

absl::Status TooManyWait() {
  return absl::ResourceExhaustedError("credentials: too many wait to be checked");
}

// In the words of the protocol, as everybody further in answers.
CallReply Refusal(const CallRequest& request, const absl::Status& why, absl::Duration retry_after) {
  const bool often = absl::IsResourceExhausted(why);
  CallReply reply;
  if (!IsSessionProtocol(request.protocol)) {
    reply = StatusReply(why, retry_after);
  } else if (IsPlainSession(request.protocol)) {
    JsonWriter json;
    json.BeginObject().Field("status", "error").Field("message", StdView(why.message()));
    json.EndObject();
    reply = JsonReply(HttpStatusOf(why), json.Take());
  } else {
    const std::string body = MessageBody(StdView(why.message()));
    reply = EventReply("error", body, HttpStatusOf(why));
    AlsoEmit("lpr_event_error", body, &reply);
  }
  // A session that cannot say whose it is is none.
  if (request.method == kOpen) reply.attributes.emplace_back("close", std::string(why.message()));
  if (!often) return reply;
  reply.status = 429;
  const auto known = [](const auto& one) { return one.first == "retry-after"; };
  reply.attributes.erase(std::remove_if(reply.attributes.begin(), reply.attributes.end(), known),
                         reply.attributes.end());
  AddRetryAfter(retry_after, &reply);
  return reply;
}

// A browser shows its cookie whichever page asks: what changes something is taken from our own.
bool IsForged(const CallRequest& request, const security::Principal& principal) {
  return principal.proof == security::Proof::kLogin && request.protocol == "http" &&
         request.method != "GET" && request.method != "HEAD" &&
         OriginOf(request) != PageOrigin::kSame;
}

constexpr std::string_view kSession = "session";  // The credential of a login.

constexpr char kCredentials[] = "credentials";
constexpr char kRate[] = "rate";

MetricNumber AddRefusals(Metrics* metrics, const char* reason) {
  MetricSpec spec;
  spec.name = "viaduct_auth_refusals_total";
  spec.help = "Calls that were turned away before anybody looked at what they want.";
  spec.labels = {{"reason", reason}};
  return metrics->Add(spec).value_or(0);
}

}  // namespace

void Gatekeeper::AddMetrics(Metrics* metrics) {
  AddRefusals(metrics, kCredentials);
  AddRefusals(metrics, kRate);
}

Gatekeeper::Gatekeeper(Parts parts)
    : parts_(std::move(parts)),
      not_accepted_(AddRefusals(parts_.metrics, kCredentials)),
      too_often_(AddRefusals(parts_.metrics, kRate)),
      salt_(security::RandomOctets(security::kSecretBytes).value_or("")),
      passwords_(ThreadPool::Options{"passwords", kPasswordThreads, kMaxWaitingPasswords}) {}

uint64_t Gatekeeper::changes() const {
  return (parts_.keys != nullptr ? parts_.keys->changes() : 0) +
         (parts_.users != nullptr ? parts_.users->changes() : 0);
}

int Gatekeeper::Stop(absl::Duration limit) {
  stopped_.store(true);
  return passwords_.Stop(limit);
}

// A session that is passed on after this is ended at once, see WorkOff.
void Gatekeeper::OnListenerGone(std::string_view instance) {
  {
    absl::MutexLock lock(&mutex_);
    auto line = lines_.lower_bound({std::string(instance), ""});
    while (line != lines_.end() && line->first.first == instance) {
      line->second->gone = true;
      line = lines_.erase(line);
    }
  }
  parts_.next->OnListenerGone(instance);
}

void Gatekeeper::Handle(CallRequest request, ReplyFn reply) {
  DropEndedLogin(&request.peer);
  Waiting call{std::move(request), std::move(reply)};
  const std::string session(IsSessionProtocol(call.request.protocol) ? SessionOf(call.request)
                                                                     : std::string_view());
  const SessionKey key(call.request.peer.instance, session);
  if (!session.empty() && Follow(key, &call)) return;
  const bool waits = !IsOfPlugin(call.request) && !IsOfBroker(call.request) &&
                     security::Authenticator::TakesLong(call.request.peer) &&
                     Remembered(call.request.peer) == nullptr;
  if (!waits) return Answer(std::move(call));
  Queue(key, std::move(call));
}

// True: the password of this session is being checked, and the call stands behind that.
bool Gatekeeper::Follow(const SessionKey& key, Waiting* call) {
  {
    absl::MutexLock lock(&mutex_);
    const auto line = lines_.find(key);
    if (line == lines_.end()) return false;
    std::deque<Waiting>& calls = line->second->calls;
    if (calls.size() < kMaxWaitingOfSession || IsOfPlugin(call->request)) {
      calls.push_back(std::move(*call));
      return true;
    }
  }
  call->reply(Refusal(call->request, TooManyWait(), absl::Seconds(1)));
  return true;
}

void Gatekeeper::Queue(const SessionKey& key, Waiting call) {
  const LinePtr line = std::make_shared<Line>();
  auto first = std::make_shared<Waiting>(std::move(call));
  bool queued = false;
  {
    absl::MutexLock lock(&mutex_);
    queued = passwords_.Submit([this, key, line, first] { WorkOff(key, line, std::move(*first)); });
    if (queued && !key.second.empty()) lines_[key] = line;
  }
  if (queued) return;
  const absl::Status why = stopped_.load() ? Stopping() : TooManyWait();
  first->reply(Refusal(first->request, why, absl::Seconds(1)));
}

void Gatekeeper::WorkOff(const SessionKey& key, const LinePtr& line, Waiting call) {
  CallRequest end;  // What a listener that is gone does not say any more.
  end.protocol = call.request.protocol;
  end.method = kClose;
  end.attributes = call.request.attributes;
  end.peer.instance = call.request.peer.instance;
  Answer(std::move(call));
  while (NextOf(key, line, &call)) Answer(std::move(call));
  bool gone = false;
  {
    absl::MutexLock lock(&mutex_);
    gone = line->gone;
  }
  if (gone && !stopped_.load()) parts_.next->Handle(std::move(end), [](const CallReply&) {});
}

bool Gatekeeper::NextOf(const SessionKey& key, const LinePtr& line, Waiting* call) {
  absl::MutexLock lock(&mutex_);
  if (!line->calls.empty()) {
    *call = std::move(line->calls.front());
    line->calls.pop_front();
    return true;
  }
  const auto known = lines_.find(key);
  if (known != lines_.end() && known->second == line) lines_.erase(known);
  return false;
}

void Gatekeeper::Answer(Waiting call) {
  CallRequest& request = call.request;
  if (stopped_.load()) return call.reply(Refusal(request, Stopping(), absl::Seconds(1)));
  if (IsOfPlugin(request)) return parts_.next->Handle(std::move(request), std::move(call.reply));
  if (IsOfBroker(request)) {
    request.principal = BrokerOf(request);
    return parts_.next->Handle(std::move(request), std::move(call.reply));
  }
  if (request.of_plugin) {
    request.principal = security::NodeItself();
    return parts_.next->Handle(std::move(request), std::move(call.reply));
  }
  absl::Duration retry_after;
  absl::StatusOr<PrincipalPtr> principal = Identify(request.peer, &retry_after);
  PassOn(std::move(request), std::move(principal), retry_after, call.reply);
}

void Gatekeeper::PassOn(CallRequest request, absl::StatusOr<PrincipalPtr> principal,
                        absl::Duration retry_after, const ReplyFn& reply) {
  const bool opens = IsSessionProtocol(request.protocol) && request.method == kOpen;
  if (opens && principal.ok() && *principal == nullptr) {
    principal = absl::UnauthenticatedError("credentials: missing");
  }
  if (!principal.ok()) return reply(Refusal(request, principal.status(), retry_after));
  request.principal = *std::move(principal);
  if (request.principal != nullptr && IsForged(request, *request.principal)) {
    return reply(ErrorReply(403, "origin: a page of another site, or none that says whose"));
  }
  request.peer.credentials.clear();  // Nobody further in has a use for them.
  if (!opens || request.principal->expires == absl::InfiniteFuture()) {
    return parts_.next->Handle(std::move(request), reply);
  }
  const absl::Duration left = request.principal->expires - parts_.clock->Now();
  parts_.next->Handle(std::move(request), [reply, left](CallReply answer) {
    answer.attributes.emplace_back("expires-in-ms", absl::StrCat(absl::ToInt64Milliseconds(left)));
    reply(std::move(answer));
  });
}

PrincipalPtr Gatekeeper::BrokerOf(const CallRequest& request) const {
  for (const BrokerRule& rule : parts_.brokers) {
    if (rule.instance != request.peer.instance) continue;
    auto principal = std::make_shared<security::Principal>();
    principal->kind = security::PrincipalKind::kTool;
    principal->id = rule.instance;
    principal->role = rule.role;
    principal->devices = rule.devices;
    principal->proof = security::Proof::kBroker;
    return principal;
  }
  return nullptr;
}

absl::StatusOr<PrincipalPtr> Gatekeeper::Identify(const Peer& peer, absl::Duration* retry_after) {
  absl::StatusOr<PrincipalPtr> principal = PrincipalPtr();
  if (!peer.credentials.empty()) {
    principal = security::Authenticator::TakesLong(peer) ? CheckPassword(peer, retry_after)
                                                         : Check(peer, retry_after);
    if (!principal.ok()) return principal;
  }
  const absl::Status admitted = Admit(peer, *principal, retry_after);
  if (!admitted.ok()) return admitted;
  return principal;
}

PrincipalPtr Gatekeeper::Recognise(const Peer& peer) const {
  security::Authentication found = parts_.authenticator->Authenticate(peer);
  if (!found.principal.ok()) return nullptr;
  return std::make_shared<security::Principal>(*std::move(found.principal));
}

// The browser goes on showing it, and no script can make it stop: it is nobody, who may sign in.
void Gatekeeper::DropEndedLogin(Peer* peer) const {
  const auto ended = [this](const auto& one) {
    return one.first == kSession && (parts_.logins == nullptr || !parts_.logins->Holds(one.second));
  };
  Attributes& shown = peer->credentials;
  shown.erase(std::remove_if(shown.begin(), shown.end(), ended), shown.end());
}

void Gatekeeper::LogIn(const Peer& peer, std::string name, std::string password,
                       SigningIn::DoneFn done) {
  auto said = std::make_shared<Peer>();
  said->instance = peer.instance;
  said->address = peer.address;
  said->credentials = {{"user", name}, {"password", std::move(password)}};
  // A key as password: it may be revoked, which no login would hear of.
  if (parts_.logins == nullptr || !security::Authenticator::TakesLong(*said)) {
    return done(absl::UnauthenticatedError("credentials: not accepted"), absl::Seconds(1));
  }
  auto shared = std::make_shared<SigningIn::DoneFn>(std::move(done));
  const bool queued = passwords_.Submit([this, said, shared, name = std::move(name)] {
    absl::Duration retry_after = absl::Seconds(1);
    absl::StatusOr<SignedIn> login = CheckLogin(*said, name, &retry_after);
    (*shared)(std::move(login), retry_after);
  });
  if (!queued) (*shared)(stopped_.load() ? Stopping() : TooManyWait(), absl::Seconds(1));
}

absl::StatusOr<SignedIn> Gatekeeper::CheckLogin(const Peer& peer, const std::string& name,
                                                absl::Duration* retry_after) {
  if (stopped_.load()) return Stopping();
  const uint64_t change = parts_.users->ChangeOf(name);  // Before the check, which takes long.
  VD_ASSIGN_OR_RETURN(const PrincipalPtr principal, Identify(peer, retry_after));
  if (principal->role == security::Role::kDevice) {
    return absl::PermissionDeniedError("login: not for devices");
  }
  VD_ASSIGN_OR_RETURN(security::Logins::Login login, parts_.logins->Begin(*principal, change));
  NoteLogin(peer, login.principal, "login");
  return SignedIn{std::make_shared<const security::Principal>(std::move(login.principal)),
                  std::move(login.token)};
}

void Gatekeeper::LogOut(const Peer& peer, const security::Principal& who) {
  if (parts_.logins == nullptr || who.proof != security::Proof::kLogin) return;
  parts_.logins->End(who.proof_id);
  NoteLogin(peer, who, "logout");
}

void Gatekeeper::NoteLogin(const Peer& peer, const security::Principal& who, const char* what) {
  security::AuditRecord record;
  record.who = who.Describe();
  record.what = what;
  record.subject = peer.instance;
  record.from = peer.address;
  record.result = "ok";
  parts_.audit->Append(std::move(record));
}

std::string Gatekeeper::Said(const Peer& peer) const {
  std::string said = salt_;
  for (const auto& [name, value] : peer.credentials) {
    absl::StrAppend(&said, ";", name.size(), ":", name, value.size(), ":", value);
  }
  return said;
}

std::string Gatekeeper::RememberedAs(const Peer& peer) const {
  return absl::StrCat(Said(peer), ";", parts_.users != nullptr ? parts_.users->changes() : 0);
}

PrincipalPtr Gatekeeper::Remembered(const Peer& peer) {
  const auto known = remembered_.Find(RememberedAs(peer), parts_.clock->Now());
  if (!known.has_value()) return nullptr;
  return std::make_shared<security::Principal>(known->principal);
}

absl::StatusOr<PrincipalPtr> Gatekeeper::CheckPassword(const Peer& peer,
                                                       absl::Duration* retry_after) {
  if (PrincipalPtr known = Remembered(peer)) return known;
  const std::string said = RememberedAs(peer);  // Before the check: users may change meanwhile.
  absl::StatusOr<PrincipalPtr> principal = Check(peer, retry_after);
  const absl::Time now = parts_.clock->Now();
  if (principal.ok()) {
    remembered_.Keep(said, {**principal, now - kRemembered, now + kRemembered});
  }
  return principal;
}

absl::StatusOr<PrincipalPtr> Gatekeeper::Check(const Peer& peer, absl::Duration* retry_after) {
  const std::string said = Said(peer);
  const absl::Time now = parts_.clock->Now();
  const auto trusted = trusted_.Find(said, now);
  if (!trusted.has_value() && !IsOwnSocket(peer)) {
    const absl::Status attempt = parts_.limiter->AdmitAttempt(peer.address, retry_after);
    if (!attempt.ok()) {
      parts_.metrics->Increase(too_often_);
      return attempt;
    }
  }
  security::Authentication found = parts_.authenticator->Authenticate(peer);
  if (found.principal.ok()) {
    auto principal = std::make_shared<const security::Principal>(*std::move(found.principal));
    // Not at every request, but before it ends for whoever comes regularly.
    if (!trusted.has_value() || trusted->until - now < kTrusted / 2) {
      trusted_.Keep(said, {*principal, now - kTrusted, now + kTrusted});
    }
    return principal;
  }
  *retry_after = absl::Seconds(1);
  if (absl::IsUnauthenticated(found.principal.status())) {
    trusted_.Forget(said);
    NoteFailure(peer, found.why);
  }
  return found.principal.status();
}

void Gatekeeper::NoteFailure(const Peer& peer, const std::string& why) {
  parts_.metrics->Increase(not_accepted_);
  if (!IsOwnSocket(peer)) parts_.limiter->NoteFailure(peer.address);
  security::AuditRecord record;
  record.who = "nobody";
  record.what = "login";
  record.subject = peer.instance;
  record.from = peer.address;
  record.result = why;
  parts_.audit->Append(std::move(record));
}

absl::Status Gatekeeper::Admit(const Peer& peer, const PrincipalPtr& principal,
                               absl::Duration* retry_after) {
  security::Comer comer;
  std::string identity;
  if (principal == nullptr) {
    comer.address = peer.address;  // Whoever is known is not slowed down by its neighbours.
  } else {
    identity = security::IdentityKey(*principal);
    comer.credential = identity;
    if (principal->role == security::Role::kDevice) comer.device = principal->id;
  }
  const absl::Status admitted = parts_.limiter->Admit(comer, 1, retry_after);
  if (!admitted.ok()) parts_.metrics->Increase(too_often_);
  return admitted;
}

}  // namespace viaduct
