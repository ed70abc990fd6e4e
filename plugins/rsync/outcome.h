// What rsync says: how far it is, how it ended.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace viaduct::rsync {

// How a run ended.
struct RunEnd {
  absl::Status status;
  bool session = false;   // It would be the same for any file: the server is not reached.
  bool no_fsync = false;  // The rsync of one of the two sides does not know --fsync.
};

// `wait_status` as of waitpid, `err` the last of what was said on standard error.
RunEnd ReadRunEnd(int wait_status, std::string_view err);

// Of standard output with --info=progress2,stats2 and --no-human-readable. Thread-compatible.
class Progress {
 public:
  void Feed(std::string_view octets);
  uint64_t moved() const { return moved_; }  // Of all files of the run.
  uint64_t sent() const { return sent_; }    // On the road, known at the end of the run.

 private:
  void TakeLine();

  std::string line_;  // What has come of it.
  uint64_t moved_ = 0;
  uint64_t sent_ = 0;
};

}  // namespace viaduct::rsync
