#include "tests/support/http_load.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"

namespace viaduct::support {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr int kMaxEvents = 256;
constexpr int64_t kTimeoutCheckNanos = 100'000'000;
constexpr size_t kSampleBytes = 400;

const char* DefaultPath(HttpForm form) {
  return form == HttpForm::kFlat ? "/api/detection" : "/api/lpr/data";
}

// What a node says of a message that it has made its own.
bool MeansAccepted(const nlohmann::json& item) {
  const std::string status = item.is_object() ? item.value("status", "") : "";
  return status == "stored" || status == "duplicate" || status == "accepted" || status == "queued";
}

bool ShouldRetry(int status) { return status >= 500 || status == 429 || status == 408; }

// As a system call says it.
ssize_t ResultOf(TlsProgress progress, size_t n) {
  if (progress == TlsProgress::kDone) return static_cast<ssize_t>(n);
  if (progress == TlsProgress::kEnded) return 0;
  errno = progress == TlsProgress::kFailed ? EPIPE : EAGAIN;
  return -1;
}

std::string SystemText(int fd, const std::string& what) {
  return absl::StrCat("http load: ", what, " (fd ", fd, "), ", std::strerror(errno));
}

}  // namespace

HttpLoad::HttpLoad(HttpOptions http, LoadOptions load, MessageSource* source)
    : http_(std::move(http)), load_(std::move(load)), source_(source), pace_(0, 0) {
  const std::string path = http_.path.empty() ? DefaultPath(http_.form) : http_.path;
  request_head_ =
      absl::StrCat("POST ", path, " HTTP/1.1\r\nHost: ", http_.address, ":", http_.port,
                   "\r\nContent-Type: application/json\r\n", http_.headers, "Content-Length: ");
  peer_.sin_family = AF_INET;
  peer_.sin_port = htons(http_.port);
}

HttpLoad::~HttpLoad() {
  for (Connection& c : connections_) {
    if (c.fd >= 0) close(c.fd);
  }
  for (const int fd : held_fds_) close(fd);
  if (epoll_fd_ >= 0) close(epoll_fd_);
}

absl::Status HttpLoad::OpenIdle() {
  const std::string get =
      absl::StrCat("GET /api/test HTTP/1.1\r\nHost: ", http_.address, "\r\n\r\n");
  for (int i = 0; i < http_.idle_connections; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return absl::ResourceExhaustedError(SystemText(fd, "socket"));
    held_fds_.push_back(fd);
    const timeval patience = {load_.timeout_ms / 1000, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&peer_), sizeof peer_) != 0 ||
        write(fd, get.data(), get.size()) != static_cast<ssize_t>(get.size())) {
      return absl::UnavailableError(SystemText(fd, absl::StrCat("idle connection ", i)));
    }
    HttpResponseReader reader;
    std::array<char, 4096> buffer;
    size_t rest = 0;
    HttpResponseReader::State state = HttpResponseReader::State::kMore;
    while (state == HttpResponseReader::State::kMore) {
      const ssize_t n = read(fd, buffer.data(), buffer.size());
      if (n <= 0) return absl::UnavailableError(SystemText(fd, absl::StrCat("idle answer ", i)));
      state = reader.Feed({buffer.data(), static_cast<size_t>(n)}, &rest);
    }
    if (state == HttpResponseReader::State::kBroken || !reader.keep_alive()) {
      return absl::UnavailableError(absl::StrCat("http load: idle connection ", i, " not kept"));
    }
  }
  return absl::OkStatus();
}

void HttpLoad::Connect(Connection& c, int64_t now) {
  c.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c.fd < 0) {
    c.next_try_ns = now + load_.reconnect_delay_ms * 1'000'000;
    return;
  }
  const int on = 1;
  setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT;
  event.data.u64 = static_cast<uint64_t>(&c - connections_.data());
  epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, c.fd, &event);
  c.connecting = c.wants_write = true;
  c.sent_ns = now;
  if (connect(c.fd, reinterpret_cast<const sockaddr*>(&peer_), sizeof peer_) != 0 &&
      errno != EINPROGRESS) {
    Disconnect(c, now, true);
  }
}

void HttpLoad::Disconnect(Connection& c, int64_t now, bool failed) {
  c.tls.reset();
  close(c.fd);
  c.fd = -1;
  results_.disconnects += c.connecting ? 0 : 1;
  c.connecting = c.wants_write = false;
  c.written = 0;
  c.reader.Reset();
  c.next_try_ns = failed ? now + load_.reconnect_delay_ms * 1'000'000 : now;
  idle_.erase(
      std::remove(idle_.begin(), idle_.end(), static_cast<size_t>(&c - connections_.data())),
      idle_.end());
  if (c.request != nullptr) {
    --outstanding_;
    GiveUpOrRetry(std::move(c.request));
  }
}

void HttpLoad::WatchWrites(Connection& c, bool on) {
  if (c.wants_write == on) return;
  c.wants_write = on;
  epoll_event event{};
  event.events = EPOLLIN | (on ? EPOLLOUT : 0u);
  event.data.u64 = static_cast<uint64_t>(&c - connections_.data());
  epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, c.fd, &event);
}

void HttpLoad::GiveUpOrRetry(std::unique_ptr<Request> request) {
  if (request->ids.empty()) return;
  if (load_.retry) {
    results_.retried += request->ids.size();
    again_.push_back(std::move(request));
  } else {
    results_.refused += request->ids.size();
  }
}

std::unique_ptr<HttpLoad::Request> HttpLoad::MakeRequest(int64_t due) {
  auto request = std::make_unique<Request>();
  request->due_ns = due;
  const int count = http_.form == HttpForm::kArray ? http_.batch : 1;
  body_.clear();
  if (http_.form == HttpForm::kArray) body_.push_back('[');
  for (int i = 0; i < count; ++i) {
    const Message m = source_->Next(log_.on());
    log_.Claimed(m);
    if (i > 0) body_.push_back(',');
    if (http_.form == HttpForm::kFlat) {
      source_->AppendPayload(m, &body_);
    } else {
      source_->AppendEnvelope(m, &body_);
    }
    request->ids.push_back(m.id);
    if (http_.form == HttpForm::kArray) request->message_ids.push_back(m.message_id);
    pace_.Take();
  }
  if (http_.form == HttpForm::kArray) body_.push_back(']');
  results_.made += static_cast<uint64_t>(count);
  request->bytes.reserve(request_head_.size() + body_.size() + 24);
  absl::StrAppend(&request->bytes, request_head_, body_.size(), "\r\n\r\n", body_);
  return request;
}

bool HttpLoad::MayMake(int64_t now) const {
  if (now >= make_until_ns_ || StopRequested()) return false;
  return load_.max_messages == 0 || results_.made < load_.max_messages;
}

std::unique_ptr<HttpLoad::Request> HttpLoad::NextRequest(int64_t now) {
  if (!again_.empty()) {
    std::unique_ptr<Request> request = std::move(again_.front());
    again_.pop_front();
    return request;
  }
  if (!MayMake(now)) return nullptr;
  if (!pace_.paced()) return MakeRequest(now);
  const int64_t due = pace_.NextDue();
  return due <= now ? MakeRequest(due) : nullptr;
}

void HttpLoad::StartRequest(Connection& c, int64_t now) {
  ++outstanding_;
  c.sent_ns = now;
  c.written = 0;
  c.reader.Reset();
  Write(c, now);
}

void HttpLoad::Write(Connection& c, int64_t now) {
  const std::string& bytes = c.request->bytes;
  while (c.written < bytes.size()) {
    const ssize_t n = Send(c, bytes.data() + c.written, bytes.size() - c.written);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      WatchWrites(c, true);
      return;
    }
    if (n < 0) return Disconnect(c, now, true);
    c.written += static_cast<size_t>(n);
    results_.bytes_sent += static_cast<uint64_t>(n);
  }
  WatchWrites(c, false);
}

// As send(2) and recv(2).
ssize_t HttpLoad::Send(Connection& c, const char* data, size_t size) {
  if (c.tls == nullptr) return send(c.fd, data, size, MSG_NOSIGNAL);
  size_t n = 0;
  const TlsProgress progress = c.tls->Write(data, size, &n);
  return ResultOf(progress, n);
}

ssize_t HttpLoad::Receive(Connection& c, char* data, size_t size) {
  if (c.tls == nullptr) return recv(c.fd, data, size, 0);
  size_t n = 0;
  const TlsProgress progress = c.tls->Read(data, size, &n);
  return ResultOf(progress, n);
}

// False: the keys are not agreed on yet, or the connection is gone.
bool HttpLoad::Agree(Connection& c) {
  if (tls_ == nullptr) return true;
  if (c.tls == nullptr) c.tls = TlsChannel::Connect(tls_, c.fd, http_.address);
  const TlsProgress progress = c.tls->Handshake();
  if (progress == TlsProgress::kDone) return true;
  if (progress != TlsProgress::kWantsRead && progress != TlsProgress::kWantsWrite) {
    results_.samples.try_emplace("tls", c.tls->error());
    Disconnect(c, NowNanos(), true);
    return false;
  }
  WatchWrites(c, progress == TlsProgress::kWantsWrite);
  return false;
}

void HttpLoad::ReadFrom(Connection& c) {
  static thread_local std::array<char, kReadBytes> buffer;
  const ssize_t n = Receive(c, buffer.data(), buffer.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  const int64_t now = NowNanos();
  if (n <= 0) return Disconnect(c, now, true);
  if (c.request == nullptr) return Disconnect(c, now, true);  // Nobody asked.
  size_t rest = 0;
  switch (c.reader.Feed({buffer.data(), static_cast<size_t>(n)}, &rest)) {
    case HttpResponseReader::State::kMore:
      return;
    case HttpResponseReader::State::kBroken:
      ++results_.answers["broken"];
      return Disconnect(c, now, true);
    case HttpResponseReader::State::kDone:
      return Finish(c, now);
  }
}

void HttpLoad::Finish(Connection& c, int64_t now) {
  last_answer_ns_ = now;
  const int status = c.reader.status();
  ++results_.answers[absl::StrCat(status)];
  if ((status == 429 || status == 503 || status == 507) && c.reader.retry_after() < 0) {
    ++results_.without_retry_after;
  }
  results_.latency.Add(now - (pace_.paced() ? c.request->due_ns : c.sent_ns));
  --outstanding_;
  std::unique_ptr<Request> request = std::move(c.request);
  Settle(std::move(request), status, c.reader.body());
  if (!c.reader.keep_alive()) return Disconnect(c, now, false);
  // A connection that was just refused for lack of room rests a little.
  if (ShouldRetry(status)) c.next_try_ns = now + load_.reconnect_delay_ms * 1'000'000;
  idle_.push_back(static_cast<size_t>(&c - connections_.data()));
}

void HttpLoad::AcceptId(const std::string& id) {
  ++results_.accepted;
  log_.Accepted(id);
}

void HttpLoad::Settle(std::unique_ptr<Request> request, int status, const std::string& body) {
  if (status >= 200 && status < 300) {
    if (http_.form == HttpForm::kArray) return SettleArray(std::move(request), body);
    return AcceptId(request->ids[0]);
  }
  results_.samples.try_emplace(absl::StrCat(status), body.substr(0, kSampleBytes));
  if (ShouldRetry(status)) return GiveUpOrRetry(std::move(request));
  results_.refused += request->ids.size();
}

// Every item of an array has its own answer. With retry the whole array goes again; items that were
// accepted before are then only duplicates to the node and are not counted twice here.
void HttpLoad::SettleArray(std::unique_ptr<Request> request, const std::string& body) {
  const nlohmann::json reply = nlohmann::json::parse(body, nullptr, false);
  const nlohmann::json* items = &reply;
  if (reply.is_object() && reply.contains("results")) items = &reply["results"];
  std::map<std::string, bool> accepted;
  for (size_t i = 0; items->is_array() && i < items->size(); ++i) {
    const nlohmann::json& item = (*items)[i];
    if (!item.is_object()) continue;
    accepted[item.value("message_id", "")] = MeansAccepted(item);
    if (!MeansAccepted(item)) {
      results_.samples.try_emplace("item", item.dump().substr(0, kSampleBytes));
    }
  }
  uint64_t open = 0;
  for (size_t i = 0; i < request->ids.size(); ++i) {
    std::string& id = request->ids[i];
    if (id.empty()) continue;
    if (accepted[request->message_ids[i]]) {
      AcceptId(id);
      id.clear();
    } else {
      ++open;
    }
  }
  if (open == 0) return;
  results_.answers["item not accepted"] += open;
  if (load_.retry) {
    GiveUpOrRetry(std::move(request));
  } else {
    results_.refused += open;
  }
}

void HttpLoad::Feed(int64_t now) {
  for (Connection& c : connections_) {
    if (c.fd < 0 && now >= c.next_try_ns) Connect(c, now);
  }
  while (!idle_.empty()) {
    Connection& c = connections_[idle_.back()];
    if (now < c.next_try_ns) break;
    std::unique_ptr<Request> request = NextRequest(now);
    if (request == nullptr) return;
    idle_.pop_back();
    c.request = std::move(request);
    StartRequest(c, now);
  }
}

int64_t HttpLoad::WaitNanos(int64_t now) const {
  int64_t wake = next_timeout_check_ns_;
  if (pace_.paced() && !idle_.empty() && MayMake(now)) wake = std::min(wake, pace_.NextDue());
  for (const Connection& c : connections_) {
    if (c.fd < 0 || (c.request == nullptr && c.next_try_ns > now)) {
      wake = std::min(wake, c.next_try_ns);
    }
  }
  return std::max<int64_t>(wake - now, 0);
}

void HttpLoad::CheckTimeouts(int64_t now) {
  if (now < next_timeout_check_ns_) return;
  next_timeout_check_ns_ = now + kTimeoutCheckNanos;
  for (Connection& c : connections_) {
    if (c.fd < 0 || (c.request == nullptr && !c.connecting)) continue;
    if (now - c.sent_ns < load_.timeout_ms * 1'000'000) continue;
    ++results_.timeouts;
    Disconnect(c, now, true);
  }
}

void HttpLoad::Dispatch(const epoll_event* events, int count) {
  for (int i = 0; i < count; ++i) {
    Connection& c = connections_[events[i].data.u64];
    if (c.fd < 0) continue;
    if (c.connecting && (events[i].events & (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
      int error = 0;
      socklen_t size = sizeof error;
      getsockopt(c.fd, SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) {
        Disconnect(c, NowNanos(), true);
        continue;
      }
      if (!Agree(c)) continue;
      c.connecting = false;
      ++results_.connects;
      WatchWrites(c, false);
      idle_.push_back(events[i].data.u64);
      continue;
    }
    if ((events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) ReadFrom(c);
    if (c.fd >= 0 && c.request != nullptr && (events[i].events & EPOLLOUT) != 0) {
      Write(c, NowNanos());
    }
  }
}

bool HttpLoad::Finished(int64_t now) {
  if (MayMake(now)) {
    made_until_ns_ = now;
    return false;
  }
  if (outstanding_ == 0 && again_.empty()) return true;
  return now > made_until_ns_ + static_cast<int64_t>(load_.drain_seconds * 1e9);
}

absl::StatusOr<LoadResults> HttpLoad::Run() {
  if (inet_pton(AF_INET, http_.address.c_str(), &peer_.sin_addr) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("http load: not an address, ", http_.address));
  }
  if (!http_.ca_file.empty()) {
    TlsRoadOptions road;
    road.ca_file = http_.ca_file;
    VD_ASSIGN_OR_RETURN(tls_, MakeRoadContext(road, http_.address, absl::Now()));
  }
  VD_RETURN_IF_ERROR(log_.Open(load_.log_path));
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  VD_RETURN_IF_ERROR(OpenIdle());
  connections_.resize(static_cast<size_t>(http_.connections));
  first_ns_ = NowNanos();
  last_answer_ns_ = first_ns_;
  make_until_ns_ = first_ns_ + static_cast<int64_t>(load_.seconds * 1e9);
  pace_ = Pace(load_.rate, first_ns_);
  const double cpu = ProcessCpuSeconds();
  std::array<epoll_event, kMaxEvents> events;
  for (int64_t now = first_ns_; !Finished(now); now = NowNanos()) {
    Feed(now);
    const int64_t wait = WaitNanos(now);
    const timespec timeout = {wait / 1'000'000'000, wait % 1'000'000'000};
    const int n = epoll_pwait2(epoll_fd_, events.data(), kMaxEvents, &timeout, nullptr);
    if (n < 0 && errno != EINTR) return absl::InternalError(SystemText(epoll_fd_, "epoll"));
    Dispatch(events.data(), std::max(n, 0));
    CheckTimeouts(NowNanos());
  }
  results_.seconds = static_cast<double>(last_answer_ns_ - first_ns_) / 1e9;
  results_.cpu_seconds = ProcessCpuSeconds() - cpu;
  VD_RETURN_IF_ERROR(log_.Close());
  return results_;
}

}  // namespace viaduct::support
