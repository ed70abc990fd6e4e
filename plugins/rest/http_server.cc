#include "plugins/rest/http_server.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <limits>

#include "absl/strings/str_cat.h"
#include "plugins/common/descriptors.h"
#include "plugins/common/http_engine.h"

namespace viaduct::rest {
namespace {

constexpr size_t kReadBytes = 64u << 10;
constexpr size_t kKeepBufferBytes = 16u << 10;  // What an idle connection may keep allocated.
constexpr int kMaxReadsAtOnce = 16;             // Of one connection before others get a turn.
constexpr int kMaxEvents = 64;
constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr int64_t kSweepIntervalNs = kNanosPerSecond;
constexpr int64_t kLingerNs = 5 * kNanosPerSecond;  // For a refused sender to read the answer.

int64_t MonotonicNanos() {
  timespec ts{};
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return int64_t{ts.tv_sec} * kNanosPerSecond + ts.tv_nsec;
}

}  // namespace

struct HttpServer::Connection {
  Connection(int descriptor, const ScanLimits& limits)
      : fd(descriptor), peer(PeerName(descriptor)), scanner(limits) {}

  const int fd;
  const std::string peer;
  RequestScanner scanner;
  std::string in;
  std::string out;
  size_t out_sent = 0;
  size_t accounted = 0;          // Buffer octets counted in buffered_bytes_.
  int64_t request_began_ns = 0;  // First octet of the request that is coming in; 0: none is.
  // While `out` waits for the peer: since when it is watched, and how much was sent then.
  int64_t watched_since_ns = 0;  // 0: nothing waits.
  size_t watched_from = 0;
  int64_t deadline_ns = 0;
  // The request that waits for its answer.
  uint64_t ticket = 0;  // 0: none.
  bool keep_alive = true;
  bool is_head = false;
  size_t asked_bytes = 0;  // What it holds elsewhere.
  size_t range_bytes = 0;  // Not 0: its octets stay in `in`, to word a partial answer.
  // What epoll has said, edge by edge.
  bool readable = false;
  bool peer_closed = false;
  bool end_of_input = false;  // And read to the end.
  bool close_after_flush = false;
  bool lingering = false;
  bool marked = false;
};

HttpServer::HttpServer(HttpServerOptions options, Handler handler, CancelFn on_cancel)
    : options_(std::move(options)),
      handler_(std::move(handler)),
      on_cancel_(std::move(on_cancel)) {}

HttpServer::~HttpServer() { Stop(); }

absl::Status HttpServer::Start() {
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
  next_sweep_ns_ = MonotonicNanos() + kSweepIntervalNs;
  epoll_event events[kMaxEvents];
  while (!stopping_) {
    const int n = epoll_wait(epoll_, events, kMaxEvents, kSweepIntervalNs / 1'000'000);
    for (int i = 0; i < n; ++i) {
      if (events[i].data.ptr != nullptr)
        OnEvents(*static_cast<Connection*>(events[i].data.ptr), events[i].events);
    }
    TakeMail();
    const int64_t now = MonotonicNanos();
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

void HttpServer::Open(int fd) {
  if (draining_) {
    close(fd);
    return;
  }
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  auto owned = std::make_unique<Connection>(fd, options_.limits);
  Connection& connection = *owned;
  connections_.emplace(&connection, std::move(owned));
  ++stats_.connections;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &connection;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  if (stats_.connections > max_connections_) {
    ++stats_.refused_connections;
    Refuse(connection, 503, "too many connections");
    return Advance(connection);
  }
  Settle(connection);
}

void HttpServer::OnEvents(Connection& connection, uint32_t events) {
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) connection.readable = true;
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
    const ssize_t n = send(connection.fd, connection.out.data() + connection.out_sent,
                           connection.out.size() - connection.out_sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    stats_.bytes_out += static_cast<uint64_t>(n);
    connection.out_sent += static_cast<size_t>(n);
  }
  connection.out.clear();
  connection.out_sent = 0;
  connection.watched_since_ns = 0;
  return true;
}

// False: the connection is broken.
bool HttpServer::ReadSome(Connection& connection) {
  char buffer[kReadBytes];
  const ssize_t n = recv(connection.fd, buffer, sizeof(buffer), 0);
  if (n < 0) {
    connection.readable = errno == EINTR;
    return errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK;
  }
  if (n == 0) {
    connection.end_of_input = true;
    return true;
  }
  // A short read has emptied the socket: the next octet makes a new edge. Only the end of the
  // stream, once reported, is not reported again.
  connection.readable = n == sizeof(buffer) || connection.peer_closed;
  stats_.bytes_in += static_cast<uint64_t>(n);
  if (connection.in.empty()) connection.request_began_ns = MonotonicNanos();
  connection.in.append(buffer, static_cast<size_t>(n));
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
  connection.request_began_ns = connection.in.empty() ? 0 : MonotonicNanos();
  if (!parsed.accepted) {
    ++stats_.refused_requests;
    connection.out += parsed.answer;
    connection.close_after_flush = !parsed.keep_alive || parsed.answer.empty();
    return;
  }
  connection.ticket = ++last_ticket_;
  connection.asked_bytes = parsed.request.body.size();
  connection.deadline_ns = MonotonicNanos() + absl::ToInt64Nanoseconds(options_.answer_timeout);
  waiting_.emplace(connection.ticket, &connection);
  parsed.request.peer = connection.peer;
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

// Waits for the peer to notice the end: closing with octets unread would reset the connection and
// may take the answer with it.
void HttpServer::Linger(Connection& connection) {
  if (!std::exchange(connection.lingering, true)) {
    shutdown(connection.fd, SHUT_WR);
    connection.deadline_ns = MonotonicNanos() + kLingerNs;
    std::string().swap(connection.in);
  }
  char sink[16384];
  ssize_t n = 0;
  for (int i = 0; i < kMaxReadsAtOnce; ++i) {
    n = recv(connection.fd, sink, sizeof(sink), 0);
    if (n <= 0) break;
  }
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
    Close(connection);
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
  if (connection.ticket != 0 || connection.lingering) return;
  const int64_t now = MonotonicNanos();
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
  const size_t now = connection.in.capacity() + connection.out.capacity() + connection.asked_bytes;
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
      ++stats_.timed_out;
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

void HttpServer::Close(Connection& connection) {
  if (std::exchange(connection.marked, true)) return;
  marked_.push_back(&connection);
}

// Only here, when no event and no answer in hand points to them.
void HttpServer::CloseMarked() {
  for (Connection* connection : marked_) {
    if (connection->ticket != 0) {
      waiting_.erase(connection->ticket);
      on_cancel_(connection->ticket);
    }
    buffered_bytes_ -= connection->accounted;
    close(connection->fd);
    --stats_.connections;
    connections_.erase(connection);
  }
  marked_.clear();
}

}  // namespace viaduct::rest
