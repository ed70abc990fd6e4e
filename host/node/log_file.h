// The log in a file in place of standard error: rotated by size and by number, and opened anew when
// somebody else has moved it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/config/node_config.h"

namespace viaduct {

struct LogFileOptions {
  std::string path;
  uint64_t max_bytes = 0;
  uint32_t max_files = 0;  // With the current one; the oldest goes.
};

// Whatever the process writes to standard error goes into the file, also what libraries say when
// they end it. Lives on the main thread; others may write to standard error all the time.
class LogFile {
 public:
  static constexpr mode_t kMode = 0640;

  // Null where the configuration names no file. The folder is made with mode 0750.
  static absl::StatusOr<std::unique_ptr<LogFile>> Open(const NodeConfig& config);
  static absl::StatusOr<std::unique_ptr<LogFile>> Open(LogFileOptions options);
  // Standard error is what it was before.
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // Full: "node.log" becomes "node.log.1", that one "node.log.2", and so on. To be called now and
  // then: until then it grows beyond its size. Where a file cannot be renamed or made, the one that
  // is open goes on.
  absl::Status RotateIfFull();
  // As logrotate wants it after it has moved the file.
  absl::Status Reopen();

 private:
  LogFile(LogFileOptions options, int before) : options_(std::move(options)), before_(before) {}
  std::string NameOf(uint32_t number) const;

  const LogFileOptions options_;
  const int before_;  // What standard error was.
};

}  // namespace viaduct
