// The listener: one port for plain HTTP, Engine.IO with Socket.IO on it, and plain WebSocket. One
// thread moves everything; what takes time happens elsewhere and comes back by Post.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "plugins/common/http_message.h"
#include "plugins/common/listener_tls.h"
#include "plugins/websocket/server_options.h"
#include "plugins/websocket/session.h"

namespace viaduct::websocket {

// Called on the server's thread; must not block.
class ServerHandler {
 public:
  // A request that is answered by one AnswerHttp, which may come first.
  virtual void OnHttp(uint64_t ticket, HttpRequest request) = 0;
  // Its answer is no longer wanted.
  virtual void OnHttpGone(uint64_t ticket) = 0;
  // `nsp` is "" on a session without Socket.IO.
  virtual void OnConnect(Session& session, std::string_view nsp, std::string_view auth) = 0;
  // Both are ended by Session::EventDone.
  virtual void OnEvent(Session& session, const SessionEvent& event) = 0;
  virtual void OnMessage(Session& session, bool binary, std::string_view payload) = 0;
  // The peer's answer to an event that had asked for one: JSON, "" where it says nothing.
  virtual void OnAck(Session& session, uint64_t id, std::string_view answer) = 0;
  virtual void OnClose(Session& session) = 0;

 protected:
  ~ServerHandler() = default;
};

// Thread-safe, but for what is said to belong to the server's thread.
class Server {
 public:
  // `handler` outlives the server.
  Server(ServerOptions options, ServerHandler* handler);
  ~Server();  // Stops.

  // Binds and serves. UNAVAILABLE: the address is taken or not ours; FAILED_PRECONDITION: the
  // certificate or its key cannot be used.
  absl::Status Start();
  // Takes no new session, event or message, and no request but one that fetches the answers of a
  // session. What was taken is answered; when its peer has got that far, the session ends. After
  // the last nobody can connect.
  void Drain();
  // Ends all: when it returns no thread, timer and descriptor is left, and nothing is called.
  void Stop();

  int port() const;
  const ServerStats& stats() const;
  void CountStrayAck();
  ListenerTls* tls() const;  // Null: plain.

  // Runs `task` on the server's thread, unless it is stopped first.
  void Post(std::function<void()> task);
  void AnswerHttp(uint64_t ticket, HttpReply reply);

  // ---- on the server's thread
  Session* Find(uint64_t session_id);
  Session* FindBySid(std::string_view sid);
  void Join(Session& session, const std::string& room);
  // An event to "room:<name>", "session:<sid>" or "all". Returns to how many it went.
  size_t Publish(std::string_view route, std::string_view event, std::string_view body);
  // An event that the peer is to acknowledge: the answer comes by ServerHandler::OnAck. False:
  // there is no such session, or it speaks no Socket.IO.
  bool Ask(uint64_t session_id, std::string_view event, std::string_view body, uint64_t id);

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace viaduct::websocket
