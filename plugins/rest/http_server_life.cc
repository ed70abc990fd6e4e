// How connections of an HttpServer begin and end.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "plugins/common/descriptors.h"
#include "plugins/common/monotonic.h"
#include "plugins/rest/http_connection.h"
#include "plugins/rest/http_server.h"

namespace viaduct::rest {
namespace {

constexpr int64_t kLingerNs = 5'000'000'000;  // For a refused sender to read the answer.
constexpr int kMaxSinksAtOnce = 16;           // Before others get a turn.

}  // namespace

// Whether one more may be served; counts it, or that it may not.
bool HttpServer::Admit(const std::string& address, const char** refusal) {
  *refusal = nullptr;
  if (stats_.connections >= max_connections_) {
    ++stats_.refused_connections;
    *refusal = "too many connections";
  } else if (!addresses_.Add(address)) {
    ++stats_.refused_of_address;
    *refusal = "too many connections of your address";
  }
  return *refusal == nullptr;
}

void HttpServer::Open(int fd) {
  std::string peer = PeerName(fd);
  std::string address = CountedAddress(AddressOfPeer(peer));
  const char* refusal = nullptr;
  // Nobody is told over TLS: it would cost the handshake.
  if (draining_ || (!Admit(address, &refusal) && tls_ != nullptr)) {
    close(fd);
    return;
  }
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  auto owned = std::make_unique<Connection>(fd, std::move(peer), options_.limits);
  Connection& connection = *owned;
  connections_.emplace(&connection, std::move(owned));
  ++stats_.connections;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &connection;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  if (refusal != nullptr) {
    Refuse(connection, 503, refusal);
    return Advance(connection);
  }
  connection.counted_as = std::move(address);
  if (tls_ != nullptr) BeginHandshake(connection);
  Settle(connection);
}

void HttpServer::BeginHandshake(Connection& connection) {
  connection.tls_context = tls_->context();
  connection.handshaking = true;
  connection.deadline_ns = MonotonicNs() + absl::ToInt64Nanoseconds(options_.tls_handshake_timeout);
}

// False: there is nothing else to do on this connection now.
bool HttpServer::StepHandshake(Connection& connection) {
  const Io io = connection.Handshake();
  if (io == Io::kDone) return true;
  if (io == Io::kLater && AccountBuffers(connection)) return false;
  ++stats_.failed_handshakes;
  // The peer may want to read why.
  connection.handshaking = false;
  Linger(connection);
  return false;
}

// Waits for the peer to notice the end: closing with octets unread would reset the connection and
// may take the answer with it.
void HttpServer::Linger(Connection& connection) {
  if (!std::exchange(connection.lingering, true)) {
    connection.EndOutput();
    connection.deadline_ns = MonotonicNs() + kLingerNs;
    std::string().swap(connection.in);
  }
  char sink[16384];
  ssize_t n = 0;
  for (int i = 0; i < kMaxSinksAtOnce; ++i) {
    n = recv(connection.fd, sink, sizeof(sink), 0);
    if (n <= 0) break;
  }
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
    Close(connection);
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
    if (!connection->counted_as.empty()) addresses_.Remove(connection->counted_as);
    close(connection->fd);
    --stats_.connections;
    connections_.erase(connection);
  }
  marked_.clear();
}

}  // namespace viaduct::rest
