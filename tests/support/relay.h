// A TCP relay in user space for fault tests: everything passes until it is told otherwise.
//
// Commands, one a line; each is answered by one line "ok ..." or "error ...":
//   pass                     everything passes (again)
//   drop [up|down]           bytes of that direction (both) are read and lost, nothing is closed
//   stall [up|down]          nothing is read any more, so that the sender's buffers fill
//   reset                    every connection ends with a reset; new ones still pass
//   refuse                   as reset, and new connections are reset at once
//   delay <ms>               each byte arrives so much later
//   budget <bytes> <command> after so many more bytes `command` happens by itself
//   stats                    {"connections":..,"open":..,"up":..,"down":..}
//   quit
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace viaduct::support {

struct RelayOptions {
  uint16_t listen_port = 0;  // 0: any free one.
  std::string target_address = "127.0.0.1";
  uint16_t target_port = 0;
  size_t max_buffered_bytes = 4u << 20;  // Of one direction of one connection.
};

// Lives on the thread that calls Run.
class Relay {
 public:
  explicit Relay(RelayOptions options);
  ~Relay();
  absl::Status Listen();
  uint16_t port() const { return port_; }
  // Serves until `quit` or the end of `command_fd`; answers go to `answer_fd`.
  void Run(int command_fd, int answer_fd);

 private:
  enum class Mode { kPass, kDrop, kStall };
  enum Direction { kUp = 0, kDown = 1 };  // Up: from the client to the target.
  struct Chunk {
    int64_t due_ns;
    std::string bytes;
  };
  struct Pair {
    int fds[2] = {-1, -1};  // [kUp]: the client's socket, [kDown]: the target's.
    bool ended[2] = {false, false};
    size_t buffered[2] = {0, 0};
    std::deque<Chunk> queue[2];
  };

  void Accept();
  void ReadSide(Pair& pair, Direction from);
  void WriteSide(Pair& pair, Direction from, int64_t now);
  void ResetPair(Pair& pair);
  void ResetAll();
  std::string Obey(std::string_view line);
  std::string SetMode(Mode mode, std::string_view direction);
  std::string Stats() const;
  void Spend(size_t bytes);
  int64_t NextWakeNanos(int64_t now) const;
  void Turn(int command_fd, int answer_fd);
  void Commands(int command_fd, int answer_fd);

  const RelayOptions options_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::vector<std::unique_ptr<Pair>> pairs_;
  Mode mode_[2] = {Mode::kPass, Mode::kPass};
  bool refuse_ = false;
  bool quit_ = false;
  int64_t delay_ns_ = 0;
  int64_t budget_ = -1;
  std::string budget_command_;
  std::string command_text_;
  uint64_t connections_ = 0;
  uint64_t passed_[2] = {0, 0};
};

}  // namespace viaduct::support
