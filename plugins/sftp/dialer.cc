#include "plugins/sftp/dialer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct::sftp {
namespace {

// What lies in the kernel can neither be overtaken nor taken back.
constexpr int kMaxUnsentInKernel = 512 << 10;

void SetOptions(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kMaxUnsentInKernel, sizeof(kMaxUnsentInKernel));
}

}  // namespace

Dialer::~Dialer() {
  if (fd_ >= 0) close(fd_);
  if (addresses_ != nullptr) freeaddrinfo(addresses_);
}

absl::Status Dialer::Start(const std::string& host, int port, int64_t now_ns, int64_t deadline_ns) {
  host_ = host;
  deadline_ns_ = deadline_ns;
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  const int code = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &addresses_);
  if (code != 0) {
    return absl::UnavailableError(
        absl::StrCat("server: no address for ", host, ", ", gai_strerror(code)));
  }
  return TryFrom(addresses_, now_ns);
}

absl::Status Dialer::Unavailable(int error) const {
  return absl::UnavailableError(absl::StrCat("server: ", host_, ", ", std::strerror(error)));
}

absl::Status Dialer::TryFrom(const addrinfo* first, int64_t now_ns) {
  int error = ETIMEDOUT;
  for (current_ = first; current_ != nullptr; current_ = current_->ai_next) {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
    fd_ = socket(current_->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) {
      error = errno;  // A kernel without IPv6 may still have the other one.
      continue;
    }
    SetOptions(fd_);
    if (connect(fd_, current_->ai_addr, current_->ai_addrlen) == 0 || errno == EINPROGRESS) {
      int left = 0;
      for (const addrinfo* at = current_; at != nullptr; at = at->ai_next) ++left;
      next_ns_ = now_ns + (deadline_ns_ - now_ns) / left;
      return absl::OkStatus();
    }
    error = errno;
  }
  return Unavailable(error);
}

absl::Status Dialer::Advance(int64_t now_ns) {
  pollfd socket = {fd_, POLLOUT, 0};
  if (poll(&socket, 1, 0) <= 0) {
    return now_ns < next_ns_ ? absl::OkStatus() : TryFrom(current_->ai_next, now_ns);
  }
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
  connected_ = error == 0;
  if (connected_) return absl::OkStatus();
  return current_->ai_next == nullptr ? Unavailable(error) : TryFrom(current_->ai_next, now_ns);
}

int Dialer::Release() { return std::exchange(fd_, -1); }

}  // namespace viaduct::sftp
