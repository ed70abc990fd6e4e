// A file that a road carries, and how that ended.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "plugins/common/local_file.h"

namespace viaduct {

struct FileJob {
  uint64_t token = 0;
  std::string local_path;
  std::string remote_name;
  std::string sha256;  // 64 hexadecimal digits; "": not known.
  uint64_t size = 0;
  uint64_t offset = 0;                // What is before it was durable on the other side.
  uint64_t max_bytes_per_second = 0;  // 0: no limit.
  int64_t deadline_ns = 0;            // Monotonic; 0: none.
  FileIdentity identity;              // Of the local file.
};

// Of a file that nobody will go on with.
struct FileLeftover {
  std::string remote_name;
  std::string sha256;
};

enum class FileOutcome { kDurable, kRetry, kReject, kCancelled };

struct FileEnd {
  uint64_t token = 0;
  FileOutcome outcome = FileOutcome::kRetry;
  absl::Status status;          // Why, for everything but kDurable.
  uint64_t durable_offset = 0;  // Where a later attempt may go on.
  std::string sha256;           // Of what was sent, where all of it was.
};

}  // namespace viaduct
