// The packets of Socket.IO protocol revision 5 and their JSON arguments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/websocket/json_scan.h"

namespace viaduct::websocket {

enum class SocketIoType : char {
  kConnect = '0',
  kDisconnect = '1',
  kEvent = '2',
  kAck = '3',
  kConnectError = '4',
  kBinaryEvent = '5',
  kBinaryAck = '6',
};

inline constexpr size_t kMaxAttachments = 64;       // Of one packet.
inline constexpr size_t kMaxNamespaceBytes = 128;   // Of a name.
inline constexpr size_t kMaxEventBytes = 128;       // Of an event's name.
inline constexpr size_t kMaxArguments = 256;        // Of an event with its name, or of an answer.
inline constexpr size_t kMaxAuthBytes = 32u << 10;  // Of what comes with CONNECT.

// Texts and elements are slices of what was read.
struct SocketIoPacket {
  SocketIoType type = SocketIoType::kEvent;
  size_t attachments = 0;  // Binary frames that follow; 0 but in the two binary types.
  std::string_view nsp = "/";
  std::optional<uint64_t> id;  // Of an acknowledgement, asked for or given.
  // CONNECT: an object or "". An event or acknowledgement: a JSON array. Checked to be JSON.
  std::string_view data;
  JsonElements elements;  // Of that array.
};

// One text message. False: not a packet; *why says what is wrong with it.
bool ReadSocketIoPacket(std::string_view text, SocketIoPacket* out, std::string* why);
// What stands before the data.
std::string SocketIoHead(const SocketIoPacket& packet);

// The text of a JSON string; false where `json` is something else.
bool ReadJsonString(std::string_view json, std::string* out);
std::string QuoteJson(std::string_view text);

// Puts the attachments in the places that {"_placeholder":true,"num":N} keep for them, as base64
// text, so that a binary event reads like any other. False: a place without an attachment, a second
// place for one, which no client makes, or more than `max_bytes` of text and attachments.
bool InlineAttachments(std::string_view json, const std::vector<std::string>& attachments,
                       size_t max_bytes, std::string* out);

}  // namespace viaduct::websocket
