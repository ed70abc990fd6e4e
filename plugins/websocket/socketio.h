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
  ~SocketIo() override { Stop(); }

  void Start();  // The peer must connect to a namespace in time.
  void Stop();

  void TakeText(std::string_view text);
  void TakeBinary(std::string data);
  void OnDeadline() override;
  // Octets of a packet whose last attachment is not here yet.
  size_t partial_bytes() const { return partial_bytes_; }

  // `elements` are the JSON values of the arguments, with commas between. Nothing is sent to a
  // namespace that the peer has left.
  void Emit(std::string_view nsp, std::string_view event, std::string_view elements,
            const std::vector<std::string>& attachments);
  void EmitWithAck(std::string_view nsp, std::string_view event, std::string_view elements,
                   uint64_t id);
  void Ack(std::string_view nsp, uint64_t id, std::string_view elements,
           const std::vector<std::string>& attachments);
  bool IsConnected(std::string_view nsp) const;

 private:
  void TakeWhole();
  void Handle(const SocketIoPacket& packet, size_t bytes);
  void Connect(const SocketIoPacket& packet);
  void Disconnect(std::string_view nsp);
  void Event(const SocketIoPacket& packet, size_t bytes);
  void Write(SocketIoPacket packet, std::string_view data,
             const std::vector<std::string>& attachments);

  Session* const session_;
  SessionOwner* const owner_;
  std::vector<std::string> connected_;
  bool ever_connected_ = false;
  std::string partial_;  // A packet that waits for attachments.
  size_t expected_ = 0;  // So many.
  std::vector<std::string> attachments_;
  size_t partial_bytes_ = 0;
};

}  // namespace viaduct::websocket
