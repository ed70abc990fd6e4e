#include "core/lpr/gatekeeper.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/replies.h"
#include "core/lpr/session_reply.h"
#include "core/security/secret_octets.h"

namespace viaduct {
namespace {

constexpr std::string_view kByTopic = "PUBLISH";  // Method of what comes through a broker.

// Methods that the plugin of a listener or road makes up itself; their peers have no part in them.
bool IsOfPlugin(const CallRequest& request) {
  if (request.protocol == "http") return false;
  return request.method == "CLOSE" || request.method == "COMMAND" || request.method == "UP";
}

// In the words of the protocol, as everybody further in answers.
CallReply Refusal(const CallRequest& request, const absl::Status& why, absl::Duration retry_after) {
  const bool often = absl::IsResourceExhausted(why);
  CallReply reply;
  if (!IsSessionProtocol(request.protocol)) {
    reply = StatusReply(why, retry_after);
  } else if (request.method == "MESSAGE") {
    JsonWriter json;
    json.BeginObject().Field("status", "error").Field("message", StdView(why.message()));
    json.EndObject();
    reply = JsonReply(401, json.Take());
  } else {
    const std::string body = MessageBody(StdView(why.message()));
    reply = EventReply("error", body, 401);
    AlsoEmit("lpr_event_error", body, &reply);
  }
  if (!often) return reply;
  reply.status = 429;
  const auto known = [](const auto& one) { return one.first == "retry-after"; };
  reply.attributes.erase(std::remove_if(reply.attributes.begin(), reply.attributes.end(), known),
                         reply.attributes.end());
  AddRetryAfter(retry_after, &reply);
  return reply;
}

MetricNumber AddRefusals(Metrics* metrics, const char* reason) {
  MetricSpec spec;
  spec.name = "viaduct_auth_refusals_total";
  spec.help = "Calls that were turned away before anybody looked at what they want.";
  spec.labels = {{"reason", reason}};
  return metrics->Add(spec).value_or(0);
}

}  // namespace

Gatekeeper::Gatekeeper(Parts parts)
    : parts_(std::move(parts)),
      not_accepted_(AddRefusals(parts_.metrics, "credentials")),
      too_often_(AddRefusals(parts_.metrics, "rate")),
      salt_(security::RandomOctets(security::kSecretBytes).value_or("")),
      passwords_(ThreadPool::Options{"passwords", kPasswordThreads, kMaxWaitingPasswords}) {}

void Gatekeeper::OnListenerGone(std::string_view instance) {
  parts_.next->OnListenerGone(instance);
}

void Gatekeeper::Handle(CallRequest request, ReplyFn reply) {
  if (IsOfPlugin(request)) return parts_.next->Handle(std::move(request), std::move(reply));
  if (request.method == kByTopic && request.protocol != "http") {
    request.principal = BrokerOf(request);
    return parts_.next->Handle(std::move(request), std::move(reply));
  }
  absl::Duration retry_after;
  if (!security::Authenticator::TakesLong(request.peer)) {
    absl::StatusOr<PrincipalPtr> principal = Identify(request.peer, &retry_after);
    return PassOn(std::move(request), std::move(principal), retry_after, reply);
  }
  auto call = std::make_shared<CallRequest>(std::move(request));
  const bool queued = passwords_.Submit([this, call, reply] {
    absl::Duration wait;
    absl::StatusOr<PrincipalPtr> principal = Identify(call->peer, &wait);
    PassOn(std::move(*call), std::move(principal), wait, reply);
  });
  if (queued) return;
  reply(Refusal(*call, absl::ResourceExhaustedError("credentials: too many wait to be checked"),
                absl::Seconds(1)));
}

void Gatekeeper::PassOn(CallRequest request, absl::StatusOr<PrincipalPtr> principal,
                        absl::Duration retry_after, const ReplyFn& reply) {
  if (!principal.ok()) return reply(Refusal(request, principal.status(), retry_after));
  request.principal = *std::move(principal);
  request.peer.credentials.clear();  // Nobody further in has a use for them.
  parts_.next->Handle(std::move(request), reply);
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

absl::StatusOr<PrincipalPtr> Gatekeeper::CheckPassword(const Peer& peer,
                                                       absl::Duration* retry_after) {
  const uint64_t changes = parts_.users != nullptr ? parts_.users->changes() : 0;
  std::string said = absl::StrCat(salt_, changes, ";");
  for (const auto& [name, value] : peer.credentials) {
    absl::StrAppend(&said, name.size(), ":", name, value.size(), ":", value);
  }
  const absl::Time now = parts_.clock->Now();
  if (const auto known = remembered_.Find(said, now)) {
    return std::make_shared<security::Principal>(known->principal);
  }
  absl::StatusOr<PrincipalPtr> principal = Check(peer, retry_after);
  if (principal.ok()) {
    remembered_.Keep(said, {**principal, now - kRemembered, now + kRemembered});
  }
  return principal;
}

absl::StatusOr<PrincipalPtr> Gatekeeper::Check(const Peer& peer, absl::Duration* retry_after) {
  const absl::Status attempt = parts_.limiter->AdmitAttempt(peer.address, retry_after);
  if (!attempt.ok()) {
    parts_.metrics->Increase(too_often_);
    return attempt;
  }
  security::Authentication found = parts_.authenticator->Authenticate(peer);
  if (found.principal.ok()) {
    return std::make_shared<security::Principal>(*std::move(found.principal));
  }
  *retry_after = absl::Seconds(1);
  if (!absl::IsUnauthenticated(found.principal.status())) return found.principal.status();
  parts_.metrics->Increase(not_accepted_);
  parts_.limiter->NoteFailure(peer.address);
  security::AuditRecord record;
  record.who = "nobody";
  record.what = "login";
  record.subject = peer.instance;
  record.from = peer.address;
  record.result = found.why;
  parts_.audit->Append(std::move(record));
  return found.principal.status();
}

absl::Status Gatekeeper::Admit(const Peer& peer, const PrincipalPtr& principal,
                               absl::Duration* retry_after) {
  security::Comer comer;
  comer.address = peer.address;
  if (principal != nullptr) {
    comer.credential = principal->proof_id;
    if (principal->role == security::Role::kDevice) comer.device = principal->id;
  }
  const absl::Status admitted = parts_.limiter->Admit(comer, 1, retry_after);
  if (!admitted.ok()) parts_.metrics->Increase(too_often_);
  return admitted;
}

}  // namespace viaduct
