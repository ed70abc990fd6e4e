// The one way to a new configuration, whoever asks: start-up, SIGHUP, the Config service.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/base/executor_timer_queue.h"
#include "core/config/node_config.h"
#include "core/config/plan.h"
#include "core/config/revision_store.h"
#include "core/config/validate.h"
#include "core/observe/health_tree.h"
#include "core/observe/log.h"
#include "core/observe/log_hub.h"
#include "core/plugin/instances.h"
#include "core/plugin/registry.h"

namespace viaduct {

// What Instances gets for the instances of a configuration.
std::vector<InstanceSpec> SpecsOf(const NodeConfig& config);

// Thread-safe. Everything that changes something may take as long as an instance needs to stop;
// changes are carried out one at a time.
class ConfigControl {
 public:
  struct Deps {
    const Clock* clock = nullptr;
    Log* log = nullptr;
    LogHub* log_hub = nullptr;  // May be null (tests).
    HealthTree* health = nullptr;
    RevisionStore* revisions = nullptr;
    ConfigValidator* validator = nullptr;
    PluginRegistry* plugins = nullptr;
    Instances* instances = nullptr;
    TimerQueue* timers = nullptr;
    Executor* executor = nullptr;  // Where a roll-back by itself runs.
    // How long a new revision must have run before it counts as good.
    absl::Duration good_after = absl::Seconds(5);
  };
  static constexpr absl::Duration kMinConfirm = absl::Seconds(1);
  static constexpr absl::Duration kMaxConfirm = absl::Hours(24);

  explicit ConfigControl(Deps deps) : deps_(deps) {}
  // Timers and executor must have been stopped: a pending roll-back is forgotten, the next start
  // takes care of an unconfirmed revision.
  ~ConfigControl() = default;
  ConfigControl(const ConfigControl&) = delete;
  ConfigControl& operator=(const ConfigControl&) = delete;

  struct Planned {
    uint64_t base_revision = 0;
    ConfigReport report;
    std::vector<Effect> effects;
  };
  struct Applied {
    Revision revision;
    std::vector<Effect> effects;
    std::vector<Finding> warnings;
  };
  // The findings travel beside the status, since a status is only text.
  struct Outcome {
    absl::Status status;
    std::vector<Finding> findings;
    std::optional<Applied> applied;
  };

  // What the node was started with; before anything else.
  void Begin(NodeConfig running);
  // The node is ready: the head is good when it is still the head after a while.
  void ScheduleGood();

  // With the plugins that are installed by now.
  ConfigReport Validate(std::string_view yaml);
  Planned Plan(std::string_view yaml);
  Outcome Apply(const RevisionStore::Proposal& proposal);
  // 0: the newest one before the running one that was not failed or rolled back.
  Outcome Rollback(uint64_t to, RevisionStore::Proposal proposal);
  absl::StatusOr<Revision> Confirm(uint64_t number);
  absl::StatusOr<Revision> Cancel(uint64_t number, std::string_view author);

  struct Document {
    Revision revision;
    std::string redacted_yaml;
  };
  absl::StatusOr<Document> GetRunning();
  absl::StatusOr<Document> GetLastGood();
  absl::StatusOr<Document> GetRevision(uint64_t number);
  std::vector<Revision> ListRevisions(size_t limit) const { return deps_.revisions->List(limit); }

  // Called with each revision that changed, after the change, on the thread that made it, without a
  // lock. Set before the first change.
  using ChangedFn = std::function<void(const Revision&)>;
  void SetChanged(ChangedFn changed) { changed_ = std::move(changed); }

  // A copy; secrets included.
  NodeConfig running() const;
  RevisionStore* revisions() const { return deps_.revisions; }

 private:
  absl::Status TakeOver(const NodeConfig& next, const std::vector<Effect>& effects)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(changing_);
  void Adopt(NodeConfig next, const std::vector<Effect>& effects);
  absl::StatusOr<Revision> ReturnTo(uint64_t number, RevisionState why, std::string_view reason,
                                    std::string_view author)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(changing_);
  void ArmRollback(const Revision& revision, absl::Duration within)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(changing_);
  void DisarmRollback() ABSL_EXCLUSIVE_LOCKS_REQUIRED(changing_);
  void OnConfirmTimeout(uint64_t number);
  void ArmGood(uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(changing_);
  void OnGood(uint64_t number);
  uint64_t RollbackTarget() const;
  absl::StatusOr<Document> Show(const Revision& revision);
  void Tell(uint64_t number);

  const Deps deps_;
  ChangedFn changed_;
  absl::Mutex changing_;  // One change at a time; held while instances stop and start.
  uint64_t rollback_timer_ ABSL_GUARDED_BY(changing_) = 0;
  uint64_t good_timer_ ABSL_GUARDED_BY(changing_) = 0;
  mutable absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(changing_);
  NodeConfig running_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> restart_needed_for_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
