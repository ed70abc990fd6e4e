#include "plugins/websocket/frame_codec.h"

#define _WEBSOCKETPP_CPP11_STL_  // NOLINT(bugprone-reserved-identifier): its own switch.
#include <algorithm>
#include <cstring>
#include <exception>
#include <websocketpp/close.hpp>
#include <websocketpp/config/core.hpp>
#include <websocketpp/extensions/permessage_deflate/enabled.hpp>
#include <websocketpp/processors/hybi13.hpp>
#include <websocketpp/processors/processor.hpp>
#include <websocketpp/random/random_device.hpp>
#include <websocketpp/utf8_validator.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace viaduct::websocket {
namespace {

namespace wspp = websocketpp;

constexpr size_t kKeyBytes = 16;           // Of Sec-WebSocket-Key, decoded.
constexpr size_t kInflateStepBytes = 512;  // At most a thousandfold of it comes out at once.

wspp::lib::error_code TooBig() {
  return wspp::processor::error::make_error_code(wspp::processor::error::message_too_big);
}

// websocketpp limits a message before decompression only; this one limits what comes out.
template <typename Config>
class BoundedDeflate : public wspp::extensions::permessage_deflate::enabled<Config> {
 public:
  using Base = wspp::extensions::permessage_deflate::enabled<Config>;

  void set_limit(size_t bytes) { limit_ = bytes; }
  void set_offered(bool offered) { offered_ = offered; }
  bool is_implemented() const { return offered_; }

  wspp::lib::error_code decompress(const uint8_t* data, size_t size, std::string& out) {
    while (size > 0) {
      const size_t step = std::min(size, kInflateStepBytes);
      const wspp::lib::error_code error = Base::decompress(data, step, out);
      if (error) return error;
      if (out.size() > limit_) return TooBig();
      data += step;
      size -= step;
    }
    return wspp::lib::error_code();
  }

 private:
  size_t limit_ = 0;
  bool offered_ = false;
};

struct CodecConfig : public wspp::config::core {
  struct DeflateConfig {};
  typedef BoundedDeflate<DeflateConfig> permessage_deflate_type;
  typedef wspp::random::random_device::int_generator<uint32_t, concurrency_type> rng_type;
  static const bool enable_extensions = true;
};

CodecConfig::rng_type& Random() {
  thread_local CodecConfig::rng_type random;
  return random;
}

std::string ErrorAnswer(int status, absl::string_view reason, absl::string_view fields,
                        absl::string_view message) {
  const std::string body = absl::StrCat("{\"success\":false,\"message\":\"", message, "\"}");
  return absl::StrCat("HTTP/1.1 ", status, " ", reason, "\r\n", fields,
                      "content-type: application/json\r\nconnection: close\r\ncontent-length: ",
                      body.size(), "\r\n\r\n", body);
}

bool IsKey(const std::string& key) {
  std::string octets;
  return absl::Base64Unescape(key, &octets) && octets.size() == kKeyBytes;
}

bool Contains(const std::string& list, absl::string_view token) {
  return absl::StrContains(absl::AsciiStrToLower(list), token);
}

// The octets of a frame, unmasked.
void AppendUnmasked(const uint8_t* data, size_t size, const uint8_t* key, std::string* out) {
  out->resize(size);
  uint8_t twice[8];
  for (size_t i = 0; i < sizeof twice; ++i) twice[i] = key[i % 4];
  uint64_t mask = 0;
  std::memcpy(&mask, twice, sizeof mask);
  size_t at = 0;
  for (; at + sizeof mask <= size; at += sizeof mask) {
    uint64_t word = 0;
    std::memcpy(&word, data + at, sizeof word);
    word ^= mask;
    std::memcpy(out->data() + at, &word, sizeof word);
  }
  for (; at < size; ++at) (*out)[at] = static_cast<char>(data[at] ^ key[at % 4]);
}

bool IsUtf8(const std::string& text) {
  constexpr uint64_t kHigh = 0x8080808080808080;
  size_t at = 0;
  for (uint64_t word = 0; at + sizeof word <= text.size(); at += sizeof word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    if ((word & kHigh) != 0) break;
  }
  return wspp::utf8_validator::validate(text.substr(at));
}

uint16_t CloseCodeOf(const wspp::lib::error_code& error) {
  if (error == wspp::processor::error::non_minimal_encoding) return kCloseProtocolError;
  const uint16_t code = wspp::processor::error::to_ws(error);
  // What zlib refuses is the peer's doing as well.
  return code == wspp::close::status::blank ? kCloseBadPayload : code;
}

}  // namespace

class FrameCodec::Processor final : public wspp::processor::hybi13<CodecConfig> {
 public:
  using Base = wspp::processor::hybi13<CodecConfig>;

  explicit Processor(const FrameOptions& options)
      : Base(false, options.is_server, std::make_shared<CodecConfig::con_msg_manager_type>(),
             Random()) {
    set_max_message_size(options.max_message_bytes);
    m_permessage_deflate.set_limit(options.max_message_bytes);
    m_permessage_deflate.set_offered(options.deflate);
  }

  bool compresses() const { return m_permessage_deflate.is_enabled(); }
  // The next octet begins a message.
  bool between_messages() const {
    return m_state == HEADER_BASIC && m_bytes_needed == wspp::frame::BASIC_HEADER_LENGTH &&
           m_data_msg.msg_ptr == nullptr;
  }
  size_t buffered_bytes() const {
    return m_data_msg.msg_ptr == nullptr ? 0 : m_data_msg.msg_ptr->get_payload().size();
  }
  message_ptr NewMessage(wspp::frame::opcode::value opcode, size_t size) {
    return m_msg_manager->get_message(opcode, size);
  }

  CodecConfig::request_type request;  // Of a client, until it is answered.
};

FrameCodec::FrameCodec(const FrameOptions& options)
    : options_(options), processor_(std::make_unique<Processor>(options)) {}

FrameCodec::~FrameCodec() = default;

bool FrameCodec::Accept(std::string_view request_header, std::string* answer) {
  CodecConfig::request_type request;
  const auto refuse = [answer](absl::string_view message) {
    *answer = ErrorAnswer(400, "Bad Request", "", message);
    return false;
  };
  try {
    request.consume(request_header.data(), request_header.size());
    if (!request.ready()) return refuse("the handshake is not complete");
    if (request.get_header("Sec-WebSocket-Version") != "13") {
      *answer = ErrorAnswer(426, "Upgrade Required", "sec-websocket-version: 13\r\n",
                            "WebSocket version 13 is spoken here");
      return false;
    }
    if (processor_->validate_handshake(request)) return refuse("not a WebSocket handshake");
    if (request.get_header("Host").empty()) return refuse("Host: missing");
    if (!IsKey(request.get_header("Sec-WebSocket-Key"))) {
      return refuse("Sec-WebSocket-Key: not 16 octets in base64");
    }
    CodecConfig::response_type response;
    const auto extensions = processor_->negotiate_extensions(request);
    if (!extensions.first && !extensions.second.empty()) {
      response.replace_header("Sec-WebSocket-Extensions", extensions.second);
    }
    response.set_version("HTTP/1.1");
    response.set_status(wspp::http::status_code::switching_protocols);
    if (processor_->process_handshake(request, "", response)) return refuse("handshake: refused");
    *answer = response.raw();
    return true;
  } catch (const std::exception&) {  // websocketpp throws for malformed header fields.
    return refuse("not a WebSocket handshake");
  }
}

std::string FrameCodec::MakeRequest(
    std::string_view host_and_port, std::string_view resource,
    const std::vector<std::pair<std::string, std::string>>& headers) {
  auto& request = processor_->request;
  const auto uri = std::make_shared<wspp::uri>(false, "localhost", "/");
  processor_->client_handshake_request(request, uri, {});
  request.set_uri(std::string(resource));
  request.replace_header("Host", std::string(host_and_port));
  for (const auto& [name, value] : headers) request.replace_header(name, value);
  return request.raw();
}

bool FrameCodec::CheckAnswer(std::string_view answer_header, std::string* why) {
  try {
    CodecConfig::response_type response;
    response.consume(answer_header.data(), answer_header.size());
    const auto error =
        processor_->validate_server_handshake_response(processor_->request, response);
    if (error) {
      *why = absl::StrCat("handshake: HTTP ", static_cast<int>(response.get_status_code()), ", ",
                          error.message());
      return false;
    }
    const auto extensions = processor_->negotiate_extensions(response);
    const bool offered = Contains(response.get_header("Sec-WebSocket-Extensions"), "deflate");
    if (!extensions.first && offered == processor_->compresses()) return true;
    *why = "handshake: the server uses an extension that was not agreed on";
  } catch (const std::exception&) {
    *why = "handshake: not an HTTP answer";
  }
  return false;
}

// Most messages are one short frame that is all there. Whatever is unusual about it is left to
// websocketpp: the octets are as they were.
bool FrameCodec::TakeShort(const uint8_t* data, size_t size, Fed* fed) const {
  constexpr uint8_t kWholeText = 0x81, kWholeBinary = 0x82, kMasked = 0x80;
  constexpr size_t kShortest = 126, kKeyBytes = 4;
  if (!options_.is_server || size < 2 || !processor_->between_messages()) return false;
  if (data[0] != kWholeText && data[0] != kWholeBinary) return false;
  if ((data[1] & kMasked) == 0) return false;
  size_t length = data[1] & ~kMasked;
  size_t head = 2;
  if (length > kShortest || size < 2 + 2) return false;
  if (length == kShortest) {
    length = static_cast<size_t>(data[2]) << 8 | data[3];
    head += 2;
    if (length < kShortest) return false;
  }
  head += kKeyBytes;
  if (size < head + length || length > options_.max_message_bytes) return false;
  AppendUnmasked(data + head, length, data + head - kKeyBytes, &fed->frame.payload);
  if (data[0] == kWholeText && !IsUtf8(fed->frame.payload)) return false;
  fed->frame.kind = data[0] == kWholeText ? FrameKind::kText : FrameKind::kBinary;
  fed->used = head + length;
  fed->complete = true;
  return true;
}

FrameCodec::Fed FrameCodec::Feed(uint8_t* data, size_t size) {
  Fed fed;
  if (TakeShort(data, size, &fed)) return fed;
  fed.frame.payload.clear();
  wspp::lib::error_code error;
  try {
    fed.used = processor_->consume(data, size, error);
  } catch (const std::exception&) {   // Memory for what the peer has announced.
    fed.error = kCloseTryAgainLater;  // Nothing is wrong with the message.
    fed.why = "no memory for a message of that size";
    return fed;
  }
  if (error) {
    fed.error = CloseCodeOf(error);
    fed.why = error.message();
    return fed;
  }
  if (!processor_->ready()) return fed;
  const auto message = processor_->get_message();
  fed.complete = true;
  fed.frame.kind = static_cast<FrameKind>(message->get_opcode());
  fed.frame.payload.swap(message->get_raw_payload());
  if (fed.frame.kind != FrameKind::kClose) return fed;
  const auto code = wspp::close::extract_code(fed.frame.payload, error);
  if (error) {
    fed.error = kCloseProtocolError;
    fed.why = "not a code to close with";
    return fed;
  }
  const std::string reason = wspp::close::extract_reason(fed.frame.payload, error);
  if (error) {
    fed.error = kCloseBadPayload;
    fed.why = "the reason is not UTF-8";
    return fed;
  }
  fed.frame.close_code = code;
  fed.frame.payload = reason;
  return fed;
}

size_t FrameCodec::buffered_bytes() const { return processor_->buffered_bytes(); }

void FrameCodec::Append(FrameKind kind, std::string_view payload, std::string* out) {
  const bool control = kind >= FrameKind::kClose;
  if (options_.is_server && (control || !processor_->compresses())) {
    return AppendServerFrame(kind, payload, out);
  }
  AppendPrepared(kind, payload, out);
}

void FrameCodec::AppendPrepared(FrameKind kind, std::string_view payload, std::string* out) {
  const auto opcode = static_cast<wspp::frame::opcode::value>(kind);
  const auto from = processor_->NewMessage(opcode, payload.size());
  const auto to = processor_->NewMessage(opcode, payload.size());
  wspp::lib::error_code error;
  if (kind == FrameKind::kPing) {
    error = processor_->prepare_ping(std::string(payload), to);
  } else if (kind == FrameKind::kPong) {
    error = processor_->prepare_pong(std::string(payload), to);
  } else {
    from->set_payload(payload.data(), payload.size());
    from->set_compressed(true);
    error = processor_->prepare_data_frame(from, to);
  }
  if (error) return;  // Not text although it says so: nothing that a peer could read.
  out->append(to->get_header());
  out->append(to->get_payload());
}

void FrameCodec::AppendClose(uint16_t code, std::string_view reason, std::string* out) {
  const auto to = processor_->NewMessage(wspp::frame::opcode::close, reason.size());
  if (processor_->prepare_close(code, std::string(reason), to)) return;
  out->append(to->get_header());
  out->append(to->get_payload());
}

void FrameCodec::AppendServerFrame(FrameKind kind, std::string_view payload, std::string* out) {
  constexpr size_t kShort = 125;
  constexpr size_t kMedium = 0xffff;
  constexpr unsigned kFinal = 0x80;
  const uint64_t size = payload.size();
  out->push_back(static_cast<char>(kFinal | static_cast<unsigned>(kind)));
  const int octets = size <= kShort ? 0 : size <= kMedium ? 2 : 8;
  out->push_back(static_cast<char>(octets == 0 ? size : octets == 2 ? 126 : 127));
  for (int shift = (octets - 1) * 8; shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>(size >> shift));
  }
  out->append(payload);
}

}  // namespace viaduct::websocket
