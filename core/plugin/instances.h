// All instances of a node: from what the configuration wants to what runs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/gateway/link.h"
#include "core/message/exchange.h"
#include "core/observe/log.h"
#include "core/plugin/instance.h"
#include "core/plugin/registry.h"

namespace viaduct {

class FileRoad;          // file_road.h
class FrameSource;       // frames.h
class HealthTree;        // core/observe
class Incarnation;       // incarnation.h
class Inferer;           // frames.h
class InstanceRunner;    // instance_runner.h
class InstanceServices;  // instance_services.h
class Metrics;           // core/observe
class RoadProber;        // road_prober.h

struct InstancesOptions {
  InstanceLimits limits;
  // The node should end: an instance with StartFailurePolicy::kFail did not start, or a plugin did
  // not return from a call and keeps a thread of the host, such as the dispatcher's (then nothing
  // but _exit will do). On a thread of Instances; must not call back but may tell main.
  std::function<void(const std::string& name, const absl::Status& why)> on_fatal;
};

// What an instance needs of the host. All outlive Instances; those marked may be null.
struct InstancesDeps {
  PluginRegistry* plugins = nullptr;
  const Clock* clock = nullptr;
  Log* log = nullptr;
  Metrics* metrics = nullptr;    // May be null.
  HealthTree* health = nullptr;  // May be null.
  CallHandler* calls = nullptr;  // May be null: calls and submits are answered 503.
};

enum class ApplyMode : uint8_t {
  // What can not be prepared is shown failed (and tried again by its policy); the rest goes on.
  kBoot,
  // Every touched instance is created and configured before any old one stops; one failure and
  // nothing has changed.
  kAllOrNothing,
};

struct ApplyResult {
  absl::Status status;                                         // OK, or the first of `failures`.
  std::vector<std::pair<std::string, absl::Status>> failures;  // Instance, reason.
  std::vector<std::string> started;  // New or replaced; their start may still be under way.
  std::vector<std::string> stopped;
  std::vector<std::string> unchanged;
};

// What a Watch tells. `removed` names an instance that is no longer configured.
struct InstanceEvent {
  enum class Kind : uint8_t { kChanged, kRemoved, kSynced };
  Kind kind = Kind::kChanged;
  InstanceInfo info;  // kRemoved: only the name.
};

// A queue of changes for one watcher: the present state, kSynced, then changes. Changes of one
// instance that were not taken yet are merged into the latest, so it never holds more than one
// event an instance. Thread-safe.
class InstanceWatch {
 public:
  // Waits for the next event. DEADLINE_EXCEEDED, or CANCELLED after Cancel.
  absl::StatusOr<InstanceEvent> Next(absl::Time deadline);
  void Cancel();

 private:
  friend class Instances;
  bool ReadyLocked() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void Put(const std::string& name, InstanceEvent event);
  void PutInitial(std::vector<InstanceInfo> instances);

  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool synced_ ABSL_GUARDED_BY(mutex_) = false;  // kSynced has been taken.
  absl::btree_map<std::string, InstanceEvent> initial_ ABSL_GUARDED_BY(mutex_);
  absl::btree_map<std::string, InstanceEvent> changed_ ABSL_GUARDED_BY(mutex_);
};

// Thread-safe. Start, Stop, Drain, Restart and Apply wait for their end (bounded by the limits)
// and are carried out one at a time per instance; never call them from a callback of an instance.
class Instances {
 public:
  Instances(InstancesDeps deps, InstancesOptions options);
  // As StopAll.
  ~Instances();
  Instances(const Instances&) = delete;
  Instances& operator=(const Instances&) = delete;

  // Makes `specs` the set of instances. Untouched are those whose spec is the same.
  // INVALID_ARGUMENT: a bad or double name, or too many.
  ApplyResult Apply(std::vector<InstanceSpec> specs, ApplyMode mode);
  // Creates and configures what Apply would and throws it away again. What is wrong with each, in
  // the plugin's own words.
  struct Mistake {
    std::string instance;
    std::string pointer;  // JSON pointer into its config, where the plugin gave one.
    absl::Status status;
  };
  std::vector<Mistake> Validate(const std::vector<InstanceSpec>& specs);

  std::vector<InstanceInfo> List() const;  // By name.
  absl::StatusOr<InstanceInfo> Get(std::string_view name) const;
  absl::StatusOr<InstanceSpec> GetSpec(std::string_view name) const;  // With secrets: do not show.

  // OK when started already. The status is the reason where it did not start.
  absl::Status Start(std::string_view name);
  absl::Status Stop(std::string_view name);
  absl::Status Drain(std::string_view name, absl::Duration limit);  // Then stops it.
  absl::Status Restart(std::string_view name);
  // Restarts what uses the plugin, with the library that PluginRegistry now has. What was stopped,
  // or never told to start, stays so.
  absl::Status RestartPlugin(std::string_view plugin);
  std::vector<std::string> UsersOf(std::string_view plugin) const;

  // All at once: drains within `limit`, then stops. The set is empty afterwards. Returns how many
  // incarnations had to be given up because a plugin did not return; when not 0, the process
  // should end with _exit, since their threads still run plugin code.
  size_t StopAll(absl::Duration limit);

  // Waits until no instance is on its way to started (ready or failed); false at the deadline.
  bool AwaitSettled(absl::Duration limit) const;

  // The roads for the dispatcher: every instance that offers viaduct.deliver/1, ready or not. A
  // link stays the same object over restarts of its instance.
  std::vector<std::shared_ptr<Link>> links() const;
  // The listeners that publish: every instance that offers viaduct.publish/1, as links().
  std::vector<std::shared_ptr<Link>> publishers() const;
  // Called after the roles of an instance have changed (links, publishers, who offers
  // viaduct.file/1, viaduct.source/1 or viaduct.infer/1), on any thread, without a lock. Set before
  // the first Apply.
  void SetLinksChanged(std::function<void()> changed);

  // At most kMaxWatches at once: RESOURCE_EXHAUSTED.
  static constexpr size_t kMaxWatches = 64;
  static constexpr size_t kMaxInstances = 256;
  absl::StatusOr<std::shared_ptr<InstanceWatch>> Watch();

  // A call to a peer of the instance (a control command to a device). `reply` exactly once;
  // status 503 when the instance can not take it, 504 after the deadline.
  void Call(std::string_view name, CallRequest request, absl::Duration limit, ReplyFn reply);

  // The instance's other interfaces; NOT_FOUND, or UNIMPLEMENTED when it offers no such thing.
  absl::StatusOr<std::shared_ptr<FileRoad>> file_road(std::string_view name) const;
  absl::StatusOr<std::shared_ptr<RoadProber>> prober(std::string_view name) const;
  absl::StatusOr<std::shared_ptr<FrameSource>> frame_source(std::string_view name) const;
  absl::StatusOr<std::shared_ptr<Inferer>> inferer(std::string_view name) const;

 private:
  using RunnerPtr = std::shared_ptr<InstanceRunner>;
  using Prepared = absl::StatusOr<std::shared_ptr<Incarnation>>;
  struct Change;  // What Apply does to one instance.

  absl::StatusOr<RunnerPtr> Find(std::string_view name) const;
  std::vector<RunnerPtr> Runners() const;
  RunnerPtr MakeRunner(const InstanceSpec& spec);
  // The runner and what it offers under `id`; UNIMPLEMENTED when it does not.
  absl::StatusOr<RunnerPtr> FindOffering(std::string_view name, std::string_view id) const;
  std::vector<Change> Plan(const std::vector<InstanceSpec>& specs, ApplyResult* result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(applying_);
  // Ends what will not be used, or has failed already.
  void Drop(const InstanceSpec& spec, const Prepared& prepared);
  std::vector<RunnerPtr> Unwanted(const std::vector<InstanceSpec>& specs) const;
  void Commit(std::vector<Change> changes, const std::vector<RunnerPtr>& unwanted,
              ApplyResult* result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(applying_);
  void CloseAll(const std::vector<RunnerPtr>& runners, absl::Duration limit);
  void OnChanged(const InstanceInfo& info);
  void OnRemoved(const std::string& name);
  void PutEvent(const InstanceEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NotifyLinks();
  void Watchdog();
  void LookAtGivenUp();

  const InstancesDeps deps_;
  const InstancesOptions options_;
  const std::unique_ptr<InstanceServices> services_;  // Timers and what instances share.
  absl::Mutex applying_;                              // One Apply or StopAll at a time.
  mutable absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(applying_);
  mutable absl::CondVar changed_;
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;  // Counts what changed_ tells.
  bool watching_ ABSL_GUARDED_BY(mutex_) = false;
  bool host_thread_lost_ = false;  // Of the watchdog alone: on_fatal has been told.
  absl::btree_map<std::string, RunnerPtr> runners_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::weak_ptr<InstanceWatch>> watches_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> links_changed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
