// A Unix socket that takes one line a command and answers each by one line.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/status/status.h"
#include "core/base/descriptor.h"

namespace viaduct::support {

inline constexpr size_t kMaxControlClients = 16;  // One more is closed at once.
inline constexpr size_t kMaxCommandBytes = 64u << 10;

// A client that sends a longer line, or does not read its answers, is closed. Thread-compatible.
class ControlSocket {
 public:
  using Handler = std::function<std::string(std::string_view line)>;

  ControlSocket(std::string path, Handler handler);
  // Removes the socket's file.
  ~ControlSocket();
  // A socket that another process left behind is replaced. UNAVAILABLE: cannot listen.
  absl::Status Open();
  // Readable when Turn has something to do.
  int fd() const { return epoll_.get(); }
  // Takes what there is, without waiting.
  void Turn();

 private:
  struct Client {
    explicit Client(int fd) : socket(fd) {}
    Descriptor socket;
    std::string text;
  };

  void Accept();
  bool Serve(Client& client);  // False: it is over.

  const std::string path_;
  const Handler handler_;
  const Descriptor epoll_;
  std::unique_ptr<Descriptor> listener_;
  std::unordered_map<int, std::unique_ptr<Client>> clients_;
};

}  // namespace viaduct::support
