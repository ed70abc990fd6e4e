// What changes on the node, for everybody who watches: instances, health, revisions, alerts,
// events.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/observe/alerts.h"
#include "core/observe/health_tree.h"
#include "core/plugin/instances.h"
#include "host/rpc/broadcast.h"
#include "viaduct/control/v1/config.pb.h"
#include "viaduct/control/v1/instances.pb.h"
#include "viaduct/control/v1/node.pb.h"
#include "viaduct/control/v1/stats.pb.h"

namespace viaduct {

// Thread-safe. One thread follows Instances; health changes come on the thread that makes them.
class StateHub {
 public:
  static constexpr size_t kMaxPending = 1024;  // Of one watcher.
  // A component of the health tree has changed ("" is the node as one).
  using HealthFn = std::function<void(const std::string& component, HealthState state)>;

  // All outlive the hub.
  StateHub(const Clock* clock, Instances* instances, HealthTree* health);
  // As Stop.
  ~StateHub();
  StateHub(const StateHub&) = delete;
  StateHub& operator=(const StateHub&) = delete;

  // `on_health` is told of every component that is there, then of changes.
  absl::Status Start(HealthFn on_health);
  // Ends every stream and joins the thread.
  void Stop();

  void PublishEvent(control::v1::EventKind kind, std::string_view subject, std::string_view text);
  void PublishRevision(const control::v1::Revision& revision);
  // It was raised or cleared.
  void PublishAlert(const Alert& alert);

  rpc::WatchStream<control::v1::InstancesWatchResponse>* WatchInstances(
      const control::v1::InstancesWatchRequest& request);
  rpc::WatchStream<control::v1::NodeWatchResponse>* WatchNode(const control::v1::NodeInfo& present);
  // Sends what `read_past` returns first; no revision is published while it runs.
  using ReadPastFn = std::function<absl::StatusOr<std::vector<control::v1::Revision>>()>;
  rpc::WatchStream<control::v1::ConfigWatchResponse>* WatchConfig(const ReadPastFn& read_past);

  rpc::WatchStream<control::v1::StatsWatchAlertsResponse>* WatchAlerts(const Alerts& alerts);

 private:
  using Names = std::vector<std::string>;  // Empty: all.

  void Follow();
  void OnInstance(const InstanceEvent& event);
  void OnHealth(const ComponentHealth& change);
  // Tells the newest of a component, until it is the newest also after the telling.
  void TellComponent(const std::string& component);
  void TellOverall();

  const Clock* const clock_;
  Instances* const instances_;
  HealthTree* const health_;
  HealthFn on_health_;

  rpc::Broadcast<control::v1::InstancesWatchResponse, Names> instance_watchers_;
  rpc::Broadcast<control::v1::NodeWatchResponse> node_watchers_;
  rpc::Broadcast<control::v1::ConfigWatchResponse> config_watchers_;
  rpc::Broadcast<control::v1::StatsWatchAlertsResponse> alert_watchers_;

  absl::Mutex mutex_;
  std::map<std::string, control::v1::Instance> present_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, ComponentHealth> components_ ABSL_GUARDED_BY(mutex_);
  HealthState overall_ ABSL_GUARDED_BY(mutex_) = HealthState::kHealthy;
  std::shared_ptr<InstanceWatch> watch_;
  std::unique_ptr<HealthSubscription> health_subscription_;
  std::thread follower_;
};

}  // namespace viaduct
