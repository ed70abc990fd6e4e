#include "plugins/rest/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <limits>

#include "absl/strings/str_cat.h"
#include "plugins/rest/http_engine.h"

namespace viaduct::rest {
namespace {

constexpr size_t kReadBytes = 64u << 10;
constexpr size_t kKeepBufferBytes = 16u << 10;  // What an idle connection may keep allocated.
constexpr int kMaxPipelined = 16;  // Requests of one connection before others get a turn.
constexpr int kLingerSeconds = 5;  // For a refused sender to read the answer.
constexpr int kWorkerIdleMs = 10'000;
constexpr int kMinWorkers = 1;
constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

int64_t MonotonicNanos() {
  timespec ts{};
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return int64_t{ts.tv_sec} * kNanosPerSecond + ts.tv_nsec;
}

std::string PeerName(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  char text[INET6_ADDRSTRLEN] = "";
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "unknown";
  if (address.ss_family == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&address);
    inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
    return absl::StrCat(text, ":", ntohs(in->sin_port));
  }
  const auto* in6 = reinterpret_cast<const sockaddr_in6*>(&address);
  inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
  return absl::StrCat("[", text, "]:", ntohs(in6->sin6_port));
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
  int64_t request_began_ns = 0;  // 0: between requests.
  bool end_of_input = false;
  bool close_after_flush = false;
  bool lingering = false;
  // What the sweep looks at; beside it, it only touches the descriptor.
  std::atomic<int64_t> deadline_ns{0};
  std::atomic<bool> waits_to_write{false};
  std::atomic<bool> timed_out{false};
};

HttpServer::HttpServer(HttpServerOptions options, Handler handler)
    : options_(std::move(options)), handler_(std::move(handler)) {}

HttpServer::~HttpServer() { Stop(); }

absl::Status HttpServer::Start() {
  engine_ = std::make_unique<HttpEngine>(options_, handler_, [this](int fd) { Adopt(fd); });
  port_ = options_.port;
  if (!engine_->Bind(options_.host, &port_)) {
    const int error = errno;
    engine_.reset();
    return absl::UnavailableError(absl::StrCat("listen: cannot bind ", options_.host, ":",
                                               options_.port, ", ", std::strerror(error)));
  }
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (epoll_ < 0 || wake_ < 0 || timer_ < 0)
    return absl::ResourceExhaustedError(absl::StrCat("listen: ", std::strerror(errno)));
  const itimerspec every_second{{1, 0}, {1, 0}};
  timerfd_settime(timer_, 0, &every_second, nullptr);
  epoll_event event{};
  event.events = EPOLLIN;  // Level-triggered and never read: wakes every worker, once and for all.
  event.data.ptr = &wake_;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event);
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = &timer_;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, timer_, &event);
  stopping_ = draining_ = false;
  SpawnWorker();
  acceptor_ = std::thread([this] { engine_->listen_after_bind(); });
  // Its stop() is heard only by a loop that runs.
  while (!engine_->is_running()) std::this_thread::yield();
  return absl::OkStatus();
}

bool HttpServer::Drain(absl::Duration timeout) {
  if (engine_ == nullptr || draining_.exchange(true)) return true;
  engine_->stop();
  absl::MutexLock lock(&mutex_);
  const auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return busy_ == 0; };
  return mutex_.AwaitWithTimeout(absl::Condition(&idle), timeout);
}

void HttpServer::Stop() {
  if (engine_ == nullptr) return;
  stopping_ = true;
  if (!draining_) engine_->stop();
  if (acceptor_.joinable()) acceptor_.join();
  const uint64_t one = 1;
  if (write(wake_, &one, sizeof(one)) < 0) stopping_ = true;  // The counter is full: awake already.
  while (true) {
    std::vector<std::thread> threads;
    {
      absl::MutexLock lock(&mutex_);
      threads.swap(workers_);
      std::move(retired_.begin(), retired_.end(), std::back_inserter(threads));
      retired_.clear();
    }
    if (threads.empty()) break;
    for (std::thread& thread : threads) thread.join();
  }
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [connection, owner] : connections_) close(connection->fd);
    connections_.clear();
  }
  stats_.connections = 0;
  for (int* fd : {&epoll_, &wake_, &timer_}) close(std::exchange(*fd, -1));
  engine_.reset();
}

void HttpServer::Adopt(int fd) {
  if (draining_ || stopping_) {
    close(fd);
    return;
  }
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  auto owned = std::make_unique<Connection>(fd, options_.limits);
  Connection* connection = owned.get();
  SetDeadline(*connection);
  {
    absl::MutexLock lock(&mutex_);
    connections_.emplace(connection, std::move(owned));
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLONESHOT;
  event.data.ptr = connection;
  if (++stats_.connections > options_.max_connections) {
    ++stats_.refused_connections;
    Refuse(*connection, 503, "too many connections");
    return Close(*connection);
  }
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
}

void HttpServer::SpawnWorker() {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return;
  for (std::thread& thread : retired_) thread.join();
  retired_.clear();
  if (static_cast<int>(workers_.size()) >= options_.max_threads) return;
  ++stats_.threads;
  workers_.emplace_back([this] { WorkerLoop(); });
}

// Moves the calling worker out of the pool when there are more than needed.
bool HttpServer::RetireWorker() {
  absl::MutexLock lock(&mutex_);
  if (static_cast<int>(workers_.size()) <= kMinWorkers) return false;
  const auto self = std::find_if(workers_.begin(), workers_.end(), [](const std::thread& thread) {
    return thread.get_id() == std::this_thread::get_id();
  });
  if (self == workers_.end()) return false;  // Stop() has it.
  retired_.push_back(std::move(*self));
  workers_.erase(self);
  --stats_.threads;
  return true;
}

void HttpServer::WorkerLoop() {
  while (!stopping_) {
    epoll_event event{};
    ++idle_workers_;
    const int n = epoll_wait(epoll_, &event, 1, kWorkerIdleMs);
    const int others_idle = --idle_workers_;
    if (stopping_ || event.data.ptr == &wake_) break;
    if (n == 0 && others_idle > 0 && RetireWorker()) return;
    if (n <= 0) continue;
    if (event.data.ptr == &timer_) {
      Sweep();
      continue;
    }
    if (others_idle == 0 && stats_.threads < options_.max_threads) SpawnWorker();
    Serve(*static_cast<Connection*>(event.data.ptr), event.events);
  }
}

void HttpServer::Serve(Connection& connection, uint32_t events) {
  const Next next = Step(connection, events);
  if (next == Next::kClose || stopping_) return Close(connection);
  Rearm(connection, next == Next::kWaitWritable ? EPOLLOUT : EPOLLIN);
}

HttpServer::Next HttpServer::Step(Connection& connection, uint32_t events) {
  if (connection.lingering) return Linger(connection);
  if (!connection.out.empty()) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) return Next::kClose;
    const Next next = FlushThen(connection);
    if (next != Next::kWaitReadable) return next;
  } else if (!ReadSome(connection)) {
    return Next::kClose;
  }
  return ProcessBuffered(connection);
}

// False: the connection is broken.
bool HttpServer::ReadSome(Connection& connection) {
  thread_local std::vector<char> buffer(kReadBytes);
  while (true) {
    const ssize_t n = recv(connection.fd, buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    if (n == 0) {
      connection.end_of_input = true;
      return true;
    }
    stats_.bytes_in += static_cast<uint64_t>(n);
    if (connection.in.empty() && connection.request_began_ns == 0)
      connection.request_began_ns = MonotonicNanos();
    connection.in.append(buffer.data(), static_cast<size_t>(n));
    return true;
  }
}

HttpServer::Next HttpServer::ProcessBuffered(Connection& connection) {
  int processed = 0;
  while (!connection.in.empty() && processed < kMaxPipelined) {
    const ScanResult result = connection.scanner.Scan(connection.in);
    if (result == ScanResult::kNeedMore) break;
    if (result != ScanResult::kComplete) return RefuseRequest(connection, result);
    ProcessOne(connection);
    ++processed;
    const Next next = FlushThen(connection);
    if (next != Next::kWaitReadable) return next;
  }
  // More may be here already: let others have a turn, and come back at once.
  if (processed == kMaxPipelined && !connection.in.empty()) return Next::kWaitWritable;
  if (connection.timed_out && !connection.in.empty())
    return Refuse(connection, 408, "the request took too long");
  if (connection.end_of_input || connection.timed_out) return Next::kClose;
  if (draining_ && connection.in.empty()) return Next::kClose;
  if (!AccountBuffers(connection)) return Refuse(connection, 503, "too much is being received");
  if (connection.scanner.TakeExpectsContinue()) {
    connection.out = "HTTP/1.1 100 Continue\r\n\r\n";
    return FlushThen(connection);
  }
  return Next::kWaitReadable;
}

void HttpServer::ProcessOne(Connection& connection) {
  ++stats_.requests;
  {
    absl::MutexLock lock(&mutex_);
    ++busy_;
  }
  connection.deadline_ns = kNever;  // From here on it is the handler that takes its time.
  const size_t bytes = connection.scanner.request_bytes();
  const bool keep = engine_->Process(connection.in.data(), bytes, connection.peer, &connection.out);
  connection.in.erase(0, bytes);
  connection.scanner.Reset();
  connection.request_began_ns = connection.in.empty() ? 0 : MonotonicNanos();
  if (!keep || draining_) connection.close_after_flush = true;
  absl::MutexLock lock(&mutex_);
  --busy_;
}

HttpServer::Next HttpServer::RefuseRequest(Connection& connection, ScanResult why) {
  ++stats_.bad_requests;
  switch (why) {
    case ScanResult::kBodyTooBig:
      return Refuse(connection, 413, "the body is larger than this server accepts");
    case ScanResult::kHeaderTooBig:
      return Refuse(connection, 431, "the header is larger than this server accepts");
    default:
      return Refuse(connection, 400, "the request is not well-formed HTTP/1.1");
  }
}

// Answers without reading on, then waits for the sender to notice.
HttpServer::Next HttpServer::Refuse(Connection& connection, int status, const char* reason) {
  const std::string body = ErrorBody(reason);
  absl::StrAppend(&connection.out, "HTTP/1.1 ", status, " ", ReasonPhrase(status),
                  "\r\nContent-Type: application/json\r\nContent-Length: ", body.size(),
                  status == 503 ? "\r\nRetry-After: 1" : "", "\r\nConnection: close\r\n\r\n", body);
  connection.close_after_flush = true;
  std::string().swap(connection.in);
  return FlushThen(connection);
}

HttpServer::Next HttpServer::FlushThen(Connection& connection) {
  while (connection.out_sent < connection.out.size()) {
    const ssize_t n = send(connection.fd, connection.out.data() + connection.out_sent,
                           connection.out.size() - connection.out_sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Next::kWaitWritable;
    if (n < 0) return Next::kClose;
    stats_.bytes_out += static_cast<uint64_t>(n);
    connection.out_sent += static_cast<size_t>(n);
  }
  connection.out.clear();
  connection.out_sent = 0;
  if (!connection.close_after_flush) return Next::kWaitReadable;
  // Closing with octets unread would reset the connection and may take the answer with it.
  shutdown(connection.fd, SHUT_WR);
  connection.lingering = true;
  connection.deadline_ns = MonotonicNanos() + kLingerSeconds * kNanosPerSecond;
  return Linger(connection);
}

HttpServer::Next HttpServer::Linger(Connection& connection) {
  char sink[16384];
  for (int i = 0; i < kMaxPipelined; ++i) {
    const ssize_t n = recv(connection.fd, sink, sizeof(sink), 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
      return Next::kClose;
    if (n < 0) break;
  }
  return connection.timed_out || stopping_ ? Next::kClose : Next::kWaitReadable;
}

void HttpServer::Rearm(Connection& connection, uint32_t events) {
  if (connection.in.empty() && connection.in.capacity() > kKeepBufferBytes)
    std::string().swap(connection.in);
  if (connection.out.empty() && connection.out.capacity() > kKeepBufferBytes)
    std::string().swap(connection.out);
  AccountBuffers(connection);
  SetDeadline(connection);
  connection.waits_to_write = events == EPOLLOUT;
  epoll_event event{};
  event.events = events | EPOLLONESHOT;
  event.data.ptr = &connection;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
}

void HttpServer::Close(Connection& connection) {
  buffered_bytes_ -= connection.accounted;
  --stats_.connections;
  absl::MutexLock lock(&mutex_);
  close(connection
            .fd);  // Under the lock: the sweep must not see a descriptor that is somebody else's.
  connections_.erase(&connection);
}

// False: this connection may not hold more.
bool HttpServer::AccountBuffers(Connection& connection) {
  const size_t now = connection.in.capacity() + connection.out.capacity();
  const size_t total = buffered_bytes_ += now - connection.accounted;
  connection.accounted = now;
  return total <= options_.max_buffered_bytes || now <= kKeepBufferBytes;
}

void HttpServer::SetDeadline(Connection& connection) {
  if (connection.lingering) return;
  const int64_t now = MonotonicNanos();
  if (!connection.out.empty() || connection.request_began_ns == 0) {
    connection.deadline_ns =
        now + absl::ToInt64Nanoseconds(connection.out.empty() ? options_.idle_timeout
                                                              : options_.request_timeout);
    return;
  }
  const int64_t earned = static_cast<int64_t>(connection.in.size() / options_.min_bytes_per_second);
  connection.deadline_ns = connection.request_began_ns +
                           absl::ToInt64Nanoseconds(options_.request_timeout) +
                           earned * kNanosPerSecond;
}

// Marks what is overdue and wakes it; the worker that gets the event does the rest.
void HttpServer::Sweep() {
  const int64_t now = MonotonicNanos();
  absl::MutexLock lock(&mutex_);
  for (auto& [connection, owner] : connections_) {
    if (connection->deadline_ns > now || connection->timed_out.exchange(true)) continue;
    ++stats_.timed_out;
    shutdown(connection->fd, connection->waits_to_write ? SHUT_RDWR : SHUT_RD);
  }
}

}  // namespace viaduct::rest
