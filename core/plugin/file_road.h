// Files over an instance that offers viaduct.file/1.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/gateway/link.h"
#include "core/message/exchange.h"
#include "core/plugin/link.h"

namespace viaduct {

struct FileJob {
  enum class Direction : uint8_t { kSend, kReceive };
  Direction direction = Direction::kSend;
  std::string local_path;             // Absolute.
  std::string remote_name;            // Relative, '/' between folders, no "..".
  std::string sha256;                 // 64 hexadecimal digits; "" when not known (receive).
  uint64_t size = 0;                  // 0 when not known (receive).
  uint64_t offset = 0;                // Begin here: what is before it is durable on the other side.
  uint64_t max_bytes_per_second = 0;  // 0: no limit.
  absl::Duration limit = absl::InfiniteDuration();
  Attributes attributes;
  // Which file local_path must lead to, as fstat tells; both 0: not known.
  uint64_t local_device = 0;
  uint64_t local_inode = 0;
};

// Of a file that nobody will go on with.
struct FileLeftover {
  std::string remote_name;
  std::string sha256;
};

struct FileResult {
  Outcome outcome = Outcome::kRetry;
  absl::Status status;          // Why, for everything but kDurable.
  uint64_t durable_offset = 0;  // Where a later attempt may resume.
  absl::Duration retry_after = absl::ZeroDuration();
  std::string sha256;  // Of what arrived, where the plugin computed it.
};

using FileProgressFn = std::function<void(uint64_t moved, uint64_t durable_offset)>;
using FileDoneFn = std::function<void(FileResult)>;

// Stays the same over restarts of its instance. Thread-safe.
class FileRoad {
 public:
  explicit FileRoad(std::shared_ptr<CurrentIncarnation> current) : current_(std::move(current)) {}

  bool ready() const;
  size_t credit() const;
  // Begins a transfer and gives its ticket. `done` is called exactly once, on any thread, possibly
  // before Begin returns; `progress` not after it. INVALID_ARGUMENT: a name that can not be used;
  // UNAVAILABLE: the instance does not run; RESOURCE_EXHAUSTED: too many. Then `done` is not
  // called.
  absl::StatusOr<uint64_t> Begin(FileJob job, FileProgressFn progress, FileDoneFn done);
  // Asks to end it soon, keeping what is durable; `done` says how it ended.
  void Cancel(uint64_t ticket);
  // Asks to remove what is unfinished of it on the other side. UNIMPLEMENTED: the plugin can not;
  // UNAVAILABLE: not now.
  absl::Status Discard(FileLeftover leftover);

 private:
  const std::shared_ptr<CurrentIncarnation> current_;
};

}  // namespace viaduct
