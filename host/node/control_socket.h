// The Unix socket of the control plane: only its owner may use it, and the node knows who calls.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace viaduct {

// A listening socket and the thread that accepts on it. Thread-compatible.
class ControlSocket {
 public:
  static constexpr int kBacklog = 64;

  struct Accepted {
    int descriptor = -1;  // Non-blocking; the callee owns it.
    uid_t uid = 0;
    pid_t pid = 0;
  };
  // On the accepting thread; must not block.
  using AcceptFn = std::function<void(const Accepted&)>;

  // Binds with mode 0600. A socket file that nobody listens on is replaced; ALREADY_EXISTS when a
  // node answers there, FAILED_PRECONDITION when something else is in the way.
  static absl::StatusOr<std::unique_ptr<ControlSocket>> Listen(const std::string& path);

  // As Stop.
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  void Start(AcceptFn on_accept);
  // Takes no more connections, removes the file and joins the thread.
  void Stop();

  const std::string& path() const { return path_; }

 private:
  ControlSocket(std::string path, int listener, int wake)
      : path_(std::move(path)), listener_(listener), wake_(wake) {}
  void Run();

  const std::string path_;
  int listener_;
  int wake_;  // An eventfd: readable once the thread is to end.
  AcceptFn on_accept_;
  std::thread thread_;
};

}  // namespace viaduct
