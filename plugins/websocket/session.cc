#include "plugins/websocket/session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugins/common/http_call.h"
#include "plugins/websocket/engine_http.h"
#include "plugins/websocket/socketio.h"

namespace viaduct::websocket {
namespace {

constexpr size_t kMaxPackets = 10'000;  // Of one body.
constexpr std::string_view kClosePacket = "1";
constexpr std::string_view kNoopPacket = "6";

HttpReply TextReply(int status, std::string body) {
  HttpReply reply;
  reply.status = status;
  reply.headers = {{"content-type", "text/plain; charset=UTF-8"}, {"cache-control", "no-store"}};
  reply.body = std::move(body);
  return reply;
}

HttpRequest CredentialsOf(const HttpRequest& request) {
  HttpRequest kept;
  kept.certificate = request.certificate;
  for (const auto& field : request.headers) {
    if (field.first == "authorization" || field.first == "x-api-key") kept.headers.push_back(field);
  }
  if (!kept.headers.empty()) return kept;
  for (const auto& field : request.headers) {
    if (field.first != "cookie") continue;
    const std::string cookie = NamedSessionCookie(field.second);  // Not those of others.
    if (!cookie.empty()) kept.headers.emplace_back("cookie", cookie);
  }
  // Browsers let no script set header fields of a WebSocket. Keys and tokens need no escapes.
  const std::string token = EngineParameter(request.query, "token");
  const std::string key = EngineParameter(request.query, "api_key");
  if (!token.empty()) kept.headers.emplace_back("authorization", absl::StrCat("Bearer ", token));
  if (!key.empty()) kept.headers.emplace_back("x-api-key", key);
  return kept;
}

}  // namespace

// Ends a probe that leads to nothing; becomes the transport with the packet "upgrade".
class Session::Probe final : public Receiver {
 public:
  Probe(Session* session, ConnectionPtr connection)
      : session_(session), connection_(std::move(connection)) {}
  ~Probe() { Drop(); }

  bool Begin() { return connection_->AcceptWebSocket(this); }
  bool answered() const { return answered_; }
  // True once it has lasted from one ping to the next: it leads to nothing.
  bool Lasts() { return std::exchange(lasted_, true); }
  void Drop() {
    if (const ConnectionPtr connection = std::exchange(connection_, nullptr)) {
      connection->SetReceiver(nullptr);
      connection->CloseWebSocket(kCloseNormal, "");
    }
  }

  void OnMessage(bool binary, std::string payload) override {
    const SessionPtr session = session_->shared_from_this();
    if (!binary && payload == "2probe") {
      answered_ = true;
      connection_->SendMessage(false, "3probe");
      // The poll that waits ends, so that the peer can let go of that transport.
      session->AnswerPoll(std::string(kNoopPacket));
      return;
    }
    if (!binary && payload == "5" && answered_) {
      return session->Upgraded(std::exchange(connection_, nullptr));
    }
    ++session->owner_->stats().violations;
    session->probe_.reset();
  }
  void OnGone(Connection*) override {
    const SessionPtr session = session_->shared_from_this();
    connection_.reset();
    session->probe_.reset();
  }

 private:
  Session* const session_;
  ConnectionPtr connection_;
  bool answered_ = false;
  bool lasted_ = false;
};

Session::Session(SessionOwner* owner, Kind kind, uint64_t id, std::string sid,
                 const PeerNames& peer, std::string path, const HttpRequest& request)
    : owner_(owner),
      kind_(kind),
      id_(id),
      sid_(std::move(sid)),
      peer_(peer),
      path_(std::move(path)),
      credentials_(CredentialsOf(request)) {
  if (kind_ == Kind::kEngine && owner_->options().socketio) {
    socketio_ = std::make_unique<SocketIo>(this, owner_);
  }
}

Session::~Session() {
  owner_->deadlines().Clear(this);
  owner_->budget().Set(this, 0);
}

std::string Session::OpenPacket(bool may_upgrade) const {
  const ServerOptions& options = owner_->options();
  return absl::StrCat("0{\"sid\":\"", sid_, "\",\"upgrades\":[", may_upgrade ? "\"websocket\"" : "",
                      "],\"pingInterval\":", absl::ToInt64Milliseconds(options.ping_interval),
                      ",\"pingTimeout\":", absl::ToInt64Milliseconds(options.ping_timeout),
                      ",\"maxPayload\":", options.max_payload_bytes, "}");
}

void Session::AwaitPing() {
  pinged_ = false;
  owner_->deadlines().Set(this, absl::ToChronoNanoseconds(owner_->options().ping_interval));
}

void Session::OpenPolling(const ConnectionPtr& connection) {
  connection->Answer(TextReply(200, OpenPacket(true)));
  if (closed_) return;
  AwaitPing();
  if (socketio_ != nullptr) {
    socketio_->Start();
  } else {
    owner_->OnSessionConnect(this, "", "");
  }
}

bool Session::OpenWebSocket(const ConnectionPtr& connection) {
  websocket_ = connection;
  if (!connection->AcceptWebSocket(this)) {
    websocket_.reset();
    return false;
  }
  if (kind_ == Kind::kEngine) connection->SendMessage(false, OpenPacket(false));
  if (closed_) return true;
  AwaitPing();
  if (socketio_ != nullptr) {
    socketio_->Start();
  } else {
    owner_->OnSessionConnect(this, "", "");
  }
  return true;
}

// ---- long-polling

void Session::OnPoll(const ConnectionPtr& connection) {
  if (websocket_ != nullptr) return connection->Answer(BadRequest());
  if (poll_ != nullptr) {
    ++owner_->stats().violations;
    connection->Answer(BadRequest());
    return Close(kCloseProtocolError, "two polls at once");
  }
  poll_ = connection;
  connection->SetReceiver(this);
  if (probe_ != nullptr && probe_->answered() && queue_.empty()) {
    return AnswerPoll(std::string(kNoopPacket));
  }
  const SessionPtr self = shared_from_this();
  AnswerPoll();
  EndIfDrained();
}

void Session::AnswerPoll() {
  if (poll_ == nullptr || queue_.empty()) return;
  std::string body;
  for (const EnginePacket& packet : TakeQueue()) AppendEnginePacket(packet, &body);
  AnswerPoll(std::move(body));
  EndIfDrained();
}

void Session::AnswerPoll(std::string body) {
  if (const ConnectionPtr poll = std::exchange(poll_, nullptr)) {
    poll->Answer(TextReply(200, std::move(body)));
  }
}

void Session::OnPost(const ConnectionPtr& connection, std::string_view body) {
  std::vector<EnginePacket> packets;
  if (websocket_ != nullptr || post_ != nullptr) return connection->Answer(BadRequest());
  // Nothing is taken any more. A peer whose POST fails gives its session up, and with it the
  // answers that it has not fetched: it is told with the end of the session.
  if (draining_) {
    untaken_ = true;
    post_ = connection;
    return connection->SetReceiver(this);
  }
  if (!ReadEnginePayload(body, kMaxPackets, &packets)) {
    ++owner_->stats().violations;
    connection->Answer(BadRequest());
    return Close(kCloseProtocolError, "not a payload");
  }
  const SessionPtr self = shared_from_this();
  for (EnginePacket& packet : packets) {
    if (closed_) break;
    packet.binary ? HandleBinary(std::move(packet.data)) : Handle(packet.type, packet.data);
  }
  if (!closed_ && Busy()) {
    post_ = connection;
    connection->SetReceiver(this);
    return;
  }
  connection->Answer(TextReply(200, "ok"));
}

// ---- the upgrade

void Session::OnUpgrade(const ConnectionPtr& connection) {
  if (websocket_ != nullptr || probe_ != nullptr || kind_ == Kind::kRaw) {
    ++owner_->stats().refused;
    return connection->Answer(BadRequest());
  }
  probe_ = std::make_unique<Probe>(this, connection);
  if (!probe_->Begin()) probe_.reset();
}

void Session::Upgraded(const ConnectionPtr& connection) {
  websocket_ = connection;
  connection->SetReceiver(this);
  probe_.reset();
  AnswerPoll(std::string(kNoopPacket));
  for (EnginePacket& packet : TakeQueue()) Send(std::move(packet));
  Settle();
  if (Busy() || draining_) connection->Pause();
  EndIfDrained();
}

// ---- what comes

void Session::OnMessage(bool binary, std::string payload) {
  const SessionPtr self = shared_from_this();
  if (binary) return HandleBinary(std::move(payload));
  if (kind_ == Kind::kRaw) return HandleText(payload);
  if (!IsEnginePacket(payload)) return Violation("not a packet");
  Handle(static_cast<EngineType>(payload.front()), std::string_view(payload).substr(1));
}

void Session::Handle(EngineType type, std::string_view text) {
  switch (type) {
    case EngineType::kMessage:
      return HandleText(text);
    case EngineType::kPong:
      if (pinged_) AwaitPing();
      return;
    case EngineType::kClose:
      AnswerPoll(std::string(kNoopPacket));
      return Close(kCloseNormal, "");
    case EngineType::kNoop:
      return;
    default:
      return Violation("not a packet that a client sends");
  }
}

void Session::HandleText(std::string_view text) {
  ++pending_events_;
  Hold(text.size());
  if (socketio_ != nullptr) return socketio_->TakeText(text);
  ++owner_->stats().events;
  owner_->OnSessionMessage(this, false, text);
}

void Session::HandleBinary(std::string data) {
  ++pending_events_;
  Hold(data.size());
  if (socketio_ != nullptr) return socketio_->TakeBinary(std::move(data));
  ++owner_->stats().events;
  owner_->OnSessionMessage(this, true, data);
}

void Session::Hold(size_t bytes) {
  pending_bytes_ += bytes;
  if (Busy() && websocket_ != nullptr) websocket_->Pause();
}

bool Session::Busy() const {
  return pending_events_ >= owner_->options().max_pending_events ||
         pending_bytes_ >= owner_->options().max_unsent_bytes;
}

void Session::EventDone(size_t bytes) {
  const SessionPtr self = shared_from_this();
  if (pending_events_ > 0) --pending_events_;
  pending_bytes_ -= std::min(pending_bytes_, bytes);
  owes_ = owes_ || !queue_.empty();
  if (draining_) return EndIfDrained();
  if (Busy()) return;
  if (websocket_ != nullptr) websocket_->Resume();
  if (const ConnectionPtr post = std::exchange(post_, nullptr)) {
    post->Answer(TextReply(200, "ok"));
  }
}

// Nothing more is taken; the peer hears of what was.
void Session::Drain() {
  if (closed_ || std::exchange(draining_, true)) return;
  const SessionPtr self = shared_from_this();
  if (websocket_ != nullptr) websocket_->Pause();
  EndIfDrained();
}

void Session::EndIfDrained() {
  if (!draining_ || pending_events_ > 0 || owes_) return;
  // The answers have arrived when the peer polls again.
  if (untaken_ && poll_ == nullptr) return;
  const ConnectionPtr taken = untaken_ ? nullptr : std::exchange(post_, nullptr);
  if (taken != nullptr) taken->Answer(TextReply(200, "ok"));
  Close(kCloseGoingAway, "the node is stopping");
}

// ---- what goes

void Session::Send(EnginePacket packet) {
  if (closed_) return;
  if (websocket_ != nullptr) {
    if (packet.binary) return websocket_->SendMessage(true, packet.data);
    packet.data.insert(packet.data.begin(), static_cast<char>(packet.type));
    return websocket_->SendMessage(false, packet.data);
  }
  if (!Queue(std::move(packet))) {
    ++owner_->stats().slow_readers;
    return Close(kClosePolicy, "the peer does not read");
  }
  ++owner_->stats().sent;
  AnswerPoll();
}

// Until the next poll. False: too much waits for it already.
bool Session::Queue(EnginePacket packet) {
  const bool first = queue_.empty();
  queued_bytes_ += packet.data.size();
  queue_.push_back(std::move(packet));
  Settle();
  return first || queued_bytes_ <= owner_->options().max_unsent_bytes;
}

std::deque<EnginePacket> Session::TakeQueue() {
  std::deque<EnginePacket> queue = std::exchange(queue_, {});
  queued_bytes_ = 0;
  owes_ = false;
  Settle();
  return queue;
}

// A WebSocket answers for its session, so that it counts as one.
void Session::Settle() {
  const size_t kept = queued_bytes_ + (socketio_ == nullptr ? 0 : socketio_->partial_bytes());
  owner_->budget().Set(this, websocket_ == nullptr ? kept : 0);
  if (websocket_ != nullptr) websocket_->HoldBeside(kept);
}

void Session::GiveWay() {
  ++owner_->stats().crowded_out;
  Close(kCloseTryAgainLater, "too much at once");
}

void Session::SendPacket(std::string_view packet) {
  if (websocket_ != nullptr) return websocket_->SendMessage(false, packet);
  Send(EnginePacket{static_cast<EngineType>(packet.front()), false, std::string(packet.substr(1))});
}

void Session::SendMessage(bool binary, std::string_view payload) {
  if (kind_ == Kind::kRaw) {
    if (websocket_ != nullptr) websocket_->SendMessage(binary, payload);
    return;
  }
  Send(EnginePacket{EngineType::kMessage, binary, std::string(payload)});
}

void Session::SendShared(const std::string& frame, std::string_view payload) {
  if (websocket_ == nullptr) return SendMessage(false, payload.substr(1));
  websocket_->SendFrame(frame, false, payload);
}

// ---- time and end

// The pong may be behind data that is still coming, or that waits to be read.
bool Session::MayHavePonged() {
  if (websocket_ == nullptr) return post_ != nullptr;
  return websocket_->paused() || websocket_->TakeHeard();
}

void Session::OnDeadline() {
  const SessionPtr self = shared_from_this();
  if (kind_ == Kind::kRaw && pinged_ && websocket_->ponged()) return AwaitPing();
  if (pinged_ && MayHavePonged()) {
    return owner_->deadlines().Set(this, absl::ToChronoNanoseconds(owner_->options().ping_timeout));
  }
  if (pinged_) {
    ++owner_->stats().timed_out;
    return Close(kCloseGoingAway, "ping timeout");
  }
  pinged_ = true;
  if (websocket_ != nullptr) websocket_->TakeHeard();
  if (probe_ != nullptr && probe_->Lasts()) probe_.reset();
  owner_->deadlines().Set(this, absl::ToChronoNanoseconds(owner_->options().ping_timeout));
  if (kind_ == Kind::kRaw) return websocket_->SendPing();
  Send(EnginePacket{EngineType::kPing, false, ""});
}

void Session::OnGone(Connection* connection) {
  const SessionPtr self = shared_from_this();
  if (post_.get() == connection) {
    post_.reset();
    untaken_ = false;
    return EndIfDrained();
  }
  if (poll_.get() == connection) {
    // A poll that is given up takes nothing with it: nothing had been sent on it. Its peer is gone,
    // or will ask again before the next ping is due.
    poll_.reset();
    return;
  }
  if (websocket_.get() == connection) End();
}

void Session::Violation(const std::string& why) {
  ++owner_->stats().violations;
  Close(kCloseProtocolError, why);
}

void Session::Close(uint16_t code, std::string_view reason) {
  if (closed_) return;
  const SessionPtr self = shared_from_this();
  AnswerPoll(std::string(kClosePacket));
  if (websocket_ != nullptr) websocket_->CloseWebSocket(code, reason);  // Calls OnGone.
  End();
}

void Session::End() {
  if (std::exchange(closed_, true)) return;
  owner_->deadlines().Clear(this);
  if (socketio_ != nullptr) socketio_->Stop();
  probe_.reset();
  if (const ConnectionPtr post = std::exchange(post_, nullptr)) {
    post->Answer(untaken_ ? Problem(503, "the server is stopping") : BadRequest());
  }
  if (const ConnectionPtr poll = std::exchange(poll_, nullptr)) {
    poll->Answer(TextReply(200, std::string(kClosePacket)));
  }
  if (websocket_ != nullptr) websocket_->SetReceiver(nullptr);
  websocket_.reset();
  TakeQueue();  // And holds nothing any more.
  owner_->OnSessionClosed(this);
}

}  // namespace viaduct::websocket
