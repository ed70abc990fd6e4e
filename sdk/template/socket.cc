#include "socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace line_json {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

// 0, or the errno with which the connection failed.
int AwaitConnected(int socket, int interrupt, uint32_t timeout_ms) {
  pollfd waits[2] = {{socket, POLLOUT, 0}, {interrupt, POLLIN, 0}};
  const int ready = poll(waits, 2, static_cast<int>(timeout_ms));
  if (ready < 0) return errno;
  if (ready == 0) return ETIMEDOUT;
  if (waits[0].revents == 0) return ECANCELED;
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

Descriptor Connect(const Options& options, int interrupt, std::string* why) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(options.port);
  const std::string peer = options.host + ":" + port;
  const int failed = getaddrinfo(options.host.c_str(), port.c_str(), &hints, &found);
  if (failed != 0) {
    *why = peer + ": " + gai_strerror(failed);
    return {};
  }
  const AddressList addresses(found, &freeaddrinfo);
  for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) {
    Descriptor socket(
        ::socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol));
    if (!socket) continue;
    int error = connect(socket.get(), at->ai_addr, at->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      error = AwaitConnected(socket.get(), interrupt, options.connect_timeout_ms);
    }
    if (error == 0) {
      const int on = 1;
      setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      return socket;
    }
    *why = peer + ": " + std::strerror(error);
    if (error == ECANCELED) break;
  }
  if (why->empty()) *why = peer + ": no usable address";
  return {};
}

}  // namespace line_json
