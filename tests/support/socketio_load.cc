#include "tests/support/socketio_load.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace viaduct::support {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr int kMaxEvents = 256;
constexpr size_t kMaxOpening = 256;  // Sessions that are being opened at once.
constexpr int64_t kMaxWaitNanos = 100'000'000;
constexpr size_t kSampleBytes = 400;
constexpr size_t kMedium = 126;  // RFC 6455 section 5.2.
constexpr size_t kLong = 127;
constexpr unsigned char kText = 0x81;
constexpr unsigned char kMasked = 0x80;

absl::string_view View(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

absl::Status Failed(std::string_view what) {
  return absl::UnavailableError(
      absl::StrCat("socketio load: ", View(what), ", ", std::strerror(errno)));
}

// A masked text frame; a key of zeros leaves the octets as they are.
void AppendFrame(std::string_view payload, std::string* out) {
  constexpr size_t kShortest = 126;
  constexpr size_t kMaxMedium = 0xffff;
  const size_t size = payload.size();
  const int octets = size < kShortest ? 0 : size <= kMaxMedium ? 2 : 8;
  const size_t code = octets == 0 ? size : octets == 2 ? kMedium : kLong;
  out->push_back(static_cast<char>(kText));
  out->push_back(static_cast<char>(kMasked | code));
  for (int shift = (octets - 1) * 8; shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>(size >> shift));
  }
  out->append(4, '\0').append(payload);
}

// The payload of the frame at the front of `in`, and its whole size; false: it is not all there.
bool ReadFrame(std::string_view in, std::string_view* payload, size_t* whole) {
  if (in.size() < 2) return false;
  size_t size = static_cast<unsigned char>(in[1]) & 0x7f;
  const size_t octets = size == kMedium ? 2 : size == kLong ? 8 : 0;
  if (in.size() < 2 + octets) return false;
  if (octets > 0) size = 0;
  for (size_t i = 0; i < octets; ++i) size = size << 8 | static_cast<unsigned char>(in[2 + i]);
  *whole = 2 + octets + size;
  if (in.size() < *whole) return false;
  *payload = in.substr(2 + octets, size);
  return true;
}

}  // namespace

SocketIoLoad::SocketIoLoad(SocketIoOptions socketio, LoadOptions load, MessageSource* source)
    : socketio_(std::move(socketio)),
      load_(std::move(load)),
      source_(source),
      head_(absl::StrCat("42[\"", socketio_.event, "\",")),
      answer_(absl::StrCat("42[\"", socketio_.answer, "\"")),
      pace_(0, 0) {}

SocketIoLoad::~SocketIoLoad() {
  for (const Session& s : sessions_) {
    if (s.fd >= 0) close(s.fd);
  }
  if (epoll_fd_ >= 0) close(epoll_fd_);
}

absl::Status SocketIoLoad::Prepare() {
  if (!load_.log_path.empty()) {
    return absl::InvalidArgumentError("socketio load: writes no ledger, its answers name no id");
  }
  peer_.sin_family = AF_INET;
  peer_.sin_port = htons(socketio_.port);
  if (inet_pton(AF_INET, socketio_.address.c_str(), &peer_.sin_addr) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("socketio load: not an address, ", socketio_.address));
  }
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  const auto active = static_cast<size_t>(socketio_.sessions);
  sessions_.resize(active + static_cast<size_t>(socketio_.idle_sessions));
  for (size_t i = active; i < sessions_.size(); ++i) sessions_[i].is_idle = true;
  return epoll_fd_ < 0 ? Failed("epoll") : absl::OkStatus();
}

// Opens so many from `first` on, a few at a time, until all have joined their namespace.
absl::Status SocketIoLoad::OpenAll(size_t first, size_t count) {
  const size_t before = ready_;
  const int64_t give_up = NowNanos() + load_.timeout_ms * 1'000'000;
  for (size_t opened = 0; ready_ - before < count;) {
    for (; opened < count && opened - (ready_ - before) < kMaxOpening; ++opened) {
      VD_RETURN_IF_ERROR(Connect(sessions_[first + opened]));
    }
    VD_RETURN_IF_ERROR(Step(kMaxWaitNanos));
    if (NowNanos() > give_up) return absl::UnavailableError("socketio load: no session in time");
  }
  return absl::OkStatus();
}

absl::Status SocketIoLoad::Connect(Session& s) {
  s.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (s.fd < 0) return Failed("socket");
  const int on = 1;
  setsockopt(s.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT;
  event.data.u64 = static_cast<uint64_t>(&s - sessions_.data());
  s.wants_write = true;
  epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, s.fd, &event);
  s.out = absl::StrCat("GET ", socketio_.path,
                       "?EIO=4&transport=websocket HTTP/1.1\r\nHost: ", socketio_.address, ":",
                       socketio_.port,
                       "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n");
  const auto* address = reinterpret_cast<const sockaddr*>(&peer_);
  if (connect(s.fd, address, sizeof peer_) != 0 && errno != EINPROGRESS) return Failed("connect");
  return absl::OkStatus();
}

absl::Status SocketIoLoad::Step(int64_t wait_ns) {
  std::array<epoll_event, kMaxEvents> events;
  const timespec timeout = {wait_ns / 1'000'000'000, wait_ns % 1'000'000'000};
  const int n = epoll_pwait2(epoll_fd_, events.data(), kMaxEvents, &timeout, nullptr);
  if (n < 0 && errno != EINTR) return Failed("epoll");
  for (int i = 0; i < n; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    VD_RETURN_IF_ERROR(OnEvents(sessions_[event.data.u64], event.events));
  }
  return absl::OkStatus();
}

absl::Status SocketIoLoad::OnEvents(Session& s, uint32_t events) {
  if (s.phase == Phase::kConnecting && (events & EPOLLOUT) != 0) {
    s.phase = Phase::kHandshake;
    ++results_.connects;
  }
  if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) VD_RETURN_IF_ERROR(ReadFrom(s));
  return (events & EPOLLOUT) != 0 ? Write(s) : absl::OkStatus();
}

absl::Status SocketIoLoad::ReadFrom(Session& s) {
  static thread_local std::array<char, kReadBytes> buffer;
  const ssize_t n = recv(s.fd, buffer.data(), buffer.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return absl::OkStatus();
  if (n < 0) return Failed("recv");
  if (n == 0) return absl::UnavailableError("socketio load: the server closed a session");
  s.in.append(buffer.data(), static_cast<size_t>(n));
  if (s.phase == Phase::kHandshake) VD_RETURN_IF_ERROR(TakeHandshake(s));
  if (s.phase > Phase::kHandshake) VD_RETURN_IF_ERROR(TakeFrames(s));
  return s.out.empty() ? absl::OkStatus() : Write(s);
}

absl::Status SocketIoLoad::TakeHandshake(Session& s) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  const size_t end = s.in.find(kEnd);
  if (end == std::string::npos) return absl::OkStatus();
  if (!absl::StrContains(s.in.substr(0, s.in.find('\r')), " 101")) {
    return absl::UnavailableError(
        absl::StrCat("socketio load: refused, ", s.in.substr(0, kSampleBytes)));
  }
  s.in.erase(0, end + kEnd.size());
  s.phase = Phase::kOpening;
  return absl::OkStatus();
}

absl::Status SocketIoLoad::TakeFrames(Session& s) {
  std::string_view rest = s.in;
  std::string_view payload;
  size_t whole = 0;
  while (ReadFrame(rest, &payload, &whole)) {
    if (static_cast<unsigned char>(rest[0]) != kText) {
      return absl::UnavailableError("socketio load: the server ends a session");
    }
    VD_RETURN_IF_ERROR(TakeText(s, payload));
    rest.remove_prefix(whole);
  }
  s.in.erase(0, s.in.size() - rest.size());
  if (s.in.empty() && s.is_idle) std::string().swap(s.in);
  return absl::OkStatus();
}

absl::Status SocketIoLoad::TakeText(Session& s, std::string_view text) {
  if (text == "2") {
    AppendFrame("3", &s.out);
  } else if (s.phase == Phase::kOpening && text.substr(0, 1) == "0") {
    s.phase = Phase::kJoining;
    AppendFrame("40", &s.out);
  } else if (s.phase == Phase::kJoining && text.substr(0, 2) == "40") {
    s.phase = Phase::kReady;
    ++ready_;
  } else if (s.phase == Phase::kReady && text.substr(0, 2) == "42") {
    return TakeEvent(s, text);
  } else if (text.substr(0, 1) != "6") {
    return absl::UnavailableError(
        absl::StrCat("socketio load: unexpected, ", View(text.substr(0, kSampleBytes))));
  }
  return absl::OkStatus();
}

absl::Status SocketIoLoad::TakeEvent(Session& s, std::string_view text) {
  if (s.sent_ns.empty()) return absl::OkStatus();  // Nobody asked: it is for everybody.
  const bool good = text.substr(0, answer_.size()) == answer_;
  last_answer_ns_ = NowNanos();
  results_.latency.Add(last_answer_ns_ - s.sent_ns.front());
  s.sent_ns.pop_front();
  --outstanding_;
  ++results_.answers[good ? "good" : "other"];
  ++(good ? results_.accepted : results_.refused);
  if (!good) results_.samples.try_emplace("other", text.substr(0, kSampleBytes));
  return absl::OkStatus();
}

absl::Status SocketIoLoad::Write(Session& s) {
  if (s.phase == Phase::kConnecting) return absl::OkStatus();
  const ssize_t n = send(s.fd, s.out.data(), s.out.size(), MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN && errno != EINTR) return Failed("send");
  if (n > 0) results_.bytes_sent += static_cast<uint64_t>(n);
  if (n > 0) s.out.erase(0, static_cast<size_t>(n));
  if (s.out.empty() && s.is_idle) std::string().swap(s.out);
  if (s.wants_write == !s.out.empty()) return absl::OkStatus();
  s.wants_write = !s.out.empty();
  epoll_event event{};
  event.events = EPOLLIN | (s.wants_write ? EPOLLOUT : 0u);
  event.data.u64 = static_cast<uint64_t>(&s - sessions_.data());
  epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, s.fd, &event);
  return absl::OkStatus();
}

void SocketIoLoad::MakeEvent(Session& s, int64_t due) {
  payload_ = head_;
  source_->AppendPayload(source_->Next(/*with_digest=*/false), &payload_);
  payload_.push_back(']');
  AppendFrame(payload_, &s.out);
  s.sent_ns.push_back(due);
  ++outstanding_;
  ++results_.made;
}

bool SocketIoLoad::MayMake(int64_t now) const {
  if (now >= make_until_ns_ || StopRequested()) return false;
  return load_.max_messages == 0 || results_.made < load_.max_messages;
}

// Paced: one after the other, the sessions in turn. Else as many as their windows allow.
absl::Status SocketIoLoad::Feed(int64_t now) {
  const auto active = static_cast<size_t>(socketio_.sessions);
  const auto window = static_cast<size_t>(socketio_.window);
  if (pace_.paced()) {
    for (; MayMake(now) && pace_.NextDue() <= now; next_ = (next_ + 1) % active) {
      if (sessions_[next_].sent_ns.size() >= window) break;
      MakeEvent(sessions_[next_], pace_.NextDue());
      pace_.Take();
    }
  }
  for (size_t i = 0; i < active; ++i) {
    Session& s = sessions_[i];
    while (!pace_.paced() && s.sent_ns.size() < window && MayMake(now)) MakeEvent(s, now);
    if (!s.out.empty() && !s.wants_write) VD_RETURN_IF_ERROR(Write(s));
  }
  return absl::OkStatus();
}

absl::StatusOr<LoadResults> SocketIoLoad::Run() {
  VD_RETURN_IF_ERROR(Prepare());
  const auto active = static_cast<size_t>(socketio_.sessions);
  const int64_t begun = NowNanos();
  VD_RETURN_IF_ERROR(OpenAll(active, sessions_.size() - active));
  results_.idle_connect_seconds = static_cast<double>(NowNanos() - begun) / 1e9;
  VD_RETURN_IF_ERROR(OpenAll(0, active));
  if (socketio_.idle_sessions > 0) std::fprintf(stderr, "idle\n");
  const int64_t first = NowNanos();
  last_answer_ns_ = first;
  make_until_ns_ = first + static_cast<int64_t>(load_.seconds * 1e9);
  pace_ = Pace(load_.rate, first);
  const double cpu = ProcessCpuSeconds();
  const int64_t give_up = make_until_ns_ + static_cast<int64_t>(load_.drain_seconds * 1e9);
  for (int64_t now = first; MayMake(now) || (outstanding_ > 0 && now < give_up); now = NowNanos()) {
    VD_RETURN_IF_ERROR(Feed(now));
    const bool paces = pace_.paced() && MayMake(now);
    const int64_t wait = paces ? std::max<int64_t>(pace_.NextDue() - now, 0) : kMaxWaitNanos;
    VD_RETURN_IF_ERROR(Step(std::min(wait, kMaxWaitNanos)));
  }
  results_.seconds = static_cast<double>(last_answer_ns_ - first) / 1e9;
  results_.cpu_seconds = ProcessCpuSeconds() - cpu;
  return results_;
}

}  // namespace viaduct::support
