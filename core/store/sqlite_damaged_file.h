// A damaged database file is moved out of the way, step by step so that a crash between any two of
// them is taken up again. The marker beside the database says how far it is.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"

namespace viaduct {

// Thread-compatible.
class SqliteDamagedFile {
 public:
  enum class Step {
    kNone,     // Nothing is set aside, or all of it is copied.
    kMoving,   // The database may still stand where it stood, with or without its log.
    kCopying,  // It stands under `name`; what it holds is being copied.
  };

  // Reads the marker of the database at `path`.
  explicit SqliteDamagedFile(std::string path);

  Step step() const { return step_; }
  const std::string& name() const { return name_; }

  // Renames the database and its write-ahead log to "<path>.damaged-<UTC time>", or ends what a
  // crash interrupted; then mends the page that says what the file is. The step is now kCopying.
  absl::Status SetAside(const Clock* clock);
  // All is copied that could be: the file is only kept for inspection from now on.
  void Finish();

 private:
  absl::Status WriteMarker(Step step);
  absl::Status Rename(const char* suffix) const;

  const std::string path_;
  Step step_ = Step::kNone;
  std::string name_;
};

}  // namespace viaduct
