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
#include "host/node/reminder.h"

namespace viaduct {

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
    // Where the node rolls back by itself and notes what is good; nothing else may hold it up.
    Executor* keeper = nullptr;
    // How long a new revision must have run before it counts as good.
    absl::Duration good_after = absl::Seconds(5);
  };
  static constexpr absl::Duration kMinConfirm = absl::Seconds(1);
  static constexpr absl::Duration kMaxConfirm = absl::Hours(24);

  explicit ConfigControl(Deps deps)
      : deps_(deps), rollback_(deps.timers, deps.keeper), good_(deps.timers, deps.keeper) {}
  // Timers and keeper must have been stopped: a pending roll-back is forgotten, the next start
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

  // In findings, of what did not come from a file.
  static constexpr char kFileName[] = "config.yaml";
  // With the plugins that are installed by now. `file` only goes into findings.
  ConfigReport Validate(std::string_view yaml, std::string_view file = kFileName);
  Planned Plan(std::string_view yaml, std::string_view file = kFileName);
  // FAILED_PRECONDITION while the running revision waits for its confirmation: what took its place
  // would stay, although nobody has confirmed what it goes back to.
  Outcome Apply(const RevisionStore::Proposal& proposal, std::string_view file = kFileName);
  // What runs is taken over once more, with the plugins, secrets and variables there are by now. No
  // new revision.
  absl::Status LookAgain();
  // 0: the newest one before the running one that was good and says something else.
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
  enum class Change : uint8_t { kApplied, kRolledBack, kNoted };  // kNoted: runs as before.
  using ChangedFn = std::function<void(const Revision&, Change)>;
  void SetChanged(ChangedFn changed) { changed_ = std::move(changed); }

  // A copy; secrets included.
  NodeConfig running() const;
  RevisionStore* revisions() const { return deps_.revisions; }

 private:
  Outcome ApplyLocked(const RevisionStore::Proposal& proposal, std::string_view file)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(changing_);
  // What may not be applied now, whatever it says.
  absl::Status CheckTurn(const RevisionStore::Proposal& proposal) const;
  absl::Status TakeOver(const NodeConfig& next, const std::vector<Effect>& effects, ApplyMode mode)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(changing_);
  void Adopt(NodeConfig next);
  absl::StatusOr<Revision> ReturnTo(uint64_t number, std::string_view reason,
                                    std::string_view author)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(changing_);
  bool OnConfirmTimeout(uint64_t number);
  void ArmGood(uint64_t number);
  bool OnGood(uint64_t number);
  // FAILED_PRECONDITION: there is none.
  absl::StatusOr<uint64_t> RollbackTarget() const;
  absl::StatusOr<Document> Show(const Revision& revision);
  void Tell(uint64_t number, Change change);

  const Deps deps_;
  std::string data_dir_;   // Set by Begin.
  std::string auth_mode_;  // Of this process: it changes with a restart alone.
  ChangedFn changed_;
  Reminder rollback_;
  Reminder good_;
  absl::Mutex changing_;  // One change at a time; held while instances stop and start.
  mutable absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(changing_);
  NodeConfig running_ ABSL_GUARDED_BY(mutex_);
  // What the process was started with: what differs from it waits for a restart.
  NodeConfig started_with_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
