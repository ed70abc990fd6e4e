#include "plugins/rsync/banner.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct::rsync {

Banner::Banner(const std::string& host, int port, std::string greeting)
    : greeting_(std::move(greeting)), subject_(absl::StrCat("server: ", host, ", ")) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int code = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (code != 0) {
    Fail(gai_strerror(code));
    return;
  }
  list_.reset(list);
  next_ = list;
  Fail("no address");
  TryNext();
}

Banner::~Banner() {
  if (fd_ >= 0) close(fd_);
}

int16_t Banner::events() const { return connected_ ? POLLIN : POLLOUT; }

bool Banner::Fail(const std::string& why) {
  status_ = absl::UnavailableError(subject_ + why);
  return true;
}

void Banner::TryNext() {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
  while (next_ != nullptr) {
    const addrinfo& address = *std::exchange(next_, next_->ai_next);
    fd_ = socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool begun = fd_ >= 0 && (connect(fd_, address.ai_addr, address.ai_addrlen) == 0 ||
                                    errno == EINPROGRESS);
    if (begun) return;
    Fail(std::strerror(errno));
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
}

bool Banner::Advance() {
  if (fd_ < 0) return true;
  pollfd watched = {fd_, events(), 0};
  if (poll(&watched, 1, 0) <= 0) return false;
  if (!connected_) {
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    connected_ = error == 0;
    if (connected_) return false;
    Fail(std::strerror(error));
    TryNext();
    return fd_ < 0;
  }
  std::array<char, kMaxGreetingBytes> piece;
  const ssize_t got = recv(fd_, piece.data(), piece.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got <= 0) return Fail("closes the connection without a greeting");
  heard_.append(piece.data(), static_cast<size_t>(got));
  if (heard_.size() < greeting_.size()) return false;
  if (heard_.compare(0, greeting_.size(), greeting_) != 0) return Fail("has another service there");
  status_ = absl::OkStatus();
  return true;
}

}  // namespace viaduct::rsync
