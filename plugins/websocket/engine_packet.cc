#include "plugins/websocket/engine_packet.h"

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace viaduct::websocket {
namespace {

constexpr char kSeparator = '\x1e';
constexpr char kBinaryMark = 'b';

bool ReadBinary(std::string_view text, EnginePacket* out) {
  out->type = EngineType::kMessage;
  out->binary = true;
  return absl::Base64Unescape(absl::string_view(text.data(), text.size()), &out->data);
}

}  // namespace

bool IsEnginePacket(std::string_view text) {
  return !text.empty() && text.front() >= static_cast<char>(EngineType::kOpen) &&
         text.front() <= static_cast<char>(EngineType::kNoop);
}

bool ReadEnginePacket(std::string_view text, EnginePacket* out) {
  if (!IsEnginePacket(text)) return false;
  out->type = static_cast<EngineType>(text.front());
  out->binary = false;
  out->data.assign(text.substr(1));
  return true;
}

bool ReadEnginePayload(std::string_view body, size_t max_packets, std::vector<EnginePacket>* out) {
  while (true) {
    const size_t end = body.find(kSeparator);
    const std::string_view text = body.substr(0, end);
    if (out->size() >= max_packets) return false;
    EnginePacket& packet = out->emplace_back();
    const bool read = !text.empty() && text.front() == kBinaryMark
                          ? ReadBinary(text.substr(1), &packet)
                          : ReadEnginePacket(text, &packet);
    if (!read) return false;
    if (end == std::string_view::npos) return true;
    body.remove_prefix(end + 1);
  }
}

void AppendEnginePacket(const EnginePacket& packet, std::string* body) {
  if (!body->empty()) body->push_back(kSeparator);
  if (packet.binary) {
    body->push_back(kBinaryMark);
    body->append(absl::Base64Escape(packet.data));
    return;
  }
  body->push_back(static_cast<char>(packet.type));
  body->append(packet.data);
}

}  // namespace viaduct::websocket
