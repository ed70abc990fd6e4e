// The sessions of a server: how they begin and end, and what goes to many of them.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "plugins/websocket/engine_http.h"
#include "plugins/websocket/frame_codec.h"
#include "plugins/websocket/server_impl.h"
#include "plugins/websocket/session_id.h"
#include "plugins/websocket/socketio.h"

namespace viaduct::websocket {
namespace {

absl::string_view View(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

}  // namespace

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
  if (IsOfForeignPage(request)) {
    ++stats_.refused;
    connection->Answer(Problem(403, "origin: a page of another site"));
    return nullptr;
  }
  // Long-polling sessions hold no connection, so they are counted themselves.
  std::string sid = NewSessionId();
  if (sid.empty() || sessions_.size() >= static_cast<size_t>(max_connections_)) {
    ++stats_.refused;
    connection->Answer(Problem(503, "too many sessions"));
    return nullptr;
  }
  if (!session_addresses_.Add(connection->peer().counted_as)) {
    ++stats_.refused_of_address;
    connection->Answer(Problem(503, "too many sessions of your address"));
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
  session_addresses_.Remove(session->peer().counted_as);
  by_sid_.erase(session->sid());
  sessions_.erase(found);
  stats_.sessions = static_cast<int64_t>(sessions_.size());
  CloseIfDrained();
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
    receivers = AllSessions();
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

}  // namespace viaduct::websocket
