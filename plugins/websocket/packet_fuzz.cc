// libFuzzer entry: any octets as a packet of Engine.IO and Socket.IO and as WebSocket frames. What
// is read must be written as it was, JSON is what others take for it, and a codec must say the same
// however the octets are cut up.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "plugins/websocket/engine_packet.h"
#include "plugins/websocket/frame_codec.h"
#include "plugins/websocket/json_scan.h"
#include "plugins/websocket/socketio_packet.h"

namespace {

using namespace viaduct::websocket;  // NOLINT(google-build-using-namespace)

void Require(bool condition) {
  if (!condition) std::abort();
}

size_t DepthOf(const nlohmann::json& json) {
  if (!json.is_structured()) return 0;  // Anything else has itself as its one element.
  size_t depth = 0;
  for (const auto& inner : json) depth = std::max(depth, DepthOf(inner));
  return depth + 1;
}

// As others read it, but for what is nested too deeply, and a zero, which they take for the end.
void TryJson(const std::string& text) {
  if (text.find('\0') != std::string::npos) return;
  const auto theirs = nlohmann::json::parse(text, nullptr, false);
  if (theirs.is_discarded() || DepthOf(theirs) > kMaxJsonDepth) return;
  Require(IsJson(text));
  if (!theirs.is_array()) return;
  JsonElements elements;
  const bool few = theirs.size() <= kMaxArguments;
  Require(ScanJsonArray(text, kMaxArguments, &elements) ==
          (few ? ArrayScan::kGood : ArrayScan::kTooMany));
  if (!few) return;
  Require(elements.size() == theirs.size());
  for (size_t i = 0; i < elements.size(); ++i) {
    Require(nlohmann::json::parse(elements[i]) == theirs[i]);
  }
}

void TrySocketIo(const std::string& text) {
  SocketIoPacket packet;
  std::string why;
  if (!ReadSocketIoPacket(text, &packet, &why)) {
    Require(!why.empty());
    return;
  }
  const std::string written = SocketIoHead(packet).append(packet.data);
  SocketIoPacket again;
  Require(ReadSocketIoPacket(written, &again, &why));
  Require(again.data == packet.data && again.id == packet.id && again.nsp == packet.nsp);
  if (packet.data.empty() || packet.data.front() != '[') return;
  std::string inlined;
  if (InlineAttachments(packet.data, {"a", "b"}, text.size() + 2, &inlined))
    Require(IsJson(inlined));
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

// What comes of frames, and the code of the violation that ends them.
std::pair<std::string, uint16_t> Decode(const std::string& text, size_t piece) {
  FrameCodec codec({/*is_server=*/true, /*max_message_bytes=*/4096, /*deflate=*/false});
  std::string messages;
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
      if (fed.complete) messages += static_cast<char>(fed.frame.kind) + fed.frame.payload + ';';
      if (!fed.complete) break;
    }
  }
  return {messages, 0};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  TryJson(text);
  TrySocketIo(text);
  TryEngine(text);
  Require(Decode(text, size + 1) == Decode(text, 1));
  return 0;
}
