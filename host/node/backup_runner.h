// Makes the backups of a node: when it is asked to, and by itself.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "core/backup/backups.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/base/executor_timer_queue.h"
#include "core/config/backup_options.h"
#include "core/observe/health_tree.h"
#include "core/observe/log.h"

namespace viaduct {

// Thread-safe. The pool must have ended before it goes.
class BackupRunner {
 public:
  static constexpr absl::Duration kFirstLook = absl::Minutes(1);
  static constexpr absl::Duration kLookAgain = absl::Minutes(10);  // After one that failed.

  struct Deps {  // All outlive it.
    const Clock* clock = nullptr;
    Log* log = nullptr;
    HealthTree* health = nullptr;
    TimerQueue* timers = nullptr;
    Executor* pool = nullptr;      // One thread: it takes as long as it takes.
    backup::Backups::FillFn fill;  // Puts what belongs to this node into a backup.
  };
  BackupRunner(BackupOptionsConfig options, backup::BackupsOptions backups, Deps deps);

  // From now on by itself, where the configuration says how often.
  void Start();
  // Ends the one that is under way and begins no other.
  void Stop();

  // One that somebody waits for. Any thread may end it.
  class Run {
   public:
    void End();

   private:
    friend class BackupRunner;
    absl::Mutex mutex_;
    absl::Notification ended_;
  };
  // Blocks: for the pool. As Backups::Create.
  absl::StatusOr<backup::BackupManifest> Create(const std::shared_ptr<Run>& run,
                                                const backup::Backups::ToldFn& told);
  const BackupOptionsConfig& options() const { return options_; }

 private:
  void Arm(absl::Duration after);
  void RunByItself();
  absl::Duration UntilNext() const;
  void Tell(const absl::Status& status);

  const BackupOptionsConfig options_;
  const Deps deps_;
  backup::Backups backups_;
  absl::Mutex mutex_;
  std::shared_ptr<Run> current_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace viaduct
