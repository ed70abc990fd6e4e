// The packets of Engine.IO version 4, and how several of them travel in one body of long-polling.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace viaduct::websocket {

enum class EngineType : char {
  kOpen = '0',
  kClose = '1',
  kPing = '2',
  kPong = '3',
  kMessage = '4',
  kUpgrade = '5',
  kNoop = '6',
};

struct EnginePacket {
  EngineType type = EngineType::kMessage;
  bool binary = false;  // Only a message.
  std::string data;
};

// Whether a text begins with the type of a packet.
bool IsEnginePacket(std::string_view text);
// As one text frame, or one element of a body. False: not a packet.
bool ReadEnginePacket(std::string_view text, EnginePacket* out);
// A body of long-polling: packets with 0x1e between them. False: one of them is no packet, or there
// are more than `max_packets`.
bool ReadEnginePayload(std::string_view body, size_t max_packets, std::vector<EnginePacket>* out);
// Appends the packet to a body.
void AppendEnginePacket(const EnginePacket& packet, std::string* body);

}  // namespace viaduct::websocket
