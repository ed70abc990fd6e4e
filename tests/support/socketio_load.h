// The Socket.IO load: one thread, epoll, sessions over WebSocket with a window of unanswered events
// each. Further sessions only stay open and answer their pings.
#pragma once

#include <netinet/in.h>
#include <sys/epoll.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/load.h"

namespace viaduct::support {

struct SocketIoOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 8765;
  std::string path = "/socket.io/";
  std::string event = "lpr_data";       // With a detection of 300 bytes as its argument.
  std::string answer = "lpr_response";  // The event that answers it, in the order of the events.
  int sessions = 8;
  int window = 100;
  int idle_sessions = 0;  // Opened first; "idle" goes to stderr when all are in their namespace.
};

// Thread-compatible; Run() once.
class SocketIoLoad {
 public:
  SocketIoLoad(SocketIoOptions socketio, LoadOptions load, MessageSource* source);
  ~SocketIoLoad();
  // UNAVAILABLE: a session could not be opened, or was closed.
  absl::StatusOr<LoadResults> Run();

 private:
  enum class Phase : uint8_t { kConnecting, kHandshake, kOpening, kJoining, kReady };
  struct Session {
    int fd = -1;
    Phase phase = Phase::kConnecting;
    bool is_idle = false;
    bool wants_write = false;
    std::string in;
    std::string out;
    std::deque<int64_t> sent_ns;  // Of the events that are not answered; paced: when they were due.
  };

  absl::Status Prepare();
  absl::Status OpenAll(size_t first, size_t count);
  absl::Status Connect(Session& s);
  absl::Status Step(int64_t wait_ns);
  absl::Status OnEvents(Session& s, uint32_t events);
  absl::Status ReadFrom(Session& s);
  absl::Status TakeHandshake(Session& s);
  absl::Status TakeFrames(Session& s);
  absl::Status TakeText(Session& s, std::string_view text);
  absl::Status TakeEvent(Session& s, std::string_view text);
  absl::Status Write(Session& s);
  absl::Status Feed(int64_t now);
  void MakeEvent(Session& s, int64_t due);
  bool MayMake(int64_t now) const;

  const SocketIoOptions socketio_;
  const LoadOptions load_;
  MessageSource* const source_;
  const std::string head_;    // Of an event, up to its argument.
  const std::string answer_;  // What the packet of an answer begins with.
  sockaddr_in peer_{};
  int epoll_fd_ = -1;
  std::vector<Session> sessions_;  // The idle ones come last.
  Pace pace_;
  LoadResults results_;
  std::string payload_;  // Scratch.
  size_t ready_ = 0;
  size_t outstanding_ = 0;
  size_t next_ = 0;  // Whose turn it is.
  int64_t last_answer_ns_ = 0;
  int64_t make_until_ns_ = 0;
};

}  // namespace viaduct::support
