// libFuzzer entry: any octets as a packet of Engine.IO and Socket.IO and as WebSocket frames. What
// is read must be written as it was, elements must be JSON, and a codec must say the same however
// the octets are cut up.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "plugins/websocket/engine_packet.h"
#include "plugins/websocket/frame_codec.h"
#include "plugins/websocket/socketio_packet.h"

namespace {

using namespace viaduct::websocket;  // NOLINT(google-build-using-namespace)

void Require(bool condition) {
  if (!condition) std::abort();
}

void TrySocketIo(const std::string& text) {
  SocketIoPacket packet;
  std::string why;
  if (!ReadSocketIoPacket(text, &packet, &why)) {
    Require(!why.empty());
    return;
  }
  SocketIoPacket again;
  Require(ReadSocketIoPacket(WriteSocketIoPacket(packet), &again, &why));
  Require(again.data == packet.data && again.id == packet.id && again.nsp == packet.nsp);
  if (packet.data.empty() || packet.data.front() != '[') return;
  const auto whole = nlohmann::json::parse(packet.data);
  const std::vector<std::string_view> elements = ArrayElements(packet.data);
  Require(elements.size() == whole.size());
  for (size_t i = 0; i < elements.size(); ++i) {
    Require(nlohmann::json::parse(elements[i]) == whole[i]);
  }
  std::string inlined;
  if (InlineAttachments(packet.data, {"a", "b"}, text.size() + 2, &inlined))
    Require(nlohmann::json::accept(inlined));
}

void TryEngine(const std::string& text) {
  std::vector<EnginePacket> packets;
  if (!ReadEnginePayload(text, 100, &packets)) return;
  std::string body;
  for (const EnginePacket& packet : packets) AppendEnginePacket(packet, &body);
  std::vector<EnginePacket> again;
  Require(ReadEnginePayload(body, 100, &again) && again.size() == packets.size());
  for (size_t i = 0; i < packets.size(); ++i) Require(again[i].data == packets[i].data);
}

// How many messages come, and the code of the violation that ends them.
std::pair<size_t, uint16_t> Decode(const std::string& text, size_t piece) {
  FrameCodec codec({/*is_server=*/true, /*max_message_bytes=*/4096, /*deflate=*/false});
  size_t messages = 0;
  for (size_t at = 0; at < text.size(); at += piece) {
    std::string part = text.substr(at, piece);
    auto* data = reinterpret_cast<uint8_t*>(part.data());
    size_t left = part.size();
    while (left > 0) {
      const FrameCodec::Fed fed = codec.Feed(data, left);
      if (fed.error != 0) return {messages, fed.error};
      Require(codec.buffered_bytes() <= 4096);
      data += fed.used;
      left -= fed.used;
      if (fed.complete) ++messages;
      if (!fed.complete) break;
    }
  }
  return {messages, 0};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  TrySocketIo(text);
  TryEngine(text);
  Require(Decode(text, size + 1) == Decode(text, 1));
  return 0;
}
