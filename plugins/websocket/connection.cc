#include "plugins/websocket/connection.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "plugins/common/http_engine.h"
#include "plugins/common/tls_channel.h"

namespace viaduct::websocket {
namespace {

constexpr absl::Duration kLinger = absl::Seconds(2);
constexpr size_t kKeepBufferBytes = 4096;     // An idle connection's strings hold no more.
constexpr size_t kMaxEarlyBytes = 64u << 10;  // Of a next request, before the answer to this one.
constexpr size_t kMinBytesPerSecond = 8u << 10;

std::string_view HeaderOf(const HttpRequest& request, std::string_view name) {
  for (const auto& [key, value] : request.headers) {
    if (key == name) return value;
  }
  return {};
}

bool AsksForWebSocket(const HttpRequest& request) {
  const std::string_view upgrade = HeaderOf(request, "upgrade");
  return absl::EqualsIgnoreCase(absl::string_view(upgrade.data(), upgrade.size()), "websocket");
}

void Release(std::string* text) {
  if (text->empty() && text->capacity() > kKeepBufferBytes) std::string().swap(*text);
}

}  // namespace

Connection::Connection(ConnectionOwner* owner, std::unique_ptr<Stream> stream, PeerNames peer)
    : owner_(owner), stream_(std::move(stream)), peer_(std::move(peer)) {}

void Connection::SetDeadline(absl::Duration from_now) {
  owner_->deadlines().Set(this, absl::ToChronoNanoseconds(from_now));
}

void Connection::Start() {
  const ServerOptions& options = owner_->options();
  ScanLimits limits;
  limits.max_header_bytes = options.max_header_bytes;
  limits.max_body_bytes = options.max_payload_bytes;
  http_ = std::make_unique<Http>(limits);
  SetDeadline(options.tls_handshake_timeout);
  const auto self = shared_from_this();
  stream_->Handshake(
      [self] {
        self->owner_->BeginStep();
        self->HoldBeside(TlsChannel::kHandshakeBytes);
        self->owner_->EndStep();
      },
      [self](const Stream::Error& error) { self->OnHandshake(error); });
}

void Connection::OnHandshake(const Stream::Error& error) {
  if (state_ != State::kHandshake) return;
  HoldBeside(0);
  if (error) {
    ++owner_->stats().failed_handshakes;
    // The peer may want to read why.
    return Linger();
  }
  certificate_ = stream_->certificate();
  state_ = State::kRequest;
  SetDeadline(owner_->options().request_timeout);
  Read();
}

void Connection::Read() {
  // A peer that asks and does not read is not listened to.
  const bool full = (state_ == State::kAnswering && in_.size() >= kMaxEarlyBytes) ||
                    (state_ == State::kRequest && Sending());
  if (reading_ || state_ == State::kClosed || full || (paused_ && state_ == State::kWebSocket)) {
    return;
  }
  reading_ = true;
  stream_->Read(
      [self = shared_from_this()](const Stream::Error& error, uint8_t* data, size_t size) {
        self->owner_->BeginStep();
        self->OnRead(error, data, size);
        self->owner_->EndStep();
      });
}

void Connection::OnRead(const Stream::Error& error, uint8_t* data, size_t size) {
  reading_ = false;
  if (state_ == State::kClosed) return;
  owner_->stats().bytes_in += size;
  if (error) return Abort();
  switch (state_) {
    case State::kRequest:
    case State::kAnswering:
      if (in_.empty()) request_began_ = std::chrono::steady_clock::now();
      in_.append(reinterpret_cast<const char*>(data), size);
      StepHttp();
      break;
    case State::kWebSocket:
      heard_ = heard_ || size > 0;
      FeedFrames(data, size);
      break;
    default:  // Whatever still comes is not wanted.
      break;
  }
  Settle();
  Read();
}

void Connection::Settle() {
  if (state_ == State::kClosed) return;
  Release(&in_);
  Release(&out_);
  const size_t assembled = codec_ == nullptr ? 0 : codec_->buffered_bytes();
  owner_->budget().Set(this, in_.size() + out_.size() + writing_.size() + assembled + beside_);
}

void Connection::HoldBeside(size_t bytes) {
  if (bytes == beside_) return;
  beside_ = bytes;
  Settle();
}

// What it says last must not wait behind octets that nobody reads.
void Connection::GiveWay() {
  const auto self = shared_from_this();
  ++owner_->stats().crowded_out;
  std::string().swap(in_);
  const bool unread = out_.size() + writing_.size() > Budget::kSmallBytes;
  if (state_ == State::kRequest && !Sending()) {
    Refuse(503, "too much is being received");
  } else if (state_ == State::kWebSocket && !unread) {
    CloseWebSocket(kCloseTryAgainLater, "too much at once");
    codec_.reset();
  } else {
    Abort();
  }
  Settle();
}

// ---- HTTP

void Connection::StepHttp() {
  if (stepping_) return;
  stepping_ = true;
  const auto self = shared_from_this();
  while (state_ == State::kRequest && !in_.empty() && !Sending()) {
    const ScanResult result = http_->scanner.Scan(in_);
    if (result == ScanResult::kComplete) {
      TakeRequest();
      continue;
    }
    if (result != ScanResult::kNeedMore) {
      Refuse(result);
    } else {
      AwaitRequest();
      if (http_->scanner.TakeExpectsContinue()) {
        out_ += "HTTP/1.1 100 Continue\r\n\r\n";
        Flush();
      }
    }
    break;
  }
  stepping_ = false;
}

// Counts from the first octet: one now and then buys no time, a body earns it as it comes.
void Connection::AwaitRequest() {
  const ServerOptions& options = owner_->options();
  if (in_.empty()) return SetDeadline(options.idle_timeout);
  const auto earned = static_cast<int64_t>(in_.size() / kMinBytesPerSecond);
  const absl::Duration spent = absl::FromChrono(std::chrono::steady_clock::now() - request_began_);
  SetDeadline(
      std::max(options.request_timeout + absl::Seconds(earned) - spent, absl::ZeroDuration()));
}

void Connection::TakeRequest() {
  const size_t bytes = http_->scanner.request_bytes();
  ParsedRequest parsed = owner_->http().Parse(in_.data(), bytes);
  http_->scanner.Reset();
  http_->keep_alive = parsed.keep_alive;
  http_->is_head = parsed.is_head;
  ++owner_->stats().requests;
  const bool is_upgrade = parsed.accepted && AsksForWebSocket(parsed.request);
  if (is_upgrade) http_->header.assign(in_, 0, bytes);
  in_.erase(0, bytes);
  if (!parsed.accepted) {
    ++owner_->stats().refused;
    out_ += parsed.answer;
    if (!parsed.keep_alive || parsed.answer.empty()) Finish();
    return Flush();
  }
  state_ = State::kAnswering;
  owner_->deadlines().Clear(this);
  parsed.request.peer = peer_.name;
  parsed.request.certificate = certificate_;
  owner_->OnRequest(shared_from_this(), std::move(parsed.request), is_upgrade);
}

void Connection::Answer(const HttpReply& reply) {
  if (state_ != State::kAnswering) return;
  receiver_ = nullptr;
  state_ = State::kRequest;
  http_->header.clear();
  WriteReply(reply, {http_->is_head, http_->keep_alive}, &out_);
  if (!http_->keep_alive) Finish();
  Flush();  // Goes on with the next request once this is written.
  Settle();
  Read();
}

void Connection::Refuse(ScanResult why) {
  const ScanRefusal refusal = RefusalOf(why);
  Refuse(refusal.status, refusal.reason);
}

void Connection::Refuse(int status, const char* reason) {
  ++owner_->stats().refused;
  std::string().swap(in_);
  WriteReply(Problem(status, reason), {/*without_body=*/false, /*keep_alive=*/false}, &out_);
  Finish();
  Flush();
}

// ---- WebSocket

bool Connection::AcceptWebSocket(Receiver* receiver) {
  if (state_ != State::kAnswering) return false;
  const ServerOptions& options = owner_->options();
  auto codec = std::make_unique<FrameCodec>(
      FrameOptions{/*is_server=*/true, options.max_payload_bytes, options.deflate});
  std::string answer;
  const bool accepted = codec->Accept(http_->header, &answer);
  out_ += answer;
  http_.reset();
  if (!accepted) {
    ++owner_->stats().refused;
    Finish();
    Flush();
    return false;
  }
  codec_ = std::move(codec);
  receiver_ = receiver;
  state_ = State::kWebSocket;
  // Frames that came on the heels of the handshake wait until it is answered.
  early_ = !in_.empty();
  paused_ = early_;
  early_ ? Flush() : FlushSoon();
  return true;
}

void Connection::FeedFrames(uint8_t* data, size_t size) {
  const auto self = shared_from_this();
  feeding_ = true;
  FeedFramesOnce(data, size);
  feeding_ = false;
}

void Connection::FeedFramesOnce(uint8_t* data, size_t size) {
  while (size > 0 && state_ == State::kWebSocket) {
    if (paused_) {
      in_.append(reinterpret_cast<const char*>(data), size);
      return;
    }
    FrameCodec::Fed fed = codec_->Feed(data, size);
    if (fed.error != 0) return FailWebSocket(fed.error, fed.why);
    data += fed.used;
    size -= fed.used;
    if (!fed.complete || !OnFrame(std::move(fed.frame))) return;
  }
}

bool Connection::OnFrame(ReceivedFrame frame) {
  switch (frame.kind) {
    case FrameKind::kPing:
      // Pongs that nobody reads are no reason to hold memory for them.
      if (out_.size() < kMaxEarlyBytes) codec_->Append(FrameKind::kPong, frame.payload, &out_);
      FlushSoon();
      return state_ == State::kWebSocket;
    case FrameKind::kPong:
      ponged_ = ponged_ || (pings_ > 0 && frame.payload == std::to_string(pings_));
      return true;
    case FrameKind::kClose: {
      codec_->AppendClose(frame.close_code, "", &out_);
      Receiver* const receiver = TakeReceiver();
      Finish();
      Flush();
      if (receiver != nullptr) receiver->OnGone(this);
      return false;
    }
    default:
      if (receiver_ != nullptr) {
        receiver_->OnMessage(frame.kind == FrameKind::kBinary, std::move(frame.payload));
      }
      return state_ == State::kWebSocket;
  }
}

void Connection::FailWebSocket(uint16_t code, const std::string& why) {
  ++owner_->stats().violations;
  CloseWebSocket(code, why);
}

void Connection::CloseWebSocket(uint16_t code, std::string_view reason) {
  constexpr size_t kMaxReasonBytes = 100;
  if (state_ != State::kWebSocket) return;
  const auto self = shared_from_this();
  codec_->AppendClose(code, reason.substr(0, kMaxReasonBytes), &out_);
  Receiver* const receiver = TakeReceiver();
  Finish();
  Flush();
  if (receiver != nullptr) receiver->OnGone(this);
}

bool Connection::HasRoomFor(size_t bytes) {
  const size_t limit = owner_->options().max_unsent_bytes;
  const auto fits = [&] {
    const size_t unsent = out_.size() + writing_.size();
    return unsent == 0 || unsent + bytes <= limit;
  };
  if (!fits()) Flush();
  if (fits()) return true;
  ++owner_->stats().slow_readers;
  Abort();
  return false;
}

void Connection::SendMessage(bool binary, std::string_view payload) {
  if (state_ != State::kWebSocket || !HasRoomFor(payload.size())) return;
  codec_->Append(binary ? FrameKind::kBinary : FrameKind::kText, payload, &out_);
  ++owner_->stats().sent;
  FlushSoon();
}

void Connection::SendFrame(const std::string& frame, bool binary, std::string_view payload) {
  if (owner_->options().deflate) return SendMessage(binary, payload);
  if (state_ != State::kWebSocket || !HasRoomFor(frame.size())) return;
  out_ += frame;
  ++owner_->stats().sent;
  FlushSoon();
}

void Connection::SendPing() {
  if (state_ != State::kWebSocket) return;
  ponged_ = false;
  codec_->Append(FrameKind::kPing, std::to_string(++pings_), &out_);
  Flush();
}

void Connection::Pause() { paused_ = true; }

void Connection::Resume() {
  if (!std::exchange(paused_, false)) return;
  heard_ = true;
  // Whoever feeds goes on by itself, and reads when it is through: TLS would read into the very
  // octets that are being used.
  if (feeding_) return;
  const auto self = shared_from_this();
  std::string held;
  held.swap(in_);
  if (state_ == State::kWebSocket && !held.empty()) {
    FeedFrames(reinterpret_cast<uint8_t*>(held.data()), held.size());
  }
  Settle();
  Read();
}

// ---- sending and ending

void Connection::FlushSoon() {
  if (!flushes_later_) flushes_later_ = owner_->FlushLater(shared_from_this());
  if (!flushes_later_) Flush();
}

void Connection::Flush() {
  flushes_later_ = false;
  if (state_ == State::kClosed) return;
  // Whoever does not read, and says nothing, is counted by this alone.
  if (!writing_.empty()) return Settle();
  if (out_.empty()) {
    if (state_ == State::kFlushing) Linger();
    return;
  }
  if (FlushNow()) return Settle();
  writing_.swap(out_);
  if (state_ == State::kWebSocket || state_ == State::kFlushing) {
    SetDeadline(owner_->options().stall_timeout);
  } else {
    // A large answer may take its time.
    const auto earned = static_cast<int64_t>(writing_.size() / kMinBytesPerSecond);
    SetDeadline(owner_->options().stall_timeout + absl::Seconds(earned));
  }
  Settle();
  stream_->Write(writing_, [self = shared_from_this()](const Stream::Error& error) {
    self->owner_->BeginStep();
    self->OnWritten(error);
    self->owner_->EndStep();
  });
}

// What goes out of an open WebSocket has mostly gone at once.
bool Connection::FlushNow() {
  if (state_ != State::kWebSocket || early_) return false;
  const size_t sent = stream_->WriteSome(out_);
  owner_->stats().bytes_out += sent;
  out_.erase(0, sent);
  return out_.empty();
}

void Connection::OnWritten(const Stream::Error& error) {
  if (state_ == State::kClosed) return;
  if (error) return Abort();
  owner_->stats().bytes_out += writing_.size();
  writing_.clear();
  Release(&writing_);
  if (state_ == State::kWebSocket) owner_->deadlines().Clear(this);
  Flush();
  if (std::exchange(early_, false)) Resume();
  if (state_ != State::kRequest || Sending()) return Settle();
  request_began_ = std::chrono::steady_clock::now();
  AwaitRequest();
  StepHttp();
  Settle();
  Read();
}

void Connection::Finish() { state_ = State::kFlushing; }

// Closing with octets unread would reset the connection and may take the last answer with it.
void Connection::Linger() {
  state_ = State::kLinger;
  std::string().swap(in_);
  codec_.reset();
  stream_->ShutdownSend();
  SetDeadline(kLinger);
  Read();
}

Receiver* Connection::TakeReceiver() {
  beside_ = 0;
  return std::exchange(receiver_, nullptr);
}

void Connection::Abort() {
  if (state_ == State::kClosed) return;
  const auto self = shared_from_this();
  state_ = State::kClosed;
  owner_->deadlines().Clear(this);
  owner_->budget().Set(this, 0);
  stream_->Close();
  Receiver* const receiver = TakeReceiver();
  if (receiver != nullptr) receiver->OnGone(this);
  owner_->OnClosed(this);
}

void Connection::OnDeadline() {
  const auto self = shared_from_this();
  switch (state_) {
    case State::kHandshake:
      ++owner_->stats().timed_out_handshakes;
      return Abort();
    case State::kWebSocket:
      ++owner_->stats().slow_readers;
      return Abort();
    case State::kRequest:
      if (Sending()) ++owner_->stats().slow_readers;
      if (Sending() || in_.empty()) return Abort();  // Else it is idle.
      ++owner_->stats().timed_out;
      return Refuse(408, "the request took too long");
    case State::kFlushing:
      ++owner_->stats().slow_readers;
      return Abort();
    default:
      return Abort();
  }
}

}  // namespace viaduct::websocket
