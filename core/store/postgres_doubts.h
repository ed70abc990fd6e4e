// What this node has stored without learning of it: the answer to a commit was lost.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace viaduct {

// Numbers of the newest rows of a node, as it notes them in writers.
struct PgPlace {
  int64_t detection = 0;
  int64_t health_report = 0;
};

// The writer adds the rows of a commit that it finds made after all, the feed tells of them: their
// senders, who try again, are answered as duplicates, of which nobody is told. Several that wait
// become one range: rows between them are then told twice, none is left out. Thread-safe.
class PostgresDoubts {
 public:
  struct Range {
    PgPlace after;
    PgPlace until;
  };

  void Add(const Range& range);
  std::optional<Range> Waiting() const;
  // They were told up to there.
  void Done(const PgPlace& until);

 private:
  mutable absl::Mutex mutex_;
  std::optional<Range> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
