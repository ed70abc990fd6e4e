// Socket.IO on a session: namespaces, events, acknowledgements, binary packets in several frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/websocket/deadlines.h"
#include "plugins/websocket/session.h"
#include "plugins/websocket/socketio_packet.h"

namespace viaduct::websocket {

// Lives on the owner's thread, inside its session.
class SocketIo final : public Timed {
 public:
  SocketIo(Session* session, SessionOwner* owner) : session_(session), owner_(owner) {}
  ~SocketIo() { Stop(); }

  void Start();  // The peer must connect to a namespace in time.
  void Stop();

  void TakeText(std::string text);
  void TakeBinary(std::string data);
  void OnDeadline() override;

  // `elements` are the JSON values of the arguments, with commas between. Nothing is sent to a
  // namespace that the peer has left.
  void Emit(const std::string& nsp, std::string_view event, std::string_view elements,
            const std::vector<std::string>& attachments);
  void EmitWithAck(const std::string& nsp, std::string_view event, std::string_view elements,
                   uint64_t id);
  void Ack(const std::string& nsp, uint64_t id, std::string_view elements,
           const std::vector<std::string>& attachments);
  bool IsConnected(std::string_view nsp) const;

 private:
  void Handle(SocketIoPacket packet, size_t bytes);
  void Connect(const SocketIoPacket& packet);
  void Disconnect(const std::string& nsp);
  void Event(SocketIoPacket packet, size_t bytes);
  void Write(SocketIoPacket packet, const std::vector<std::string>& attachments);

  Session* const session_;
  SessionOwner* const owner_;
  std::vector<std::string> connected_;
  bool ever_connected_ = false;
  SocketIoPacket partial_;  // Waits for attachments.
  std::vector<std::string> attachments_;
  size_t partial_bytes_ = 0;
};

}  // namespace viaduct::websocket
