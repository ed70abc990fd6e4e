// A program that runs beside us, in a process group of its own, and does not outlive us.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace viaduct::rsync {

// Lives on one thread, whose end it does not outlive.
class Child {
 public:
  // From SIGTERM to SIGKILL.
  static constexpr int64_t kStopNs = 2'000'000'000;
  // For so long what it has said is waited for when it has ended: another program may hold the
  // ends.
  static constexpr int64_t kLingerNs = 300'000'000;

  // `arguments[0]` is the program's path. RESOURCE_EXHAUSTED: no process, no descriptor.
  static absl::StatusOr<std::unique_ptr<Child>> Start(std::vector<std::string> arguments,
                                                      std::vector<std::string> environment,
                                                      std::string input);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();  // Kills, reaps.

  pid_t pid() const { return pid_; }
  // -1 when it is at its end. Wanted: to read out and err, to write in.
  int in() const { return in_; }
  int out() const { return out_; }
  int err() const { return err_; }
  // Moves what can be moved without waiting: appends at most kMaxPiece of each.
  void Move(std::string* out, std::string* err);
  // Asks its group to end; again and again is the same as once.
  void Terminate(int64_t now_ns);
  // Kills what was asked and did not end in time; hears no longer than kLingerNs to what has ended.
  void Advance(int64_t now_ns);
  bool terminated() const { return kill_ns_ != 0; }
  // True: it has ended, and all it has said is read; then *status is that of waitpid.
  bool Ended(int* status);

 private:
  static constexpr size_t kMaxPiece = 64 << 10;

  bool HasExited() const;
  Child(pid_t pid, int in, int out, int err, std::string input);
  static void ReadSome(int* fd, std::string* into);

  pid_t pid_;
  int in_;
  int out_;
  int err_;
  std::string input_;
  size_t written_ = 0;
  int64_t kill_ns_ = 0;
  int64_t linger_ns_ = 0;  // When it has ended, until when it is heard.
  bool killed_ = false;
};

}  // namespace viaduct::rsync
