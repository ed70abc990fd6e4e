#include "plugins/mqtt/session.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "plugins/common/tls_context.h"

namespace viaduct::mqtt {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr int64_t kFarewellNs = kNanosPerSecond;
constexpr int64_t kMiscIntervalNs = 500'000'000;  // How often keep-alive is looked at.
constexpr size_t kMaxReasonBytes = 256;
constexpr int kFirstRefusal = 0x80;  // Reason codes from here on are failures.

absl::Status Unavailable(std::string_view text) {
  return absl::UnavailableError(absl::StrCat(
      "broker: ", absl::string_view(text.data(), text.size()).substr(0, kMaxReasonBytes)));
}

// The properties of one packet. An empty list is null, which libmosquitto takes for none.
class Properties {
 public:
  Properties() = default;
  Properties(const Properties&) = delete;
  Properties& operator=(const Properties&) = delete;
  ~Properties() { mosquitto_property_free_all(&list_); }
  mosquitto_property** list() { return &list_; }
  const mosquitto_property* get() const { return list_; }

 private:
  mosquitto_property* list_ = nullptr;
};

std::string Correlation(const mosquitto_property* properties) {
  void* data = nullptr;
  uint16_t size = 0;
  if (properties == nullptr ||
      mosquitto_property_read_binary(properties, MQTT_PROP_CORRELATION_DATA, &data, &size, false) ==
          nullptr) {
    return "";
  }
  std::string out(static_cast<const char*>(data), size);
  std::free(data);
  return out;
}

}  // namespace

int64_t MonotonicNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// What libmosquitto calls, on the session's thread, inside Connect or Turn.
struct Session::Callbacks {
  static void OnConnect(mosquitto*, void* user, int reason, int, const mosquitto_property*) {
    auto* self = static_cast<Session*>(user);
    if (reason == 0) {
      self->connected_ = true;
      self->ArmSubscribeDeadline();
      return self->handler_->OnConnected();
    }
    const char* words = self->options_.version_5 ? mosquitto_reason_string(reason)
                                                 : mosquitto_connack_string(reason);
    self->Fail(Unavailable(absl::StrCat("refused the connection, ", words)));
  }
  static void OnSubscribe(mosquitto*, void* user, int id, int count, const int* granted,
                          const mosquitto_property*) {
    auto* self = static_cast<Session*>(user);
    const bool optional = self->optional_.erase(id) > 0;
    for (int i = 0; i < count; ++i) {
      if (granted[i] < kFirstRefusal || optional) continue;
      return self->Fail(absl::PermissionDeniedError(
          absl::StrCat("broker: refused subscription ", i + 1, " of ", count)));
    }
    if (--self->subscriptions_ > 0) return;
    self->subscribed_ = true;
    self->handler_->OnSubscribed();
  }
  static void OnMessage(mosquitto*, void* user, const mosquitto_message* message,
                        const mosquitto_property* properties) {
    auto* self = static_cast<Session*>(user);
    if (!self->ended_.ok()) return;  // Its PUBACK will not leave; it comes again.
    self->ArmSubscribeDeadline();
    const std::string correlation = Correlation(properties);
    Arrival arrival;
    arrival.topic = message->topic;
    if (message->payloadlen > 0) {
      arrival.payload = std::string_view(static_cast<const char*>(message->payload),
                                         static_cast<size_t>(message->payloadlen));
    }
    arrival.qos = message->qos;
    arrival.retain = message->retain;
    arrival.correlation = correlation;
    self->handler_->OnArrival(arrival);
  }
  static void OnPublish(mosquitto*, void* user, int id, int reason, const mosquitto_property*) {
    auto* self = static_cast<Session*>(user);
    self->answers_.Answered();
    self->handler_->OnPublished(id, reason);
  }
  static void OnUnsubscribe(mosquitto*, void* user, int id, const mosquitto_property*) {
    auto* self = static_cast<Session*>(user);
    self->answers_.Answered();
    self->handler_->OnUnsubscribed(id);
  }
  static void OnDisconnect(mosquitto*, void* user, int reason, const mosquitto_property*) {
    auto* self = static_cast<Session*>(user);
    if (self->stopping_.load() && reason == 0) return;
    // Beside libmosquitto's own small numbers: what an MQTT 5 broker gives as its reason.
    const char* words = reason >= kFirstRefusal ? mosquitto_reason_string(reason)
                        : reason == 0           ? "closed the connection"
                                                : mosquitto_strerror(reason);
    self->Fail(Unavailable(words));
  }
  static void OnLog(mosquitto*, void* user, int level, const char* text) {
    if (level == MOSQ_LOG_ERR) static_cast<Session*>(user)->library_error_ = text;
  }
};

Session::Session(SessionOptions options, SessionHandler* handler)
    : options_(std::move(options)),
      handler_(handler),
      answers_(options_.keepalive_s * kNanosPerSecond) {}

Session::~Session() { Stop(); }

absl::Status Session::Start() {
  const absl::Status opened = thread_.Open();
  if (!opened.ok()) return opened;
  const absl::Status made = MakeClient();
  if (!made.ok()) {
    Stop();
    return made;
  }
  thread_.Start([this] { Run(); });
  return absl::OkStatus();
}

void Session::Stop() {
  stopping_.store(true);
  Wake();
  thread_.Join();
  if (client_ != nullptr) mosquitto_destroy(std::exchange(client_, nullptr));
  if (std::exchange(library_ready_, false)) mosquitto_lib_cleanup();
  thread_.Stop();
}

void Session::Wake() { thread_.Wake(); }

absl::Status Session::MakeClient() {
  mosquitto_lib_init();
  library_ready_ = true;
  client_ = mosquitto_new(options_.client_id.c_str(), !options_.keep_session, this);
  if (client_ == nullptr) return absl::ResourceExhaustedError("libmosquitto: out of memory");
  // Queue what is to be sent, never write it on the spot.
  mosquitto_threaded_set(client_, true);
  mosquitto_int_option(client_, MOSQ_OPT_PROTOCOL_VERSION,
                       options_.version_5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
  mosquitto_int_option(client_, MOSQ_OPT_TCP_NODELAY, 1);
  mosquitto_int_option(client_, MOSQ_OPT_RECEIVE_MAXIMUM, options_.receive_maximum);
  mosquitto_connect_v5_callback_set(client_, &Callbacks::OnConnect);
  mosquitto_subscribe_v5_callback_set(client_, &Callbacks::OnSubscribe);
  mosquitto_message_v5_callback_set(client_, &Callbacks::OnMessage);
  mosquitto_publish_v5_callback_set(client_, &Callbacks::OnPublish);
  mosquitto_unsubscribe_v5_callback_set(client_, &Callbacks::OnUnsubscribe);
  mosquitto_disconnect_v5_callback_set(client_, &Callbacks::OnDisconnect);
  mosquitto_log_callback_set(client_, &Callbacks::OnLog);
  const Publication& will = options_.will;
  if (!will.topic.empty() &&
      mosquitto_will_set(client_, will.topic.c_str(), static_cast<int>(will.payload.size()),
                         will.payload.data(), will.qos, will.retain) != MOSQ_ERR_SUCCESS) {
    return absl::InvalidArgumentError("will: the topic is none");
  }
  return SetCredentials();
}

absl::Status Session::SetCredentials() {
  if (!options_.username.empty() &&
      mosquitto_username_pw_set(client_, options_.username.c_str(),
                                options_.password.empty() ? nullptr : options_.password.c_str()) !=
          MOSQ_ERR_SUCCESS) {
    return absl::InvalidArgumentError("username: not UTF-8");
  }
  return options_.broker.tls ? SetTls() : absl::OkStatus();
}

absl::Status Session::SetTls() {
  constexpr int kVerifyPeer = 1;
  const auto or_null = [](const std::string& text) {
    return text.empty() ? nullptr : text.c_str();
  };
  const TlsRoadOptions& tls = options_.tls;
  // libmosquitto says of no file what is wrong with it.
  const absl::Status usable = CheckRoad(tls, absl::Now());
  if (!usable.ok()) return usable;
  if (tls.ca_file.empty()) mosquitto_int_option(client_, MOSQ_OPT_TLS_USE_OS_CERTS, 1);
  if (!tls.ca_file.empty() || !tls.certificate.empty()) {
    const int code = mosquitto_tls_set(client_, or_null(tls.ca_file),
                                       tls.ca_file.empty() ? "/etc/ssl/certs" : nullptr,
                                       or_null(tls.certificate), or_null(tls.key), nullptr);
    if (code != MOSQ_ERR_SUCCESS) {
      return absl::FailedPreconditionError("tls: ca_file, certificate or key can not be read");
    }
  }
  // libmosquitto takes this for the oldest version.
  const char* const oldest = tls.min_version == TlsVersion::k13 ? "tlsv1.3" : "tlsv1.2";
  if (mosquitto_tls_opts_set(client_, kVerifyPeer, oldest, TlsSuites12()) != MOSQ_ERR_SUCCESS) {
    return absl::FailedPreconditionError("tls: not offered by this libmosquitto");
  }
  return absl::OkStatus();
}

absl::Status Session::Connect() {
  if (options_.version_5) {
    Properties properties;
    mosquitto_property_add_int32(
        properties.list(), MQTT_PROP_SESSION_EXPIRY_INTERVAL,
        options_.keep_session ? static_cast<uint32_t>(absl::ToInt64Seconds(options_.session_expiry))
                              : 0);
    mosquitto_property_add_int32(properties.list(), MQTT_PROP_MAXIMUM_PACKET_SIZE, kMaxPacketBytes);
    mosquitto_property_add_int16(properties.list(), MQTT_PROP_RECEIVE_MAXIMUM,
                                 static_cast<uint16_t>(options_.receive_maximum));
    // Only the connect that waits takes properties, and it keeps them for the one that does not:
    // nobody listens on port 0, so this comes back at once.
    mosquitto_connect_bind_v5(client_, "127.0.0.1", 0, options_.keepalive_s, nullptr,
                              properties.get());
  }
  const int code = mosquitto_connect_async(client_, options_.broker.host.c_str(),
                                           options_.broker.port, options_.keepalive_s);
  if (code == MOSQ_ERR_SUCCESS) return absl::OkStatus();
  if (code == MOSQ_ERR_EAI) {
    return Unavailable(absl::StrCat("no address for ", options_.broker.host));
  }
  if (code == MOSQ_ERR_ERRNO) return Unavailable(std::strerror(errno));
  return Unavailable(library_error_.empty() ? mosquitto_strerror(code) : library_error_.c_str());
}

void Session::Run() {
  const int64_t now = MonotonicNs();
  deadline_ns_ = now + absl::ToInt64Nanoseconds(options_.connect_timeout);
  addresses_ = std::make_unique<BrokerSocket>(options_.broker, options_.resolve, now, deadline_ns_);
  library_error_.clear();
  Fail(Connect());
  while (ended_.ok() && !stopping_.load()) Turn();
  const bool in_order = ended_.ok();
  if (in_order) SayFarewell();
  handler_->OnEnded(in_order ? absl::OkStatus() : ended_);
}

void Session::Turn() {
  const absl::Duration wait = handler_->OnTurn();
  if (!ended_.ok()) return;
  CheckDeadline();
  if (!ended_.ok()) return;
  Poll(wait);
  if (!ended_.ok() || !connected_) return;
  Check(mosquitto_loop_misc(client_), "keep-alive");
  if (ended_.ok()) CheckAnswers();
}

void Session::CheckAnswers() {
  const int64_t now = MonotonicNs();
  if (now < next_answer_check_ns_) return;
  next_answer_check_ns_ = now + kMiscIntervalNs;
  const int fd = mosquitto_socket(client_);
  int unsent = 0;
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (ioctl(fd, SIOCOUTQ, &unsent) != 0 ||
      getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) {
    return;
  }
  const bool all_sent = unsent == 0 && !mosquitto_want_write(client_);
  if (answers_.Overdue(now, {all_sent, handler_->may_read(), info.tcpi_bytes_received})) {
    Fail(Unavailable("does not acknowledge what is sent"));
  }
}

void Session::ArmSubscribeDeadline() {
  if (subscribed_) return;
  deadline_ns_ = MonotonicNs() + absl::ToInt64Nanoseconds(options_.subscribe_timeout);
}

void Session::CheckDeadline() {
  if (subscribed_) return;
  // It is not the broker who is late.
  if (connected_ && !(handler_->may_read() && handler_->may_write())) ArmSubscribeDeadline();
  const int64_t now = MonotonicNs();
  if (!tcp_up_ && now >= addresses_->next_at_ns()) TryNextAddress(/*error=*/0);
  if (now <= deadline_ns_) return;
  Fail(absl::DeadlineExceededError(connected_ ? "broker: did not grant the subscriptions in time"
                                              : "broker: did not answer in time"));
}

bool Session::WantsWrite() const {
  if (!tcp_up_) return true;
  if (!connected_) return mosquitto_want_write(client_);
  return handler_->may_write() && mosquitto_want_write(client_);
}

void Session::Poll(absl::Duration wait) {
  pollfd watched[2] = {{thread_.descriptor(), POLLIN, 0}, {mosquitto_socket(client_), 0, 0}};
  if (watched[1].fd < 0) return Fail(Unavailable("closed the connection"));
  if (!connected_ || handler_->may_read()) watched[1].events |= POLLIN;
  if (WantsWrite()) watched[1].events |= POLLOUT;
  const int64_t wait_ns = std::clamp<int64_t>(absl::ToInt64Nanoseconds(wait), 0, kMiscIntervalNs);
  const int ready = poll(watched, 2, static_cast<int>((wait_ns + 999'999) / 1'000'000));
  if (ready <= 0) return;
  if (watched[0].revents != 0) thread_.Clear();
  if (watched[1].revents != 0) OnReady(watched[1].revents);
}

void Session::OnReady(short events) {
  if (!tcp_up_) return WatchConnecting();
  const bool writable = (events & POLLOUT) != 0;
  // What may leave leaves first: what is read now may hold the queue back again.
  if (connected_ && writable && WantsWrite()) Check(mosquitto_loop_write(client_, 1), "write");
  const bool broken = (events & (POLLERR | POLLHUP | POLLNVAL)) != 0;
  if (ended_.ok() && ((events & POLLIN) != 0 || broken)) {
    Check(mosquitto_loop_read(client_, 1), "read");
    if (ended_.ok() && broken && !connected_) return Fail(Unavailable("closed the connection"));
  }
  // Asked anew: reading has queued PUBACKs of messages that nobody has stored yet.
  if (ended_.ok() && writable && WantsWrite()) Check(mosquitto_loop_write(client_, 1), "write");
}

void Session::WatchConnecting() {
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(mosquitto_socket(client_), SOL_SOCKET, SO_ERROR, &error, &size);
  sockaddr_storage peer{};
  socklen_t peer_size = sizeof(peer);
  // With TLS libmosquitto may have read the error away by an early attempt to write.
  if (error == 0 &&
      getpeername(mosquitto_socket(client_), reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) {
    error = errno;
  }
  if (error != 0) return TryNextAddress(error);
  tcp_up_ = true;
  // With TLS this begins the handshake, without it there is nothing to read yet.
  if (options_.broker.tls) Check(mosquitto_loop_read(client_, 1), "handshake");
}

void Session::TryNextAddress(int error) {
  if (addresses_->TryNext(mosquitto_socket(client_), MonotonicNs()) || error == 0) return;
  Fail(Unavailable(std::strerror(error)));
}

void Session::Check(int code, const char* doing) {
  if (code == MOSQ_ERR_SUCCESS || !ended_.ok()) return;
  const std::string detail = code == MOSQ_ERR_ERRNO   ? std::strerror(errno)
                             : library_error_.empty() ? mosquitto_strerror(code)
                                                      : library_error_;
  Fail(Unavailable(absl::StrCat(doing, ": ", detail)));
}

void Session::Fail(absl::Status why) {
  if (!ended_.ok() || why.ok()) return;
  ended_ = std::move(why);
}

absl::StatusOr<int> Session::Publish(const Publication& publication) {
  Properties properties;
  if (options_.version_5 && !publication.correlation.empty()) {
    mosquitto_property_add_binary(properties.list(), MQTT_PROP_CORRELATION_DATA,
                                  publication.correlation.data(),
                                  static_cast<uint16_t>(publication.correlation.size()));
  }
  if (options_.version_5 && publication.expiry_s > 0) {
    mosquitto_property_add_int32(properties.list(), MQTT_PROP_MESSAGE_EXPIRY_INTERVAL,
                                 publication.expiry_s);
  }
  int id = 0;
  const int code = mosquitto_publish_v5(
      client_, &id, publication.topic.c_str(), static_cast<int>(publication.payload.size()),
      publication.payload.data(), publication.qos, publication.retain, properties.get());
  if (code == MOSQ_ERR_SUCCESS) {
    answers_.Sent();
    return id;
  }
  if (code == MOSQ_ERR_OVERSIZE_PACKET || code == MOSQ_ERR_PAYLOAD_SIZE) {
    return absl::ResourceExhaustedError(absl::StrCat("message: larger than the broker takes, ",
                                                     publication.payload.size(), " bytes"));
  }
  if (code == MOSQ_ERR_INVAL || code == MOSQ_ERR_MALFORMED_UTF8) {
    return absl::InvalidArgumentError("topic: none to publish to");
  }
  return Unavailable(mosquitto_strerror(code));
}

absl::Status Session::Subscribe(const std::vector<std::string>& filters, int qos, bool optional) {
  if (filters.empty()) return absl::OkStatus();
  std::vector<char*> texts;
  texts.reserve(filters.size());
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): they are read only.
  for (const std::string& filter : filters) texts.push_back(const_cast<char*>(filter.c_str()));
  int id = 0;
  const int code = mosquitto_subscribe_multiple(client_, &id, static_cast<int>(texts.size()),
                                                texts.data(), qos, /*options=*/0, nullptr);
  ++subscriptions_;
  if (optional) optional_.insert(id);
  if (code == MOSQ_ERR_SUCCESS) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("subscribe: ", mosquitto_strerror(code)));
}

absl::StatusOr<int> Session::Unsubscribe(const std::string& filter) {
  int id = 0;
  const int code = mosquitto_unsubscribe_v5(client_, &id, filter.c_str(), nullptr);
  if (code != MOSQ_ERR_SUCCESS) return Unavailable(mosquitto_strerror(code));
  answers_.Sent();
  return id;
}

void Session::SayFarewell() {
  const int64_t deadline = MonotonicNs() + kFarewellNs;
  if (!connected_ || !handler_->may_write()) return;
  handler_->OnFarewell();
  mosquitto_disconnect_v5(client_, 0, nullptr);
  while (ended_.ok() && MonotonicNs() < deadline) {
    pollfd socket = {mosquitto_socket(client_), POLLOUT, 0};
    if (socket.fd < 0) return;
    if (poll(&socket, 1, 100) < 0) return;
    if (mosquitto_loop_write(client_, 1) != MOSQ_ERR_SUCCESS) return;
  }
}

}  // namespace viaduct::mqtt
