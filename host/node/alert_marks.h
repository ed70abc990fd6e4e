// Which alerts somebody has seen to: who, when, and what they say of it.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/observe/alerts.h"

namespace viaduct {

struct AlertMark {
  std::string by;
  std::string note;
  absl::Time at;
};

// After a restart what still holds is raised anew, as another alert: one of the same kind and
// subject, raised soon after the start, has the mark of the one before. Thread-safe.
class AlertMarks {
 public:
  static constexpr size_t kMaxMarks = Alerts::kMaxWatched;  // The oldest goes.
  static constexpr absl::Duration kCarriedOver = absl::Minutes(30);
  static constexpr char kFileName[] = "alert_marks.json";

  // A file that is damaged is as good as none; `clock` must outlive it.
  AlertMarks(std::string folder, const Clock* clock);

  // On disk when it returns; may wait for that.
  absl::Status Put(const Alert& alert, AlertMark mark);
  std::optional<AlertMark> Find(const Alert& alert);
  // It was cleared: no later one has its mark, which is shown as long as it is. At once; true: Keep
  // has something to write.
  bool NoteCleared(const Alert& alert);
  absl::Status Keep();

 private:
  struct Entry {
    AlertKind kind = AlertKind::kLinkDown;
    std::string subject;
    AlertMark mark;
    bool cleared = false;
    bool of_before = false;  // Of the process before, and not found again yet.
  };
  void Load();
  std::string TextLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string folder_;
  const Clock* const clock_;
  const int64_t started_ns_;
  absl::Mutex file_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // Held while the file is written.
  absl::Mutex mutex_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);  // By the id of the alert.
};

}  // namespace viaduct
