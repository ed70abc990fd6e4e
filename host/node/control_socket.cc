#include "host/node/control_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/executor.h"
#include "core/base/status_macros.h"

namespace viaduct {
namespace {

absl::Status Errno(const std::string& path, const char* what) {
  return absl::UnavailableError(
      absl::StrCat("control socket ", path, ": cannot ", what, ", ", std::strerror(errno)));
}

bool SetAddress(const std::string& path, sockaddr_un* address) {
  address->sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address->sun_path)) return false;
  path.copy(address->sun_path, path.size());
  return true;
}

const sockaddr* AsSockaddr(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// Makes room for the socket file.
absl::Status ClearTheWay(const std::string& path, const sockaddr_un& address) {
  struct stat there {};
  if (lstat(path.c_str(), &there) != 0) return absl::OkStatus();
  if (!S_ISSOCK(there.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("control socket ", path, ": something that is no socket is there"));
  }
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return Errno(path, "make a socket");
  const int connected = connect(probe, AsSockaddr(address), sizeof(address));
  const int reason = errno;
  close(probe);
  // EAGAIN: somebody listens and its queue is full.
  if (connected == 0 || reason == EAGAIN) {
    return absl::AlreadyExistsError(
        absl::StrCat("control socket ", path, ": another node is running there"));
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return Errno(path, "remove a stale socket");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ControlSocket>> ControlSocket::Listen(const std::string& path) {
  sockaddr_un address{};
  if (!SetAddress(path, &address)) {
    return absl::InvalidArgumentError(absl::StrCat("control socket ", path, ": the path has ",
                                                   path.size(), " bytes, at most ",
                                                   sizeof(address.sun_path) - 1, " are possible"));
  }
  VD_RETURN_IF_ERROR(ClearTheWay(path, address));
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener < 0) return Errno(path, "make a socket");
  const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::unique_ptr<ControlSocket> control(new ControlSocket(path, listener, wake));
  if (wake < 0) return Errno(path, "make an event descriptor");
  // The mode on the descriptor is what bind() gives to the file: never open to others, not even
  // between bind and chmod.
  if (fchmod(listener, S_IRUSR | S_IWUSR) != 0) return Errno(path, "set the mode");
  if (bind(listener, AsSockaddr(address), sizeof(address)) != 0) return Errno(path, "bind");
  if (chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0) return Errno(path, "set the mode");
  if (listen(listener, kBacklog) != 0) return Errno(path, "listen");
  return control;
}

ControlSocket::~ControlSocket() { Stop(); }

void ControlSocket::Start(AcceptFn on_accept) {
  on_accept_ = std::move(on_accept);
  thread_ = std::thread([this] { Run(); });
}

void ControlSocket::Stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    if (write(wake_, &one, sizeof(one)) == sizeof(one)) thread_.join();
  }
  if (listener_ >= 0) {
    unlink(path_.c_str());
    close(listener_);
  }
  if (wake_ >= 0) close(wake_);
  listener_ = wake_ = -1;
}

void ControlSocket::Run() {
  SetThreadName("control-accept");
  pollfd watched[2] = {{listener_, POLLIN, 0}, {wake_, POLLIN, 0}};
  while (true) {
    if (poll(watched, 2, -1) < 0 && errno != EINTR) return;
    if (watched[1].revents != 0) return;
    if (watched[0].revents == 0) continue;
    const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (descriptor < 0) {
      // No descriptor is free: wait for one instead of spinning on a ready listener.
      if (errno == EMFILE || errno == ENFILE) poll(&watched[1], 1, 100);
      continue;
    }
    ucred credentials{};
    socklen_t size = sizeof(credentials);
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
      close(descriptor);
      continue;
    }
    on_accept_({descriptor, credentials.uid, credentials.pid});
  }
}

}  // namespace viaduct
