// Which cameras have sessions at which node of one database.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/store/postgres_connection.h"
#include "core/store/records.h"

namespace viaduct {

// The cameras of this node: a row each in node_cameras, and in node_presence how often they were
// written. Note is thread-safe, the rest lives on the writer thread of the store.
class PostgresPresence {
 public:
  static constexpr size_t kMaxCameras = 65'536;  // Of one node; other nodes do not hear of more.

  // False: it is one too many.
  bool Note(const CameraPresence& change);
  // Something was noted that is not written.
  bool dirty() const;
  // The connection is new: the tables may have another state than they were left in.
  void BeginAnew() { anew_ = true; }
  // Writes what was noted, in a transaction of its own.
  absl::Status Write(PgConnection* db, int64_t writer);
  // The node ends: none of its cameras has a session any more.
  void LeaveAll(absl::Time now);

 private:
  struct Camera {
    std::string checkpoint_id;
    bool online = false;
    bool announced = false;
    bool silent = false;
    bool dirty = true;
    absl::Time at;
    uint64_t change = 0;  // Number of the last one.
  };
  struct Batch {
    PgArray cameras{PgType::kText};
    PgArray checkpoints{PgType::kText};
    PgArray online{PgType::kBool};
    PgArray announced{PgType::kBool};
    PgArray silent{PgType::kBool};
    bool any_silent = false;
    PgArray changed{PgType::kTime};
    uint64_t last_change = 0;
  };
  Batch Changes() const;
  absl::Status WriteRows(PgConnection* db, int64_t writer, const Batch& batch);
  void NoteWritten(uint64_t last_change);

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Camera> cameras_ ABSL_GUARDED_BY(mutex_);
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool dirty_ ABSL_GUARDED_BY(mutex_) = false;
  bool anew_ = true;  // Writer thread.
};

// The cameras of the other nodes. A node whose sign of life has not changed for the length of the
// lease is gone and its cameras with it; only time in which the database could be read counts.
// Lives on the thread of the feed.
class PostgresCameras {
 public:
  // A row of writers, with what node_presence and node_beats say of it.
  struct Node {
    int64_t id = 0;
    int64_t version = 0;  // Of its cameras.
    absl::Time beat;
    bool alive = false;  // By the database's clock.
  };

  PostgresCameras(absl::Duration lease, const Clock* clock) : lease_(lease), clock_(clock) {}

  // The connection is new: every node that was alive has a whole lease again.
  void BeginAnew();
  // Adds what has changed: cameras that came to another node, or are at no other node any longer.
  absl::Status Follow(PgConnection* db, const Node& node, std::vector<CameraPresence>* changes);

 private:
  struct Followed {
    int64_t version = 0;
    absl::Time beat;
    int64_t heard_ns = 0;
    bool alive = false;
    bool current = false;                                   // What it writes from now on is news.
    absl::flat_hash_map<std::string, std::string> cameras;  // And their checkpoints.
  };
  // True: it is alive.
  bool Hear(const Node& node, bool known, Followed* followed) const;
  absl::Status ReadChanges(PgConnection* db, const Node& node, Followed* followed,
                           std::vector<CameraPresence>* changes);
  void Apply(const CameraPresence& change, Followed* followed,
             std::vector<CameraPresence>* changes);
  void Drop(Followed* followed, std::vector<CameraPresence>* changes);

  const absl::Duration lease_;
  const Clock* const clock_;
  absl::flat_hash_map<int64_t, Followed> nodes_;
  absl::flat_hash_map<std::string, int> online_;  // At so many other nodes.
};

}  // namespace viaduct
