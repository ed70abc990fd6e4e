#include "plugins/rest/http_server.h"

#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "plugins/common/descriptors.h"
#include "plugins/common/http_engine.h"
#include "plugins/common/monotonic.h"
#include "plugins/rest/http_connection.h"

namespace viaduct::rest {
namespace {

constexpr size_t kReadBytes = 64u << 10;
constexpr size_t kKeepBufferBytes = 16u << 10;  // What an idle connection may keep allocated.
constexpr int kMaxReadsAtOnce = 16;             // Of one connection before others get a turn.
constexpr int kMaxEvents = 64;
constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr int64_t kSweepIntervalNs = kNanosPerSecond;

}  // namespace

HttpServer::HttpServer(HttpServerOptions options, Handler handler, CancelFn on_cancel)
    : options_(std::move(options)),
      handler_(std::move(handler)),
      on_cancel_(std::move(on_cancel)),
      addresses_(static_cast<size_t>(options_.max_connections_per_address)) {
  if (options_.tls.enabled()) tls_ = std::make_unique<ListenerTls>(options_.tls);
}

HttpServer::~HttpServer() { Stop(); }

absl::Status HttpServer::Start() {
  if (tls_ != nullptr) {
    const absl::Status loaded = tls_->Load(absl::Now());
    if (!loaded.ok()) return loaded;
  }
  engine_ =
      std::make_unique<HttpEngine>(options_.limits.max_body_bytes, [this](int fd) { Adopt(fd); });
  max_connections_ = std::min(options_.max_connections, DescriptorsToSpare());
  port_ = options_.port;
  if (!engine_->Bind(options_.host, &port_)) {
    const int error = errno;
    engine_.reset();
    return absl::UnavailableError(absl::StrCat("listen: cannot bind ", options_.host, ":",
                                               options_.port, ", ", std::strerror(error)));
  }
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = std::make_shared<EventFd>();
  if (epoll_ < 0 || wake_->fd() < 0)
    return absl::ResourceExhaustedError(absl::StrCat("listen: ", std::strerror(errno)));
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = nullptr;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_->fd(), &event);
  loop_ = std::thread([this] { Loop(); });
  acceptor_ = std::thread([this] { engine_->listen_after_bind(); });
  // Its stop() is heard only by a loop that runs.
  while (!engine_->is_running()) std::this_thread::yield();
  return absl::OkStatus();
}

void HttpServer::Answer(uint64_t ticket, HttpReply reply) {
  std::shared_ptr<const EventFd> wake;
  {
    absl::MutexLock lock(&mutex_);
    if (closed_) return;
    answers_.emplace_back(ticket, std::move(reply));
    if (std::exchange(woken_, true)) return;
    wake = wake_;
  }
  wake->Signal();  // Without the lock: the loop may run at once, and wants it.
}

bool HttpServer::Drain(absl::Duration timeout) {
  if (engine_ == nullptr) return true;
  if (!draining_.exchange(true)) engine_->stop();
  wake_->Signal();
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&quiet_), timeout);
}

void HttpServer::Stop() {
  if (engine_ == nullptr) return;
  if (acceptor_.joinable()) {
    if (!draining_.exchange(true)) engine_->stop();
    acceptor_.join();
    stopping_ = true;
    wake_->Signal();
    loop_.join();
  }
  {
    // An answer may just be coming in on another thread.
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    wake_.reset();
  }
  if (epoll_ >= 0) close(std::exchange(epoll_, -1));
  engine_.reset();
}

void HttpServer::Adopt(int fd) {
  {
    absl::MutexLock lock(&mutex_);
    adopted_.push_back(fd);
    if (std::exchange(woken_, true)) return;
  }
  wake_->Signal();
}

void HttpServer::Loop() {
  // Answers come in groups, one after a commit: woken by the first of them, the loop lets their
  // thread tell the others before it runs (sched(7)).
  const sched_param param{};
  sched_setscheduler(0, SCHED_BATCH, &param);
  next_sweep_ns_ = MonotonicNs() + kSweepIntervalNs;
  epoll_event events[kMaxEvents];
  while (!stopping_) {
    const int n = epoll_wait(epoll_, events, kMaxEvents, kSweepIntervalNs / 1'000'000);
    for (int i = 0; i < n; ++i) {
      if (events[i].data.ptr != nullptr)
        OnEvents(*static_cast<Connection*>(events[i].data.ptr), events[i].events);
    }
    TakeMail();
    const int64_t now = MonotonicNs();
    if (now >= next_sweep_ns_ || draining_) Sweep(now);
    CloseMarked();
    if (draining_) {
      const bool quiet = std::all_of(
          connections_.begin(), connections_.end(),
          [](const auto& entry) { return entry.first->ticket == 0 && entry.first->out.empty(); });
      absl::MutexLock lock(&mutex_);
      quiet_ = quiet && answers_.empty() && adopted_.empty();
    }
  }
  TakeMail();
  for (auto& [connection, owner] : connections_) {
    connection->marked = true;
    marked_.push_back(connection);
  }
  CloseMarked();
}

void HttpServer::TakeMail() {
  std::vector<int> adopted;
  Answers answers;
  {
    absl::MutexLock lock(&mutex_);
    woken_ = false;
    adopted.swap(adopted_);
    answers.swap(answers_);
  }
  for (const int fd : adopted) Open(fd);
  for (auto& [ticket, reply] : answers) OnAnswer(ticket, std::move(reply));
}

void HttpServer::OnEvents(Connection& connection, uint32_t events) {
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) connection.readable = true;
  if ((events & EPOLLOUT) != 0 && connection.reads_when_writable) connection.readable = true;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) connection.peer_closed = true;
  // Both directions are gone: nobody will read an answer.
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) return Close(connection);
  Advance(connection);
}

void HttpServer::OnAnswer(uint64_t ticket, HttpReply reply) {
  const auto it = waiting_.find(ticket);
  if (it == waiting_.end()) return;
  Connection& connection = *it->second;
  waiting_.erase(it);
  connection.ticket = 0;
  connection.asked_bytes = 0;
  if (draining_) connection.keep_alive = false;
  if (!HasRoomFor(reply.body.size())) reply = Problem(503, "too much waits to be sent");
  if (connection.range_bytes != 0) {
    const size_t bytes = std::exchange(connection.range_bytes, 0);
    if (reply.status == 200)
      connection.out += engine_->AnswerWithRange(connection.in.data(), bytes, std::move(reply));
    else
      WriteReply(reply, {connection.is_head, connection.keep_alive}, &connection.out);
    connection.in.erase(0, bytes);
  } else {
    WriteReply(reply, {connection.is_head, connection.keep_alive}, &connection.out);
  }
  if (!connection.keep_alive || connection.out.empty()) connection.close_after_flush = true;
  Advance(connection);
}

// Does whatever can be done without waiting.
void HttpServer::Advance(Connection& connection) {
  int reads = 0;
  if (connection.handshaking && !StepHandshake(connection)) return;
  while (!connection.marked) {
    if (!Flush(connection)) return Close(connection);
    if (!connection.out.empty()) break;
    if (connection.close_after_flush) {
      Linger(connection);
      break;
    }
    if (connection.ticket != 0) break;
    if (StepInput(connection)) continue;
    if (connection.end_of_input) return Close(connection);
    if (!connection.readable) break;
    if (++reads > kMaxReadsAtOnce) {
      // Others get a turn. Arming the edge anew makes epoll report what is still there.
      epoll_event event{};
      event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
      event.data.ptr = &connection;
      epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
      break;
    }
    if (!ReadSome(connection)) return Close(connection);
  }
  Settle(connection);
}

// False: the connection is broken.
bool HttpServer::Flush(Connection& connection) {
  while (connection.out_sent < connection.out.size()) {
    size_t n = 0;
    const Io io = connection.SendSome(&n);
    if (io != Io::kDone) return io == Io::kLater;
    stats_.bytes_out += n;
    connection.out_sent += n;
  }
  connection.out.clear();
  connection.out_sent = 0;
  connection.watched_since_ns = 0;
  return true;
}

// False: the connection is broken.
bool HttpServer::ReadSome(Connection& connection) {
  char buffer[kReadBytes];
  size_t n = 0;
  const Io io = connection.Receive(buffer, sizeof(buffer), &n);
  if (io == Io::kEnded) connection.end_of_input = true;
  if (io != Io::kDone) return io != Io::kBroken;
  stats_.bytes_in += n;
  if (connection.in.empty()) connection.request_began_ns = MonotonicNs();
  connection.in.append(buffer, n);
  return true;
}

// True: something has been done with what is in the buffer.
bool HttpServer::StepInput(Connection& connection) {
  if (connection.in.empty()) return false;
  const ScanResult result = connection.scanner.Scan(connection.in);
  if (result == ScanResult::kNeedMore && connection.scanner.TakeExpectsContinue()) {
    connection.out += "HTTP/1.1 100 Continue\r\n\r\n";
    return true;
  }
  if (result != ScanResult::kNeedMore && draining_) {
    Refuse(connection, 503, "the server is stopping");
  } else if (result != ScanResult::kNeedMore && result != ScanResult::kComplete) {
    Refuse(connection, result);
  } else if (!AccountBuffers(connection)) {
    ++stats_.refused_requests;
    Refuse(connection, 503, "too much is being received");
  } else if (result == ScanResult::kComplete) {
    Ask(connection);
  } else {
    return false;
  }
  return true;
}

void HttpServer::Ask(Connection& connection) {
  const size_t bytes = connection.scanner.request_bytes();
  ParsedRequest parsed = engine_->Parse(connection.in.data(), bytes);
  ++stats_.requests;
  connection.scanner.Reset();
  connection.keep_alive = parsed.keep_alive;
  connection.is_head = parsed.is_head;
  connection.range_bytes = parsed.accepted && parsed.wants_range ? bytes : 0;
  if (connection.range_bytes == 0) connection.in.erase(0, bytes);
  connection.request_began_ns = connection.in.empty() ? 0 : MonotonicNs();
  if (!parsed.accepted) {
    ++stats_.refused_requests;
    connection.out += parsed.answer;
    connection.close_after_flush = !parsed.keep_alive || parsed.answer.empty();
    return;
  }
  connection.ticket = ++last_ticket_;
  connection.asked_bytes = parsed.request.body.size();
  connection.deadline_ns = MonotonicNs() + absl::ToInt64Nanoseconds(options_.answer_timeout);
  waiting_.emplace(connection.ticket, &connection);
  parsed.request.peer = connection.peer;
  parsed.request.certificate = connection.certificate;
  handler_(connection.ticket, std::move(parsed.request));
}

void HttpServer::Refuse(Connection& connection, ScanResult why) {
  ++stats_.refused_requests;
  const ScanRefusal refusal = RefusalOf(why);
  Refuse(connection, refusal.status, refusal.reason);
}

// Answers without reading on.
void HttpServer::Refuse(Connection& connection, int status, const char* reason) {
  WriteReply(Problem(status, reason), {/*without_body=*/false, /*keep_alive=*/false},
             &connection.out);
  connection.close_after_flush = true;
  std::string().swap(connection.in);
}

// Leaves the connection as it may wait: buffers accounted, deadline set.
void HttpServer::Settle(Connection& connection) {
  if (connection.marked) return;
  if (connection.in.empty()) {
    connection.request_began_ns = 0;
    if (connection.in.capacity() > kKeepBufferBytes) std::string().swap(connection.in);
  }
  if (connection.out.empty() && connection.out.capacity() > kKeepBufferBytes)
    std::string().swap(connection.out);
  AccountBuffers(connection);
  if (connection.ticket != 0 || connection.lingering || connection.handshaking) return;
  const int64_t now = MonotonicNs();
  if (!connection.out.empty()) {
    if (connection.watched_since_ns == 0) Watch(connection, now);
  } else if (connection.request_began_ns == 0) {
    connection.deadline_ns = now + absl::ToInt64Nanoseconds(options_.idle_timeout);
  } else {
    const auto earned = static_cast<int64_t>(connection.in.size() / options_.min_bytes_per_second);
    connection.deadline_ns = connection.request_began_ns + earned * kNanosPerSecond +
                             absl::ToInt64Nanoseconds(options_.request_timeout);
  }
}

void HttpServer::Watch(Connection& connection, int64_t now) {
  connection.watched_since_ns = now;
  connection.watched_from = connection.out_sent;
  connection.deadline_ns = now + absl::ToInt64Nanoseconds(options_.request_timeout);
}

// A reader gets more time for what it has taken at the least rate, not for signs of life: the
// system's buffers take megabytes at once, and then nothing.
bool HttpServer::Reads(Connection& connection, int64_t now) {
  if (connection.out.empty()) return false;
  const double wanted = absl::ToDoubleSeconds(options_.request_timeout) *
                        static_cast<double>(options_.min_bytes_per_second);
  if (static_cast<double>(connection.out_sent - connection.watched_from) < wanted) return false;
  Watch(connection, now);
  return true;
}

// A small answer is always let through.
bool HttpServer::HasRoomFor(size_t answer_bytes) const {
  return answer_bytes <= kKeepBufferBytes ||
         buffered_bytes_ + answer_bytes <= options_.max_buffered_bytes;
}

// False: this connection may not hold more.
bool HttpServer::AccountBuffers(Connection& connection) {
  const size_t beside =
      connection.handshaking && connection.tls != nullptr ? TlsChannel::kHandshakeBytes : 0;
  const size_t now =
      connection.in.capacity() + connection.out.capacity() + connection.asked_bytes + beside;
  buffered_bytes_ += now - std::exchange(connection.accounted, now);
  return buffered_bytes_ <= options_.max_buffered_bytes || now <= kKeepBufferBytes;
}

void HttpServer::Sweep(int64_t now) {
  next_sweep_ns_ = now + kSweepIntervalNs;
  // Expire may open no connection, and closing only marks: the map does not change here.
  for (auto& [connection, owner] : connections_) {
    if (connection->marked) continue;
    const bool idle = connection->ticket == 0 && connection->out.empty() && connection->in.empty();
    if (draining_ && idle) {
      Close(*connection);
    } else if (connection->deadline_ns <= now && !Reads(*connection, now)) {
      ++(connection->handshaking ? stats_.timed_out_handshakes : stats_.timed_out);
      Expire(*connection);
    }
  }
}

void HttpServer::Expire(Connection& connection) {
  if (connection.ticket != 0) {
    const uint64_t ticket = std::exchange(connection.ticket, 0);
    connection.asked_bytes = 0;
    waiting_.erase(ticket);
    on_cancel_(ticket);
    Refuse(connection, 504, "the answer took too long");
  } else if (!connection.in.empty() && connection.out.empty() && !connection.lingering) {
    Refuse(connection, 408, "the request took too long");
  } else {
    return Close(connection);
  }
  Advance(connection);
}

}  // namespace viaduct::rest
