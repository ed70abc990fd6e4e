#include "plugins/mqtt/broker_socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

namespace viaduct::mqtt {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// A socket that connects to `address` takes the place of `fd`. False: not even that.
bool Replace(int fd, const SocketAddress& address) {
  const int family = address.storage.ss_family;
  const int next = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (next < 0) return false;
  const int one = 1;
  // Without it answers only come later.
  static_cast<void>(setsockopt(next, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
  const int code = connect(next, reinterpret_cast<const sockaddr*>(&address.storage), address.size);
  const bool begun = code == 0 || errno == EINPROGRESS;
  const bool replaced = begun && dup3(next, fd, O_CLOEXEC) == fd;
  close(next);
  return replaced;
}

}  // namespace

std::vector<SocketAddress> ResolveBroker(const BrokerAddress& broker) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const std::string port = std::to_string(broker.port);
  std::vector<SocketAddress> addresses;
  if (getaddrinfo(broker.host.c_str(), port.c_str(), &hints, &list) != 0) return addresses;
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    if (addresses.size() == kMaxAddresses || one->ai_addrlen > sizeof(sockaddr_storage)) break;
    SocketAddress& address = addresses.emplace_back();
    std::memcpy(&address.storage, one->ai_addr, one->ai_addrlen);
    address.size = one->ai_addrlen;
  }
  freeaddrinfo(list);
  return addresses;
}

BrokerSocket::BrokerSocket(BrokerAddress broker, ResolveFn resolve, int64_t now_ns,
                           int64_t deadline_ns)
    : broker_(std::move(broker)),
      resolve_(resolve),
      deadline_ns_(deadline_ns),
      next_at_ns_(now_ns + (deadline_ns - now_ns) / 2) {}

bool BrokerSocket::TryNext(int fd, int64_t now_ns) {
  if (!std::exchange(resolved_, true)) addresses_ = resolve_(broker_);
  next_at_ns_ = kNever;
  while (next_ < addresses_.size()) {
    const SocketAddress& address = addresses_[next_++];
    if (!Replace(fd, address)) continue;
    const auto left = static_cast<int64_t>(addresses_.size() - next_);
    if (left > 0) next_at_ns_ = now_ns + (deadline_ns_ - now_ns) / (left + 1);
    return true;
  }
  return false;
}

}  // namespace viaduct::mqtt
