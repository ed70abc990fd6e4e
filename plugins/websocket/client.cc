#include "plugins/websocket/client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "plugins/common/tls_context.h"
#include "plugins/websocket/client_impl.h"
#include "plugins/websocket/socketio_packet.h"

namespace viaduct::websocket {
namespace {

namespace asio = boost::asio;

constexpr size_t kMaxAnswerHeaderBytes = 32u << 10;
constexpr size_t kMaxAnswerBytes = 1u << 20;  // One message of the server.
constexpr char kDefaultPath[] = "/socket.io/";

}  // namespace

// ---- from any thread

absl::Status Client::Impl::Start() {
  const absl::Status url = ReadServerUrl(options_.server_url, &address_);
  if (!url.ok()) return url;
  if (address_.secure) {
    const auto context = MakeRoadContext(options_.tls, address_.host, absl::Now());
    if (!context.ok()) return context.status();
  }
  work_.emplace(loop_.get_executor());
  attempts_left_ = options_.reconnect_attempts;
  asio::post(loop_, [this] { Connect(); });
  thread_ = std::thread([this] { loop_.run(); });
  return absl::OkStatus();
}

size_t Client::Impl::credit() const {
  absl::MutexLock lock(&mutex_);
  if (stopped_ || held_bytes_ >= options_.max_unsent_bytes) return 0;
  return options_.window - std::min(options_.window, held_);
}

bool Client::Impl::Take(Delivery delivery) {
  absl::MutexLock lock(&mutex_);
  const size_t bytes = delivery.envelope.size();
  const bool fits = held_ == 0 || held_bytes_ + bytes <= options_.max_unsent_bytes;
  if (stopped_ || held_ >= options_.window || !fits) return false;
  ++held_;
  held_bytes_ += bytes;
  mail_.push_back(std::move(delivery));
  if (!std::exchange(woken_, true)) asio::post(loop_, [this] { TakeMail(); });
  return true;
}

void Client::Impl::Cancel(absl::Span<const uint64_t> tokens) {
  absl::MutexLock lock(&mutex_);
  cancelled_.insert(cancelled_.end(), tokens.begin(), tokens.end());
  if (!std::exchange(woken_, true)) asio::post(loop_, [this] { TakeMail(); });
}

bool Client::Impl::Drain(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto empty = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return held_ + telling_ == 0; };
  return mutex_.AwaitWithTimeout(absl::Condition(&empty), timeout);
}

void Client::Impl::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(stopped_, true)) return;
  }
  if (!thread_.joinable()) return;
  asio::post(loop_, [this] {
    EndProbe(absl::CancelledError("probe: the instance stops"));
    EndAll(DeliveryOutcome::kCancelled, absl::CancelledError("the instance stops"));
    phase_ = Phase::kEnded;
    CloseAll();
    deadlines_.Stop();
    work_.reset();
  });
  thread_.join();
}

bool Client::Impl::Probe(absl::Duration timeout, ProbeFn done) {
  absl::MutexLock lock(&mutex_);
  if (stopped_ || std::exchange(probe_asked_, true)) return false;
  asio::post(loop_, [this, timeout, done = std::move(done)]() mutable {
    probe_ = std::move(done);
    probe_due_ = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
    if (phase_ == Phase::kEnded) return EndProbe(absl::CancelledError("probe: the instance stops"));
    if (phase_ == Phase::kIdle) Connect();
    if (phase_ == Phase::kReady) SendProbe();
    ArmAnswerTimer();
  });
  return true;
}

void Client::Impl::Answer(uint64_t ticket, std::string body) {
  asio::post(loop_, [this, ticket, body = std::move(body)] {
    const auto found = commands_.find(ticket);
    if (found == commands_.end() || phase_ != Phase::kReady) return;
    const std::optional<uint64_t> ack_id = found->second;
    commands_.erase(found);
    if (options_.raw) return SendText(body);
    if (ack_id.has_value()) SendText(absl::StrCat("43", *ack_id, "[", body, "]"));
  });
}

void Client::Impl::Introduce(std::string event, std::string body) {
  asio::post(loop_, [this, event = std::move(event), body = std::move(body)]() mutable {
    if (phase_ != Phase::kReady) return;
    introduction_ = {std::move(event), std::move(body)};
    SayIntroduction();
  });
}

// ---- connecting

void Client::Impl::Connect() {
  if (phase_ != Phase::kIdle) return;
  phase_ = Phase::kConnecting;
  const uint64_t number = ++connection_;
  deadlines_.Clear(&redial_);
  deadlines_.Set(this, absl::ToChronoNanoseconds(options_.connect_timeout));
  resolver_.async_resolve(
      address_.host, address_.port,
      [this, number](const Error& error, const Tcp::resolver::results_type& all) {
        if (number != connection_ || phase_ != Phase::kConnecting) return;
        if (!error) return Dial(number, all);
        Lose(absl::UnavailableError(
            absl::StrCat("connect: ", address_.host, ", ", error.message())));
      });
}

void Client::Impl::Dial(uint64_t number, const Tcp::resolver::results_type& all) {
  connecting_ = std::make_shared<Tcp::socket>(loop_);
  asio::async_connect(
      *connecting_, all,
      [this, number, socket = connecting_](const Error& error, const Tcp::endpoint&) {
        if (number != connection_ || phase_ != Phase::kConnecting) return;
        if (!error) return OnConnected(std::move(*socket));
        Lose(absl::UnavailableError(
            absl::StrCat("connect: ", address_.host, ":", address_.port, ", ", error.message())));
      });
}

void Client::Impl::OnConnected(Tcp::socket socket) {
  Error ignored;
  socket.set_option(Tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  phase_ = Phase::kHandshake;
  if (address_.secure) {
    // With the files as they are now: a renewed certificate is shown from here on.
    const auto context = MakeRoadContext(options_.tls, address_.host, absl::Now());
    if (!context.ok()) return Lose(context.status());
    stream_ = MakeTlsStream(std::move(socket), *context, address_.host, &buffer_);
  } else {
    stream_ = MakePlainStream(std::move(socket), &buffer_);
  }
  stream_->Handshake(nullptr, [this, number = connection_, keep = stream_](const Error& error) {
    if (number != connection_ || phase_ != Phase::kHandshake) return;
    if (error) return Lose(absl::UnavailableError(absl::StrCat("TLS: ", keep->Why(error))));
    SendHandshake();
    Read();
  });
}

void Client::Impl::SendHandshake() {
  codec_ = std::make_unique<FrameCodec>(
      FrameOptions{/*is_server=*/false, kMaxAnswerBytes, options_.deflate});
  std::vector<std::pair<std::string, std::string>> headers;
  if (!options_.api_key.empty()) headers.emplace_back("X-API-Key", options_.api_key);
  if (!options_.token.empty()) {
    headers.emplace_back("Authorization", absl::StrCat("Bearer ", options_.token));
  }
  std::string resource = address_.path;
  if (options_.raw) {
    if (resource.empty()) resource = "/";
  } else {
    if (resource.empty()) resource = kDefaultPath;
    absl::StrAppend(&resource, resource.find('?') == std::string::npos ? "?" : "&",
                    "EIO=4&transport=websocket");
  }
  const bool v6 = address_.host.find(':') != std::string::npos;
  out_ += codec_->MakeRequest(
      absl::StrCat(v6 ? "[" : "", address_.host, v6 ? "]" : "", ":", address_.port), resource,
      headers);
  Flush();
}

// False: it is not there yet, or not what it should be.
bool Client::Impl::ReadHandshake() {
  constexpr size_t kEndBytes = 4;
  const size_t end = in_.find("\r\n\r\n");
  if (end == std::string::npos) {
    if (in_.size() > kMaxAnswerHeaderBytes) Lose(absl::UnavailableError("handshake: no end"));
    return false;
  }
  std::string why;
  if (!codec_->CheckAnswer(std::string_view(in_).substr(0, end + kEndBytes), &why)) {
    Lose(absl::UnavailableError(why));
    return false;
  }
  in_.erase(0, end + kEndBytes);
  phase_ = Phase::kOpening;
  if (options_.raw) Ready();
  return true;
}

void Client::Impl::Read() {
  if (phase_ < Phase::kHandshake || phase_ == Phase::kEnded) return;
  stream_->Read(
      [this, number = connection_, keep = stream_](const Error& error, uint8_t* data, size_t size) {
        if (number == connection_ && phase_ >= Phase::kHandshake) OnRead(error, data, size);
      });
}

void Client::Impl::OnRead(const Error& error, uint8_t* data, size_t size) {
  if (phase_ == Phase::kEnded) return;
  if (error) {
    // TLS 1.3 tells of a certificate that is refused when the client believes to be through.
    return Lose(absl::UnavailableError(absl::StrCat("connection: ", stream_->Why(error))));
  }
  std::string early;
  if (phase_ == Phase::kHandshake) {
    in_.append(reinterpret_cast<const char*>(data), size);
    if (!ReadHandshake()) return Read();
    early.swap(in_);
    data = reinterpret_cast<uint8_t*>(early.data());
    size = early.size();
  }
  const uint64_t number = connection_;
  while (size > 0 && number == connection_ && phase_ >= Phase::kOpening) {
    FrameCodec::Fed fed = codec_->Feed(data, size);
    if (fed.error != 0) {
      return Lose(absl::UnavailableError(absl::StrCat("server: against RFC 6455, ", fed.why)));
    }
    data += fed.used;
    size -= fed.used;
    if (!fed.complete) break;
    OnFrame(fed.frame);
  }
  if (number == connection_) Read();
}

// ---- the outside

Client::Client(ClientOptions options, Events events)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(events))) {}
Client::~Client() { Stop(); }
absl::Status Client::Start() { return impl_->Start(); }
size_t Client::credit() const { return impl_->credit(); }
bool Client::Take(Delivery delivery) { return impl_->Take(std::move(delivery)); }
void Client::Cancel(absl::Span<const uint64_t> tokens) { impl_->Cancel(tokens); }
bool Client::Drain(absl::Duration timeout) { return impl_->Drain(timeout); }
void Client::Stop() { impl_->Stop(); }
bool Client::Probe(absl::Duration timeout, ProbeFn done) {
  return impl_->Probe(timeout, std::move(done));
}

void Client::Answer(uint64_t ticket, std::string body) { impl_->Answer(ticket, std::move(body)); }
void Client::Introduce(std::string event, std::string body) {
  impl_->Introduce(std::move(event), std::move(body));
}

}  // namespace viaduct::websocket
