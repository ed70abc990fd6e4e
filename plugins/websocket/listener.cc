#include "plugins/websocket/listener.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/numbers.h"
#include "plugins/common/http_call.h"
#include "plugins/common/plugin_wiring.h"
#include "plugins/websocket/json_scan.h"
#include "plugins/websocket/socketio.h"
#include "plugins/websocket/untaken.h"

namespace viaduct::websocket {
namespace {

using sdk::Status;

constexpr int64_t kStatsIntervalNs = 2'000'000'000;
constexpr size_t kMaxCallBodyBytes = 64u << 20;  // A host takes no more in one call.
constexpr std::string_view kEmitPrefix = "emit:";
constexpr int kSentOnly = 202;
constexpr int kNoSuchPeer = 404;

// The token that a client of Socket.IO may give on connecting; "" without one.
std::string TokenOf(std::string_view auth) {
  constexpr size_t kMaxTokenBytes = 8192;
  std::string token;
  return ReadJsonString(JsonMemberOf(auth, "token"), &token) && token.size() <= kMaxTokenBytes
             ? token
             : "";
}

HttpReply HttpRefusal(sdk::Code code, const HttpRequest& request) {
  if (code == sdk::Code::kResourceExhausted) return Problem(503, "the server is busy");
  if (code != sdk::Code::kInvalidArgument) return Problem(503, "the server is stopping");
  return request.body.size() > kMaxCallBodyBytes
             ? Problem(413, "the body is larger than this server accepts")
             : Problem(431, "the header is larger than this server accepts");
}

}  // namespace

Listener::Listener(const sdk::Host& host, const ServerOptions& options, size_t max_lives)
    : host_(host), options_(options), max_lives_(max_lives), certificate_(host) {
  counted_ = {
      {"events_total", "Events and messages of sessions", &ServerStats::events, {}, 0},
      {"requests_total", "HTTP requests", &ServerStats::requests, {}, 0},
      {"sent_total", "Messages to sessions", &ServerStats::sent, {}, 0},
      {"refused_total",
       "Connections, handshakes and requests refused",
       &ServerStats::refused,
       {},
       0},
      {"refused_of_address_total",
       "Connections and sessions refused because their address has too many",
       &ServerStats::refused_of_address,
       {},
       0},
      {"failed_handshakes_total",
       "TLS handshakes that failed",
       &ServerStats::failed_handshakes,
       {},
       0},
      {"timed_out_handshakes_total",
       "TLS handshakes that took too long",
       &ServerStats::timed_out_handshakes,
       {},
       0},
      {"violations_total",
       "Sessions ended for what the peer sent",
       &ServerStats::violations,
       {},
       0},
      {"slow_readers_total",
       "Peers that were disconnected because they did not read",
       &ServerStats::slow_readers,
       {},
       0},
      {"crowded_out_total",
       "Peers that were disconnected because all together held too much",
       &ServerStats::crowded_out,
       {},
       0},
      {"timed_out_total", "Peers that fell silent", &ServerStats::timed_out, {}, 0},
      {"stray_acks_total",
       "Acknowledgements that nobody had asked for",
       &ServerStats::stray_acks,
       {},
       0},
      {"received_bytes", "Octets received", &ServerStats::bytes_in, {}, 0},
      {"sent_bytes", "Octets sent", &ServerStats::bytes_out, {}, 0},
  };
}

Status Listener::AddMetrics() {
  VIADUCT_RETURN_IF_ERROR(host_.AddGauge("connections_open", "Open connections", &connections_));
  VIADUCT_RETURN_IF_ERROR(host_.AddGauge("sessions_open", "Open sessions", &sessions_));
  for (Counted& counted : counted_) {
    VIADUCT_RETURN_IF_ERROR(host_.AddCounter(counted.name, counted.help, &counted.metric));
  }
  if (options_.tls.enabled()) return certificate_.AddMetrics();
  return {};
}

void Listener::PublishStats() {
  const ServerStats& stats = server_->stats();
  connections_.Set(static_cast<double>(stats.connections));
  sessions_.Set(static_cast<double>(stats.sessions));
  for (Counted& counted : counted_) {
    const uint64_t now = stats.*counted.value;
    counted.metric.Increase(static_cast<double>(now - std::exchange(counted.last, now)));
  }
  if (server_->tls() != nullptr) certificate_.Look(server_->tls());
  server_->Post([this] {
    TellLives();
    EndExpired();
  });
  uint64_t timer = 0;
  // Refused only when stop has begun, and then there is nothing more to say.
  static_cast<void>(
      host_.StartTimer<&Listener::PublishStats>(0, kStatsIntervalNs, this, &timer).ok());
}

Status Listener::Start() {
  server_ = std::make_unique<Server>(options_, this);
  const absl::Status status = server_->Start();
  if (!status.ok()) server_.reset();
  if (!status.ok()) return SdkStatus(status);
  host_.Info("listening", {sdk::Attr("port", std::to_string(server_->port()))});
  host_.SetHealth(sdk::Health::kHealthy);
  PublishStats();
  return {};
}

bool Listener::Drain(absl::Duration timeout) {
  server_->Drain();
  // After it, on the server's thread: from then on no session begins.
  server_->Post([this] {
    draining_ = true;
    NoteSessionsOver();
  });
  absl::MutexLock lock(&mutex_);
  const auto quiet = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return sessions_over_ && asked_.empty() && answered_.empty();
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&quiet), timeout);
}

// A session lasts until its peer has its answers, or has them under way.
void Listener::NoteSessionsOver() {
  if (!draining_ || server_->stats().sessions > 0) return;
  absl::MutexLock lock(&mutex_);
  sessions_over_ = true;
}

void Listener::Stop() {
  if (server_ != nullptr) server_->Stop();
  server_.reset();
}

// ---- calls

// `call->token` is set here. An error: the host has not taken it.
Status Listener::Ask(Asked asked, vd_call* call) {
  {
    absl::MutexLock lock(&mutex_);
    call->token = ++last_token_;
    asked_.emplace(call->token, std::move(asked));
  }
  Status status = host_.Call(*call);
  if (!status.ok()) Forget(call->token);
  return status;
}

void Listener::Forget(uint64_t token) {
  absl::MutexLock lock(&mutex_);
  asked_.erase(token);
}

void Listener::OnHttp(uint64_t ticket, HttpRequest request) {
  const CallFields fields = FieldsOf(request);
  vd_call call = sdk::Record<vd_call>();
  call.protocol = sdk::Str("http");
  call.method = sdk::Str(request.method);
  call.path = sdk::Str(request.path);
  call.query = sdk::Str(request.query);
  call.body = sdk::Octets(request.body);
  call.peer = sdk::Str(request.peer);
  call.deadline_ns = host_.MonotonicNs() + absl::ToInt64Nanoseconds(options_.answer_timeout);
  call.attributes = fields.attributes.data();
  call.attribute_count = fields.attributes.size();
  call.credentials = fields.credentials.data();
  call.credential_count = fields.credentials.size();
  Asked asked;
  asked.kind = Asked::Kind::kHttp;
  asked.ticket = ticket;
  const Status status = Ask(std::move(asked), &call);
  if (!status.ok()) server_->AnswerHttp(ticket, HttpRefusal(status.code(), request));
}

// The call goes on; its answer finds nobody.
void Listener::OnHttpGone(uint64_t) {}

// Borrowed from the session and from tokens_.
std::vector<vd_attr> Listener::CredentialsOf(const Session& session) const {
  std::vector<vd_attr> credentials = FieldsOf(session.credentials()).credentials;
  const auto token = tokens_.find(session.id());
  if (token != tokens_.end()) credentials.push_back(sdk::Attr("bearer", token->second));
  return credentials;
}

void Listener::AskSession(Session& session, Asked asked, std::string_view method,
                          std::string_view path, std::string_view body) {
  const std::vector<vd_attr> credentials = CredentialsOf(session);
  const vd_attr attributes[] = {sdk::Attr("session", session.sid()),
                                sdk::Attr("path", session.path()),
                                sdk::Attr("namespace", asked.nsp)};
  vd_call call = sdk::Record<vd_call>();
  const bool is_event = asked.kind == Asked::Kind::kEvent;
  call.protocol = sdk::Str(is_event ? "socketio" : "websocket");
  call.method = sdk::Str(method);
  call.path = sdk::Str(path);
  call.body = sdk::Octets(body);
  call.peer = sdk::Str(session.peer().name);
  call.attributes = attributes;
  call.attribute_count = std::size(attributes);
  call.credentials = credentials.data();
  call.credential_count = credentials.size();
  const Asked copy = asked;
  // The host knows of a session before it hears of what that says.
  TellLives();
  const Status status =
      lives_.empty() ? Ask(std::move(asked), &call) : sdk::ResourceExhausted("call: OPEN waits");
  if (status.ok()) return;
  // Only its size is ever wrong with a call.
  const bool large = status.code() == sdk::Code::kInvalidArgument;
  const Untaken why = large ? Untaken::kTooLarge : Untaken::kBusy;
  Answer answer;
  answer.body = is_event ? UntakenAck(why, path, body) : UntakenAnswer(why, body);
  if (is_event) answer.events = UntakenEvents(why, path);
  // Not on this stack, which is the session's.
  ApplyLater(copy, std::move(answer));
}

// Answers come in groups: one call of the server's thread for all that are there when it comes.
void Listener::ApplyLater(Asked asked, Answer answer) {
  {
    absl::MutexLock lock(&mutex_);
    answered_.push_back({std::move(asked), std::move(answer)});
    if (answered_.size() > 1) return;
  }
  server_->Post([this] { ApplyAll(); });
}

void Listener::ApplyAll() {
  std::vector<Answered> answered;
  {
    absl::MutexLock lock(&mutex_);
    answered.swap(answered_);
  }
  for (const Answered& one : answered) Apply(one.asked, one.answer);
}

void Listener::OnReply(const vd_reply& reply) {
  Asked asked;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = asked_.find(reply.token);
    if (found == asked_.end()) return;
    asked = std::move(found->second);
    asked_.erase(found);
  }
  if (asked.kind == Asked::Kind::kNothing) return;
  if (asked.kind == Asked::Kind::kHttp) {
    return server_->AnswerHttp(asked.ticket, HttpReplyOf(reply));
  }
  Answer answer;
  answer.body = std::string(sdk::Text(reply.body));
  for (uint64_t i = 0; i < reply.attribute_count; ++i) {
    const std::string_view name = sdk::Text(reply.attributes[i].name);
    const std::string_view value = sdk::Text(reply.attributes[i].value);
    if (name == "join-room") answer.rooms.emplace_back(value);
    if (name == "close") answer.close = std::string(value);
    int64_t left_ms = 0;
    if (name == "expires-in-ms" &&
        absl::SimpleAtoi(absl::string_view(value.data(), value.size()), &left_ms)) {
      answer.expires = absl::Milliseconds(left_ms);
    }
    if (name == "event") answer.events.emplace(answer.events.begin(), value, answer.body);
    if (name.substr(0, kEmitPrefix.size()) == kEmitPrefix) {
      answer.events.emplace_back(name.substr(kEmitPrefix.size()), value);
    }
  }
  ApplyLater(std::move(asked), std::move(answer));
}

void Listener::Apply(const Asked& asked, const Answer& answer) {
  Session* const found = server_->Find(asked.session);
  if (found == nullptr) return;
  const SessionPtr session = found->shared_from_this();
  for (const std::string& room : answer.rooms) server_->Join(*session, room);
  const bool plain = session->socketio() == nullptr;
  if (plain) {
    if (!answer.body.empty()) session->SendMessage(false, answer.body);
  } else {
    for (const auto& [name, body] : answer.events) {
      session->socketio()->Emit(asked.nsp, name, body, {});
    }
    if (asked.wants_ack) session->socketio()->Ack(asked.nsp, asked.ack_id, answer.body, {});
  }
  if (answer.expires < absl::InfiniteDuration()) {
    expire_ns_[session->id()] = host_.MonotonicNs() + absl::ToInt64Nanoseconds(std::max(
                                                          answer.expires, absl::ZeroDuration()));
  }
  if (session->open() && asked.kind != Asked::Kind::kOpen) session->EventDone(asked.bytes);
  if (session->open() && !answer.close.empty()) session->Close(kClosePolicy, answer.close);
}

// ---- sessions

void Listener::OnConnect(Session& session, std::string_view nsp, std::string_view auth) {
  if (lives_.size() >= max_lives_) return session.Close(kCloseTryAgainLater, "the server is busy");
  std::string token = TokenOf(auth);
  if (!token.empty()) tokens_[session.id()] = std::move(token);
  // Once, however many namespaces it enters, and comes back to.
  if (!opened_.insert(session.id()).second) return;
  lives_.push_back({true, session.id(), std::string(nsp), session.sid(),
                    nsp.empty() ? "websocket" : "socketio", session.path(), session.peer().name});
  TellLives();
}

void Listener::OnClose(Session& session) {
  tokens_.erase(session.id());
  expire_ns_.erase(session.id());
  for (auto it = calls_.begin(); it != calls_.end();) {
    it = it->second == session.id() ? calls_.erase(it) : std::next(it);
  }
  if (opened_.erase(session.id()) == 0) return NoteSessionsOver();
  const bool socketio = session.socketio() != nullptr;
  lives_.push_back({false, 0, "", session.sid(), socketio ? "socketio" : "websocket",
                    session.path(), session.peer().name});
  TellLives();
  NoteSessionsOver();
}

// In order; what the host has no room for now is told later. While stop is under way it forgets all
// sessions by itself.
void Listener::TellLives() {
  while (!lives_.empty()) {
    const Life& life = lives_.front();
    const vd_attr attributes[] = {sdk::Attr("session", life.sid), sdk::Attr("path", life.path)};
    vd_call call = sdk::Record<vd_call>();
    call.protocol = sdk::Str(life.protocol);
    call.method = sdk::Str(life.opens ? "OPEN" : "CLOSE");
    call.peer = sdk::Str(life.peer);
    call.attributes = attributes;
    call.attribute_count = std::size(attributes);
    Asked asked;
    // Whoever has gone meanwhile has shown nothing.
    const Session* const session = life.opens ? server_->Find(life.session) : nullptr;
    std::vector<vd_attr> credentials;
    if (session != nullptr) {
      asked.kind = Asked::Kind::kOpen;
      asked.session = life.session;
      asked.nsp = life.nsp;
      credentials = CredentialsOf(*session);
    }
    call.credentials = credentials.data();
    call.credential_count = credentials.size();
    const Status status = Ask(std::move(asked), &call);
    if (status.code() == sdk::Code::kResourceExhausted) return;
    lives_.pop_front();
  }
}

// What showed who they are does not hold any longer: they get no more of what is published.
void Listener::EndExpired() {
  const int64_t now = host_.MonotonicNs();
  std::vector<uint64_t> over;
  for (const auto& [session, at_ns] : expire_ns_) {
    if (at_ns <= now) over.push_back(session);
  }
  for (const uint64_t id : over) {
    expire_ns_.erase(id);
    Session* const session = server_->Find(id);
    if (session != nullptr) session->Close(kClosePolicy, "credentials: expired");
  }
}

void Listener::OnEvent(Session& session, const SessionEvent& event) {
  Asked asked;
  asked.kind = Asked::Kind::kEvent;
  asked.session = session.id();
  asked.nsp = std::string(event.nsp);
  asked.wants_ack = event.wants_ack;
  asked.ack_id = event.ack_id;
  asked.bytes = event.bytes;
  std::string whole;
  if (!event.attachments.empty() &&
      !InlineAttachments(event.first, event.attachments, options_.max_payload_bytes, &whole)) {
    return session.Violation("the attachments are not those of the event");
  }
  AskSession(session, std::move(asked), "EVENT", event.name,
             event.attachments.empty() ? event.first : whole);
}

void Listener::OnMessage(Session& session, bool, std::string_view payload) {
  Asked asked;
  asked.kind = Asked::Kind::kMessage;
  asked.session = session.id();
  asked.bytes = payload.size();
  AskSession(session, std::move(asked), "MESSAGE", "", payload);
}

// ---- from the host

uint32_t Listener::Credit() const {
  return kMaxPublishing - std::min(kMaxPublishing, publishing_.load());
}

void Listener::Deliver(const sdk::MessageList& batch, size_t* taken) {
  struct Event {
    uint64_t token;
    std::string route, name, body;
  };
  std::vector<Event> events;
  for (const vd_message& message : batch) {
    if (events.size() >= Credit()) break;
    const bool is_event = message.data_type == VD_DATA_NONE;
    events.push_back({message.token, std::string(sdk::Text(message.route)),
                      std::string(is_event ? sdk::Text(message.event) : "envelope"),
                      std::string(sdk::Text(is_event ? message.payload : message.envelope))});
  }
  *taken = events.size();
  publishing_ += static_cast<uint32_t>(events.size());
  server_->Post([this, events = std::move(events)] {
    std::vector<vd_completion> completions;
    completions.reserve(events.size());
    for (const Event& event : events) {
      server_->Publish(event.route, event.name, event.body);
      completions.push_back(sdk::Durable(event.token));
    }
    publishing_ -= static_cast<uint32_t>(events.size());
    host_.Complete(completions);
  });
}

Status Listener::OnCall(const vd_call& call) {
  const std::string_view sid = sdk::FindAttr(call.attributes, call.attribute_count, "session");
  if (sid.empty()) return sdk::NotFound("call: names no session");
  server_->Post([this, token = call.token, sid = std::string(sid),
                 event = std::string(sdk::Text(call.path)),
                 body = std::string(sdk::Text(call.body))] {
    Session* const session = server_->FindBySid(sid);
    if (session != nullptr &&
        server_->Ask(session->id(), event, body.empty() ? "null" : body, token)) {
      calls_[token] = session->id();
      return;
    }
    // A plain WebSocket has no acknowledgements: the answer is a message like any other.
    const bool plain = session != nullptr && session->kind() == Session::Kind::kRaw;
    if (plain) session->SendMessage(false, body);
    vd_reply reply = sdk::Record<vd_reply>();
    reply.token = token;
    reply.status = plain ? kSentOnly : kNoSuchPeer;
    host_.Reply(reply);
  });
  return {};
}

void Listener::OnCallCancel(uint64_t token) {
  server_->Post([this, token] { calls_.erase(token); });
}

void Listener::OnAck(Session& session, uint64_t id, std::string_view answer) {
  const auto found = calls_.find(id);
  if (found == calls_.end() || found->second != session.id()) {
    server_->CountStrayAck();
    return;
  }
  calls_.erase(found);
  vd_reply reply = sdk::Record<vd_reply>();
  reply.token = id;
  reply.status = 200;
  reply.body = sdk::Octets(answer);
  host_.Reply(reply);
}

}  // namespace viaduct::websocket
