// WebSocket frames (RFC 6455, and permessage-deflate of RFC 7692) between octets and messages:
// websocketpp's processor without its transport, so that an idle connection costs no buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace viaduct::websocket {

enum class FrameKind : uint8_t { kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

// RFC 6455 section 7.4.1.
inline constexpr uint16_t kCloseNormal = 1000;
inline constexpr uint16_t kCloseGoingAway = 1001;
inline constexpr uint16_t kCloseProtocolError = 1002;
inline constexpr uint16_t kCloseNoStatus = 1005;  // Never on the wire.
inline constexpr uint16_t kCloseBadPayload = 1007;
inline constexpr uint16_t kClosePolicy = 1008;
inline constexpr uint16_t kCloseTooBig = 1009;
inline constexpr uint16_t kCloseInternalError = 1011;
inline constexpr uint16_t kCloseTryAgainLater = 1013;

struct FrameOptions {
  bool is_server = true;
  size_t max_message_bytes = 32u << 20;  // After decompression.
  bool deflate = false;                  // Offer or accept permessage-deflate.
};

struct ReceivedFrame {
  FrameKind kind = FrameKind::kText;
  std::string payload;                   // Of a close: its reason.
  uint16_t close_code = kCloseNoStatus;  // Of a close.
};

// Thread-compatible. One for each connection, from its handshake on.
class FrameCodec {
 public:
  explicit FrameCodec(const FrameOptions& options);
  FrameCodec(const FrameCodec&) = delete;
  FrameCodec& operator=(const FrameCodec&) = delete;
  ~FrameCodec();

  // Server: reads the header of a GET with Upgrade. *answer is what goes back: 101, or why not.
  bool Accept(std::string_view request_header, std::string* answer);
  // Client: the request to send, and whether the header of the answer (up to the empty line) is the
  // one that belongs to it.
  std::string MakeRequest(std::string_view host_and_port, std::string_view resource,
                          const std::vector<std::pair<std::string, std::string>>& headers);
  bool CheckAnswer(std::string_view answer_header, std::string* why);

  // What came of the octets up to the end of one message, or of all.
  struct Fed {
    size_t used = 0;
    bool complete = false;  // `frame` is there.
    ReceivedFrame frame;
    uint16_t error = 0;  // Not 0: against the protocol; the code to close with.
    std::string why;
  };
  Fed Feed(uint8_t* data, size_t size);  // The octets are changed.

  void Append(FrameKind kind, std::string_view payload, std::string* out);
  void AppendClose(uint16_t code, std::string_view reason, std::string* out);
  // Octets of a message that is not complete yet.
  size_t buffered_bytes() const;

  // A frame as every server sends it uncompressed: the same octets for every peer.
  static void AppendServerFrame(FrameKind kind, std::string_view payload, std::string* out);

 private:
  class Processor;
  bool TakeShort(const uint8_t* data, size_t size, Fed* fed) const;
  void AppendPrepared(FrameKind kind, std::string_view payload, std::string* out);

  const FrameOptions options_;
  const std::unique_ptr<Processor> processor_;
};

}  // namespace viaduct::websocket
