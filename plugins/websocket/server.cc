#include "plugins/websocket/server.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "plugins/common/descriptors.h"
#include "plugins/websocket/engine_http.h"
#include "plugins/websocket/server_impl.h"

namespace viaduct::websocket {
namespace {

namespace asio = boost::asio;
using Error = boost::system::error_code;

constexpr int kBacklog = 1024;
constexpr std::chrono::milliseconds kAcceptPause(100);  // When there are no descriptors left.
constexpr std::chrono::milliseconds kGoodbye(300);      // For what is still to be sent at the end.

}  // namespace

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
  if (tls_ != nullptr) {
    const absl::Status loaded = tls_->Load(absl::Now());
    if (!loaded.ok()) return loaded;
  }
  const absl::Status bound = Bind();
  if (!bound.ok()) return bound;
  max_connections_ = std::min(options_.max_connections, DescriptorsToSpare());
  Accept();
  work_.emplace(loop_.get_executor());
  thread_ = std::thread([this] {
    // Answers come in groups, one after a commit: woken by the first of them, the loop lets their
    // thread tell the others before it runs (sched(7)).
    const sched_param param{};
    sched_setscheduler(0, SCHED_BATCH, &param);
    loop_.run();
  });
  return absl::OkStatus();
}

void Server::Impl::Drain() {
  draining_ = true;
  Post([this] {
    for (const SessionPtr& session : AllSessions()) session->Drain();
    CloseIfDrained();
  });
}

// Whoever polls may connect for every answer.
void Server::Impl::CloseIfDrained() {
  if (!draining_ || !sessions_.empty()) return;
  Error ignored;
  acceptor_.close(ignored);
}

std::vector<SessionPtr> Server::Impl::AllSessions() const {
  std::vector<SessionPtr> sessions;
  sessions.reserve(sessions_.size());
  for (const auto& [id, session] : sessions_) sessions.push_back(session);
  return sessions;
}

void Server::Impl::EndStep() {
  if (steps_ > 1) {
    --steps_;
    return;
  }
  // Whoever ends meanwhile may add to it.
  for (size_t i = 0; i < flushes_.size(); ++i) ConnectionPtr(flushes_[i])->Flush();
  flushes_.clear();
  --steps_;
  budget_.Enforce();
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
  for (const SessionPtr& session : AllSessions()) {
    session->Close(kCloseGoingAway, "the node is stopping");
  }
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
    if (ending_ || error == asio::error::operation_aborted) return;
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
  const PeerNames peer = PeerOf(socket);
  if (!addresses_.Add(peer.counted_as)) {
    ++stats_.refused_of_address;
    return;
  }
  Error ignored;
  socket.set_option(Tcp::no_delay(true), ignored);
  auto stream = tls_ != nullptr ? MakeTlsStream(std::move(socket), tls_->context(), "", &buffer_)
                                : MakePlainStream(std::move(socket), &buffer_);
  auto connection = std::make_shared<Connection>(this, std::move(stream), peer);
  connections_.emplace(connection.get(), connection);
  stats_.connections = static_cast<int64_t>(connections_.size());
  connection->Start();
}

void Server::Impl::OnClosed(Connection* connection) {
  addresses_.Remove(connection->peer().counted_as);
  connections_.erase(connection);
  stats_.connections = static_cast<int64_t>(connections_.size());
  if (ending_ && connections_.empty()) AbortAll();
}

bool Server::Impl::IsEnginePath(const std::string& path) const {
  return std::any_of(
      options_.engine_paths.begin(), options_.engine_paths.end(),
      [&](const std::string& known) { return path == known || absl::StrCat(path, "/") == known; });
}

// A poll of a session that is there, or a POST of one, whose end will answer it.
bool Server::Impl::IsOfSession(const HttpRequest& request, bool is_upgrade) const {
  return !is_upgrade && (request.method == "GET" || request.method == "POST") &&
         IsEnginePath(request.path) && !EngineParameter(request.query, "sid").empty();
}

void Server::Impl::OnRequest(const ConnectionPtr& connection, HttpRequest request,
                             bool is_upgrade) {
  if (draining_ && !IsOfSession(request, is_upgrade)) {
    return connection->Answer(Problem(503, "the server is stopping"));
  }
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

// ---- the outside

Server::Server(ServerOptions options, ServerHandler* handler)
    : impl_(std::make_unique<Impl>(std::move(options), handler)) {}

Server::~Server() { Stop(); }

absl::Status Server::Start() { return impl_->Start(); }
void Server::Drain() { impl_->Drain(); }
void Server::Stop() { impl_->Stop(); }
int Server::port() const { return impl_->port(); }
const ServerStats& Server::stats() const { return impl_->stats(); }
ListenerTls* Server::tls() const { return impl_->tls(); }
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
