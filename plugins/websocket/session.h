// One session of a listener: Engine.IO over long-polling or WebSocket and from the one to the
// other, or a plain WebSocket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/common/http_message.h"
#include "plugins/websocket/budget.h"
#include "plugins/websocket/connection.h"
#include "plugins/websocket/deadlines.h"
#include "plugins/websocket/engine_packet.h"
#include "plugins/websocket/server_options.h"

namespace viaduct::websocket {

class Session;
class SocketIo;  // socketio.h
using SessionPtr = std::shared_ptr<Session>;

// What a peer has said. Texts are slices of what came, as JSON.
struct SessionEvent {
  std::string_view nsp;
  std::string name;
  std::string_view first;      // Argument; "" without one.
  std::string_view arguments;  // All of them, with commas between.
  std::vector<std::string> attachments;
  bool wants_ack = false;
  uint64_t ack_id = 0;
  size_t bytes = 0;  // For EventDone.
};

// The listener as its sessions see it. All on its one thread.
class SessionOwner {
 public:
  // The peer has entered a namespace, or is there without one (""). `auth` is a JSON object or "".
  virtual void OnSessionConnect(Session* session, std::string_view nsp, std::string_view auth) = 0;
  // Both are ended by Session::EventDone, whatever came of them.
  virtual void OnSessionEvent(Session* session, const SessionEvent& event) = 0;
  virtual void OnSessionMessage(Session* session, bool binary, std::string_view payload) = 0;
  // `answer` is the first argument, as JSON; "" without one.
  virtual void OnSessionAck(Session* session, uint64_t id, std::string_view answer) = 0;
  virtual void OnSessionClosed(Session* session) = 0;

  virtual const ServerOptions& options() const = 0;
  virtual ServerStats& stats() = 0;
  virtual Deadlines& deadlines() = 0;
  virtual Budget& budget() = 0;

 protected:
  ~SessionOwner() = default;
};

// Lives on the owner's thread.
class Session final : public std::enable_shared_from_this<Session>,
                      public Receiver,
                      public Timed,
                      public Holder {
 public:
  enum class Kind : uint8_t { kRaw, kEngine };

  // `request` opened it; `sid` is what the peer calls it.
  Session(SessionOwner* owner, Kind kind, uint64_t id, std::string sid, const PeerNames& peer,
          std::string path, const HttpRequest& request);
  ~Session() override;

  uint64_t id() const { return id_; }
  Kind kind() const { return kind_; }
  const std::string& sid() const { return sid_; }
  const std::string& path() const { return path_; }
  const PeerNames& peer() const { return peer_; }
  const HttpRequest& credentials() const { return credentials_; }
  bool open() const { return !closed_; }
  SocketIo* socketio() const { return socketio_.get(); }
  std::vector<std::string>& rooms() { return rooms_; }

  // ---- its beginning; false: the connection was no proper handshake
  void OpenPolling(const ConnectionPtr& connection);
  bool OpenWebSocket(const ConnectionPtr& connection);
  // ---- later requests with its sid
  void OnPoll(const ConnectionPtr& connection);
  void OnPost(const ConnectionPtr& connection, std::string_view body);
  void OnUpgrade(const ConnectionPtr& connection);

  // A message in the way of the session's transport.
  void SendMessage(bool binary, std::string_view payload);
  // The same, of an Engine.IO session, for a text packet with its type in front.
  void SendPacket(std::string_view packet);
  // The same for many: `frame` is the WebSocket frame of the packet.
  void SendShared(const std::string& frame, std::string_view payload);
  // More octets belong to the event that is being taken.
  void Hold(size_t bytes);
  // One event or message has been dealt with.
  void EventDone(size_t bytes);
  // What is kept for it may have changed.
  void Settle();
  // Takes no more; closes when what was taken is answered.
  void Drain();
  // A message was against the protocol above.
  void Violation(const std::string& why);
  void Close(uint16_t code, std::string_view reason);

  // ---- of its transports
  void OnMessage(bool binary, std::string payload) override;
  void OnGone(Connection* connection) override;
  void OnDeadline() override;
  void GiveWay() override;

 private:
  // The WebSocket that may become the transport.
  class Probe;

  void Handle(EngineType type, std::string_view text);
  void HandleText(std::string_view text);
  void HandleBinary(std::string data);
  void EndIfDrained();
  void Send(EnginePacket packet);
  void AnswerPoll();
  void AnswerPoll(std::string body);
  void Upgraded(const ConnectionPtr& connection);
  std::string OpenPacket(bool may_upgrade) const;
  void AwaitPing();
  bool MayHavePonged();
  bool Queue(EnginePacket packet);
  std::deque<EnginePacket> TakeQueue();
  bool Busy() const;
  void End();

  SessionOwner* const owner_;
  const Kind kind_;
  const uint64_t id_;
  const std::string sid_;
  const PeerNames peer_;
  const std::string path_;
  HttpRequest credentials_;  // Of the request that opened it only the fields that hold them.
  std::unique_ptr<SocketIo> socketio_;
  std::vector<std::string> rooms_;
  ConnectionPtr websocket_;  // The transport, once it is one.
  ConnectionPtr poll_;       // The GET that waits.
  ConnectionPtr post_;       // The POST that is answered when less is pending.
  std::unique_ptr<Probe> probe_;
  std::deque<EnginePacket> queue_;  // Of long-polling.
  size_t queued_bytes_ = 0;
  size_t pending_events_ = 0;
  size_t pending_bytes_ = 0;
  bool pinged_ = false;   // A pong is due.
  bool owes_ = false;     // An answer waits in queue_.
  bool untaken_ = false;  // post_ came while it drained.
  bool draining_ = false;
  bool closed_ = false;
};

}  // namespace viaduct::websocket
