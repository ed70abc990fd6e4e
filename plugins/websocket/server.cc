#include "plugins/websocket/server.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <optional>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "plugins/common/descriptors.h"
#include "plugins/common/http_engine.h"
#include "plugins/websocket/engine_http.h"
#include "plugins/websocket/session_id.h"
#include "plugins/websocket/socketio.h"
#include "plugins/websocket/tls.h"

namespace viaduct::websocket {
namespace {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using Error = boost::system::error_code;

constexpr int kBacklog = 1024;
constexpr size_t kReadBytes = 64u << 10;
constexpr std::chrono::milliseconds kAcceptPause(100);  // When there are no descriptors left.
constexpr std::chrono::milliseconds kGoodbye(300);      // For what is still to be sent at the end.

absl::string_view View(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

}  // namespace

class Server::Impl final : public ConnectionOwner, public SessionOwner, public Timed {
 public:
  Impl(ServerOptions options, ServerHandler* handler)
      : options_(std::move(options)),
        handler_(handler),
        http_(options_.max_payload_bytes, [](int) {}),
        buffer_(kReadBytes),
        acceptor_(loop_),
        accept_timer_(loop_),
        deadlines_(loop_) {}

  absl::Status Start();
  void Drain();
  void Stop();
  void Post(std::function<void()> task) { asio::post(loop_, std::move(task)); }
  void AnswerHttp(uint64_t ticket, const HttpReply& reply);

  Session* Find(uint64_t id);
  Session* FindBySid(std::string_view sid);
  void Join(Session& session, const std::string& room);
  size_t Publish(std::string_view route, std::string_view event, std::string_view body);
  bool Ask(uint64_t id, std::string_view event, std::string_view body, uint64_t ack_id);

  int port() const { return port_; }

  // ---- ConnectionOwner
  void OnRequest(const ConnectionPtr& connection, HttpRequest request, bool is_upgrade) override;
  void OnClosed(Connection* connection) override;
  bool Account(int64_t bytes) override {
    buffered_bytes_ += bytes;
    return buffered_bytes_ <= static_cast<int64_t>(options_.max_buffered_bytes);
  }
  HttpEngine& http() override { return http_; }

  // ---- SessionOwner
  void OnSessionConnect(Session* session, const std::string& nsp,
                        const std::string& auth) override {
    handler_->OnConnect(*session, nsp, auth);
  }
  void OnSessionEvent(Session* session, SessionEvent event) override {
    handler_->OnEvent(*session, std::move(event));
  }
  void OnSessionMessage(Session* session, bool binary, std::string payload) override {
    handler_->OnMessage(*session, binary, std::move(payload));
  }
  void OnSessionAck(Session* session, const std::string&, uint64_t id,
                    std::string arguments) override {
    handler_->OnAck(*session, id, std::move(arguments));
  }
  void OnSessionClosed(Session* session) override;

  // ---- both
  const ServerOptions& options() const override { return options_; }
  ServerStats& stats() override { return stats_; }
  Deadlines& deadlines() override { return deadlines_; }
  // The time for goodbyes is over.
  void OnDeadline() override { AbortAll(); }

 private:
  // A plain request whose answer the handler gives.
  class Waiting final : public Receiver {
   public:
    Waiting(Impl* owner, uint64_t ticket, ConnectionPtr connection)
        : owner_(owner), ticket_(ticket), connection_(std::move(connection)) {}
    const ConnectionPtr& connection() const { return connection_; }
    void OnMessage(bool, std::string) override {}
    void OnGone(Connection*) override { owner_->OnHttpGone(ticket_); }

   private:
    Impl* const owner_;
    const uint64_t ticket_;
    const ConnectionPtr connection_;
  };
  // Answers itself when the handler does not in time.
  struct Ticket final : public Timed {
    Ticket(Impl* o, uint64_t t, ConnectionPtr c)
        : owner(o), number(t), waiting(o, t, std::move(c)) {}
    void OnDeadline() override {
      owner->AnswerHttp(number, Problem(504, "the answer took too long"));
    }
    Impl* const owner;
    const uint64_t number;
    Waiting waiting;
  };

  absl::Status Bind();
  void Accept();
  void OnAccept(Tcp::socket socket);
  void Ask(const ConnectionPtr& connection, HttpRequest request);
  void OnEngine(const ConnectionPtr& connection, HttpRequest request, bool is_upgrade);
  void OnNewSession(const ConnectionPtr& connection, const HttpRequest& request, bool is_upgrade);
  void OnKnownSession(const ConnectionPtr& connection, const HttpRequest& request, Session* session,
                      bool is_upgrade);
  SessionPtr MakeSession(Session::Kind kind, const ConnectionPtr& connection,
                         const HttpRequest& request);
  void OnHttpGone(uint64_t ticket);
  bool IsEnginePath(const std::string& path) const;
  void Goodbye();
  void AbortAll();

  const ServerOptions options_;
  ServerHandler* const handler_;
  ServerStats stats_;
  HttpEngine http_;
  SharedBuffer buffer_;
  asio::io_context loop_{1};
  // While draining there may be neither acceptor nor connection, and still something to do.
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_;
  std::optional<asio::ssl::context> tls_;
  Tcp::acceptor acceptor_;
  asio::steady_timer accept_timer_;
  Deadlines deadlines_;
  std::thread thread_;
  int port_ = 0;
  int max_connections_ = 0;
  std::atomic<bool> draining_{false};
  bool stopped_ = false;

  // The loop's own.
  std::unordered_map<Connection*, ConnectionPtr> connections_;
  std::unordered_map<uint64_t, std::unique_ptr<Ticket>> tickets_;
  std::unordered_map<uint64_t, SessionPtr> sessions_;
  std::unordered_map<std::string_view, Session*> by_sid_;  // Keys are the sessions' own.
  std::unordered_map<std::string, std::unordered_set<Session*>> rooms_;
  uint64_t last_id_ = 0;
  int64_t buffered_bytes_ = 0;
  bool ending_ = false;
};

// ---- life

absl::Status Server::Impl::Bind() {
  Error error;
  const asio::ip::address address = asio::ip::make_address(options_.host, error);
  Tcp::endpoint endpoint(address, static_cast<uint16_t>(options_.port));
  if (error) {
    Tcp::resolver resolver(loop_);
    const auto found = resolver.resolve(options_.host, std::to_string(options_.port),
                                        Tcp::resolver::passive, error);
    if (!error && !found.empty()) endpoint = found.begin()->endpoint();
  }
  if (!error) acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(Tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(kBacklog, error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("listen: ", options_.host, ":", options_.port, ", ", error.message()));
  }
  port_ = acceptor_.local_endpoint(error).port();
  return absl::OkStatus();
}

absl::Status Server::Impl::Start() {
  if (!options_.certificate_file.empty()) {
    tls_.emplace(asio::ssl::context::tls_server);
    const absl::Status status =
        UseCertificate(options_.certificate_file, options_.key_file, &*tls_);
    if (!status.ok()) return status;
  }
  const absl::Status bound = Bind();
  if (!bound.ok()) return bound;
  max_connections_ = std::min(options_.max_connections, DescriptorsToSpare());
  Accept();
  work_.emplace(loop_.get_executor());
  thread_ = std::thread([this] { loop_.run(); });
  return absl::OkStatus();
}

void Server::Impl::Drain() {
  draining_ = true;
  Post([this] {
    Error ignored;
    acceptor_.close(ignored);
  });
}

void Server::Impl::Stop() {
  if (std::exchange(stopped_, true)) return;
  if (!thread_.joinable()) return;
  draining_ = true;
  Post([this] { Goodbye(); });
  thread_.join();
}

void Server::Impl::Goodbye() {
  ending_ = true;
  Error ignored;
  acceptor_.close(ignored);
  accept_timer_.cancel();
  std::vector<SessionPtr> sessions;
  for (const auto& [id, session] : sessions_) sessions.push_back(session);
  for (const SessionPtr& session : sessions)
    session->Close(kCloseGoingAway, "the node is stopping");
  std::vector<uint64_t> tickets;
  for (const auto& [ticket, waiting] : tickets_) tickets.push_back(ticket);
  for (const uint64_t ticket : tickets) {
    AnswerHttp(ticket, Problem(503, "the server is stopping"));
  }
  deadlines_.Set(this, kGoodbye);
  if (connections_.empty()) AbortAll();
}

void Server::Impl::AbortAll() {
  std::vector<ConnectionPtr> connections;
  for (const auto& [key, connection] : connections_) connections.push_back(connection);
  for (const ConnectionPtr& connection : connections) connection->Abort();
  deadlines_.Clear(this);
  deadlines_.Stop();
  work_.reset();
}

// ---- connections

void Server::Impl::Accept() {
  acceptor_.async_accept([this](const Error& error, Tcp::socket socket) {
    if (ending_ || draining_ || error == asio::error::operation_aborted) return;
    if (!error) OnAccept(std::move(socket));
    if (!error || error == asio::error::connection_aborted) return Accept();
    accept_timer_.expires_after(kAcceptPause);
    accept_timer_.async_wait([this](const Error& cancelled) {
      if (!cancelled && !ending_ && acceptor_.is_open()) Accept();
    });
  });
}

void Server::Impl::OnAccept(Tcp::socket socket) {
  if (connections_.size() >= static_cast<size_t>(max_connections_)) {
    ++stats_.refused;
    return;
  }
  Error ignored;
  socket.set_option(Tcp::no_delay(true), ignored);
  const PeerNames peer = PeerOf(socket);
  auto stream = tls_.has_value() ? MakeTlsStream(std::move(socket), *tls_, true, "")
                                 : MakePlainStream(std::move(socket), &buffer_);
  auto connection = std::make_shared<Connection>(this, std::move(stream), peer);
  connections_.emplace(connection.get(), connection);
  stats_.connections = static_cast<int64_t>(connections_.size());
  connection->Start();
}

void Server::Impl::OnClosed(Connection* connection) {
  connections_.erase(connection);
  stats_.connections = static_cast<int64_t>(connections_.size());
  if (ending_ && connections_.empty()) AbortAll();
}

bool Server::Impl::IsEnginePath(const std::string& path) const {
  return std::any_of(
      options_.engine_paths.begin(), options_.engine_paths.end(),
      [&](const std::string& known) { return path == known || absl::StrCat(path, "/") == known; });
}

void Server::Impl::OnRequest(const ConnectionPtr& connection, HttpRequest request,
                             bool is_upgrade) {
  if (draining_) return connection->Answer(Problem(503, "the server is stopping"));
  if (IsEnginePath(request.path)) {
    return OnEngine(connection, std::move(request), is_upgrade);
  }
  if (!is_upgrade) return Ask(connection, std::move(request));
  if (request.path != "/" || !options_.raw) {
    ++stats_.refused;
    return connection->Answer(Problem(404, "no WebSocket here"));
  }
  const SessionPtr session = MakeSession(Session::Kind::kRaw, connection, request);
  if (session != nullptr && !session->OpenWebSocket(connection)) OnSessionClosed(session.get());
}

void Server::Impl::Ask(const ConnectionPtr& connection, HttpRequest request) {
  const uint64_t number = ++last_id_;
  auto ticket = std::make_unique<Ticket>(this, number, connection);
  connection->SetReceiver(&ticket->waiting);
  deadlines_.Set(ticket.get(), absl::ToChronoNanoseconds(options_.answer_timeout));
  tickets_.emplace(number, std::move(ticket));
  handler_->OnHttp(number, std::move(request));
}

void Server::Impl::AnswerHttp(uint64_t ticket, const HttpReply& reply) {
  const auto found = tickets_.find(ticket);
  if (found == tickets_.end()) return;
  const std::unique_ptr<Ticket> waiting = std::move(found->second);
  tickets_.erase(found);
  deadlines_.Clear(waiting.get());
  waiting->waiting.connection()->Answer(reply);
}

void Server::Impl::OnHttpGone(uint64_t ticket) {
  const auto found = tickets_.find(ticket);
  if (found == tickets_.end()) return;
  deadlines_.Clear(found->second.get());
  tickets_.erase(found);
  handler_->OnHttpGone(ticket);
}

// ---- sessions

void Server::Impl::OnEngine(const ConnectionPtr& connection, HttpRequest request, bool is_upgrade) {
  const auto refuse = [&](const HttpReply& reply) {
    ++stats_.refused;
    connection->Answer(reply);
  };
  if (EngineParameter(request.query, "EIO") != "4") return refuse(BadVersion());
  const std::string transport = EngineParameter(request.query, "transport");
  if (transport != (is_upgrade ? "websocket" : "polling")) {
    return refuse(transport == "polling" || transport == "websocket" ? BadRequest()
                                                                     : UnknownTransport());
  }
  const std::string sid = EngineParameter(request.query, "sid");
  if (sid.empty()) return OnNewSession(connection, request, is_upgrade);
  Session* const session = FindBySid(sid);
  // A name that was overheard is of no use from elsewhere.
  if (session == nullptr || session->peer().address != connection->peer().address ||
      absl::StripSuffix(session->path(), "/") != absl::StripSuffix(request.path, "/")) {
    return refuse(UnknownSession());
  }
  OnKnownSession(connection, request, session, is_upgrade);
}

void Server::Impl::OnNewSession(const ConnectionPtr& connection, const HttpRequest& request,
                                bool is_upgrade) {
  if (request.method != "GET") {
    ++stats_.refused;
    return connection->Answer(BadMethod());
  }
  const SessionPtr session = MakeSession(Session::Kind::kEngine, connection, request);
  if (session == nullptr) return;
  if (!is_upgrade) return session->OpenPolling(connection);
  if (!session->OpenWebSocket(connection)) OnSessionClosed(session.get());
}

void Server::Impl::OnKnownSession(const ConnectionPtr& connection, const HttpRequest& request,
                                  Session* session, bool is_upgrade) {
  if (is_upgrade) return session->OnUpgrade(connection);
  if (request.method == "GET") return session->OnPoll(connection);
  if (request.method == "POST") return session->OnPost(connection, request.body);
  ++stats_.refused;
  connection->Answer(BadRequest());
}

SessionPtr Server::Impl::MakeSession(Session::Kind kind, const ConnectionPtr& connection,
                                     const HttpRequest& request) {
  // Long-polling sessions hold no connection, so they are counted themselves.
  std::string sid = NewSessionId();
  if (sid.empty() || sessions_.size() >= static_cast<size_t>(max_connections_)) {
    ++stats_.refused;
    connection->Answer(Problem(503, "too many sessions"));
    return nullptr;
  }
  auto session = std::make_shared<Session>(this, kind, ++last_id_, std::move(sid),
                                           connection->peer(), request.path, request);
  sessions_.emplace(session->id(), session);
  by_sid_.emplace(session->sid(), session.get());
  stats_.sessions = static_cast<int64_t>(sessions_.size());
  return session;
}

void Server::Impl::OnSessionClosed(Session* session) {
  const auto found = sessions_.find(session->id());
  if (found == sessions_.end()) return;
  const SessionPtr self = found->second;
  for (const std::string& room : session->rooms()) {
    const auto members = rooms_.find(room);
    if (members == rooms_.end()) continue;
    members->second.erase(session);
    if (members->second.empty()) rooms_.erase(members);
  }
  by_sid_.erase(session->sid());
  sessions_.erase(found);
  stats_.sessions = static_cast<int64_t>(sessions_.size());
  handler_->OnClose(*session);
}

Session* Server::Impl::Find(uint64_t id) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

Session* Server::Impl::FindBySid(std::string_view sid) {
  const auto found = by_sid_.find(sid);
  return found == by_sid_.end() ? nullptr : found->second;
}

void Server::Impl::Join(Session& session, const std::string& room) {
  if (rooms_[room].insert(&session).second) session.rooms().push_back(room);
}

size_t Server::Impl::Publish(std::string_view route, std::string_view event,
                             std::string_view body) {
  std::vector<SessionPtr> receivers;
  constexpr std::string_view kRoom = "room:";
  constexpr std::string_view kSession = "session:";
  if (route == "all") {
    for (const auto& [id, session] : sessions_) receivers.push_back(session);
  } else if (route.substr(0, kRoom.size()) == kRoom) {
    const auto room = rooms_.find(std::string(route.substr(kRoom.size())));
    if (room == rooms_.end()) return 0;
    for (Session* const session : room->second) receivers.push_back(session->shared_from_this());
  } else if (route.substr(0, kSession.size()) == kSession) {
    Session* const session = FindBySid(route.substr(kSession.size()));
    if (session != nullptr) receivers.push_back(session->shared_from_this());
  }
  if (receivers.empty()) return 0;
  const std::string payload =
      absl::StrCat("42[", QuoteJson(event), ",", View(body.empty() ? "null" : body), "]");
  std::string frame;
  FrameCodec::AppendServerFrame(FrameKind::kText, payload, &frame);
  size_t count = 0;
  for (const SessionPtr& session : receivers) {
    if (session->socketio() == nullptr || !session->socketio()->IsConnected("/")) continue;
    session->SendShared(frame, payload);
    ++count;
  }
  return count;
}

bool Server::Impl::Ask(uint64_t id, std::string_view event, std::string_view body,
                       uint64_t ack_id) {
  Session* const session = Find(id);
  if (session == nullptr || session->socketio() == nullptr) return false;
  if (!session->socketio()->IsConnected("/")) return false;
  session->socketio()->EmitWithAck("/", event, body, ack_id);
  return true;
}

// ---- the outside

Server::Server(ServerOptions options, ServerHandler* handler)
    : impl_(std::make_unique<Impl>(std::move(options), handler)) {}

Server::~Server() { Stop(); }

absl::Status Server::Start() { return impl_->Start(); }
void Server::Drain() { impl_->Drain(); }
void Server::Stop() { impl_->Stop(); }
int Server::port() const { return impl_->port(); }
const ServerStats& Server::stats() const { return impl_->stats(); }
void Server::CountStrayAck() { ++impl_->stats().stray_acks; }
void Server::Post(std::function<void()> task) { impl_->Post(std::move(task)); }
void Server::AnswerHttp(uint64_t ticket, HttpReply reply) {
  impl_->Post([this, ticket, reply = std::move(reply)] { impl_->AnswerHttp(ticket, reply); });
}
Session* Server::Find(uint64_t session_id) { return impl_->Find(session_id); }
Session* Server::FindBySid(std::string_view sid) { return impl_->FindBySid(sid); }
void Server::Join(Session& session, const std::string& room) { impl_->Join(session, room); }
size_t Server::Publish(std::string_view route, std::string_view event, std::string_view body) {
  return impl_->Publish(route, event, body);
}
bool Server::Ask(uint64_t session_id, std::string_view event, std::string_view body, uint64_t id) {
  return impl_->Ask(session_id, event, body, id);
}

}  // namespace viaduct::websocket
