#include "tests/support/control_socket.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct::support {
namespace {

constexpr int kBacklog = 16;
constexpr int kEventsATurn = 16;
constexpr size_t kReadBytes = 16u << 10;

bool Watch(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

void RemoveSocket(const std::string& path) {
  struct stat found {};
  if (lstat(path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode)) unlink(path.c_str());
}

}  // namespace

ControlSocket::ControlSocket(std::string path, Handler handler)
    : path_(std::move(path)), handler_(std::move(handler)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

ControlSocket::~ControlSocket() {
  if (listener_ != nullptr) RemoveSocket(path_);
}

absl::Status ControlSocket::Open() {
  auto listener =
      std::make_unique<Descriptor>(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof address.sun_path - 1);
  RemoveSocket(path_);
  if (bind(listener->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener->get(), kBacklog) != 0 || !Watch(epoll_.get(), listener->get())) {
    return absl::UnavailableError(
        absl::StrCat("control: cannot listen on ", path_, ", ", std::strerror(errno)));
  }
  listener_ = std::move(listener);
  return absl::OkStatus();
}

void ControlSocket::Accept() {
  auto client = std::make_unique<Client>(
      accept4(listener_->get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  const int fd = client->socket.get();
  if (fd < 0 || clients_.size() >= kMaxControlClients || !Watch(epoll_.get(), fd)) return;
  clients_[fd] = std::move(client);
}

bool ControlSocket::Serve(Client& client) {
  std::array<char, kReadBytes> buffer;
  const ssize_t n = recv(client.socket.get(), buffer.data(), buffer.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (n <= 0) return false;
  client.text.append(buffer.data(), static_cast<size_t>(n));
  for (size_t end; (end = client.text.find('\n')) != std::string::npos;) {
    const std::string answer = handler_(std::string_view(client.text).substr(0, end)) + "\n";
    client.text.erase(0, end + 1);
    const ssize_t sent = send(client.socket.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(answer.size())) return false;
  }
  return client.text.size() <= kMaxCommandBytes;
}

void ControlSocket::Turn() {
  std::array<epoll_event, kEventsATurn> events;
  const int n = epoll_wait(epoll_.get(), events.data(), kEventsATurn, 0);
  for (int i = 0; i < n; ++i) {
    const int fd = events[static_cast<size_t>(i)].data.fd;
    if (fd == listener_->get()) {
      Accept();
    } else if (!Serve(*clients_.at(fd))) {
      clients_.erase(fd);
    }
  }
}

}  // namespace viaduct::support
