// One node: everything of it, made in order and taken apart in the reverse one.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/gateway/dispatcher.h"
#include "core/lpr/application.h"
#include "core/lpr/dashboard_files.h"
#include "core/lpr/fan_out_sink.h"
#include "core/lpr/fleet.h"
#include "core/lpr/fleet_calls.h"
#include "core/lpr/image_file_sink.h"
#include "core/lpr/sealing.h"
#include "core/lpr/store_sink.h"
#include "core/lpr/uplink_sink.h"
#include "core/observe/health_tree.h"
#include "core/observe/metrics.h"
#include "core/plugin/instances.h"
#include "core/receive/receiver.h"
#include "core/security/at_rest.h"
#include "core/spool/spool.h"
#include "core/store/store.h"
#include "core/transfer/transfers.h"
#include "host/node/access.h"
#include "host/node/config_control.h"
#include "host/node/control_pools.h"
#include "host/node/fleet_events.h"
#include "host/node/foundation.h"
#include "host/node/gate_sink.h"
#include "host/node/node_commands.h"
#include "host/node/roads.h"
#include "host/node/state_hub.h"
#include "host/node/subscribers.h"
#include "host/node/transfer_setup.h"
#include "host/services/deps.h"

namespace viaduct {

class BackupRunner;
class ControlCertificates;
class FileAnswers;
class GrpcServer;
class MessageFeed;
class FeedSink;
class Privacy;
class NodeMonitor;
class AlertMonitor;
class AlertMarks;
class Desk;
class GatewayFacts;
class GatewayReporter;
class Vision;
class Webhook;
struct NodeServices;

// Thread-safe after Start.
class Node {
 public:
  struct Options {
    // Somebody asked for the end: Node.Drain with stop, or an instance that must not fail did. Any
    // thread; must return at once.
    std::function<void(int exit_code)> on_stop_requested;
  };

  // `foundation` outlives the node. Returns when everything is up and every instance has started or
  // failed.
  static absl::StatusOr<std::unique_ptr<Node>> Start(Foundation* foundation, Options options);
  // As Stop with no patience.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Re-reads the configuration file, through the same door as everybody else.
  void Reload();

  // Drains within `limit`, then takes everything apart. Returns the number of plugin threads that
  // had to be left behind: when not 0, end the process with _exit.
  size_t Stop(absl::Duration limit);

  // True when the pool that answers the control plane has run a task since the last call: what the
  // watchdog of systemd is told.
  bool Alive();

  std::string StatusLine() const;  // For sd_notify and people.
  absl::Duration drain_timeout() const { return foundation_->config.limits.drain_timeout; }

 private:
  Node(Foundation* foundation, Options options);

  absl::Status OpenAccess();
  absl::Status OpenStorage();
  absl::Status OpenKeys();
  absl::Status OpenStore();
  absl::Status BuildApplication();
  void ReadDashboard();
  void BuildDashboard(ApplicationOptions* options, ApplicationParts* parts);
  void BeginDesk();
  // `publisher` may be null.
  void FollowOtherNodes(Publisher* publisher);
  void BuildInstances();
  void BuildGateway();
  void BuildVision();
  void SyncFeeds();
  void BuildConfigControl();
  void BuildServices();
  void BuildAlerts();
  void BuildReports();
  void BuildFleet();
  void BeginFleet();
  void BeginCommands();
  void KnockAtLostRoads();
  absl::Status StartControl();
  absl::Status StartInstances();
  void SyncRoads();
  absl::Status OpenImages();
  absl::Status StartReceiver();
  void OnFileAnnounced(const FileAnnouncement& announcement, bool known);
  absl::Status OpenTransfers();
  absl::Status StartTransfers();
  void SyncFileRoads();
  void AnnounceFile(const Transfer& transfer, std::function<void(absl::Status)> told);
  void CareForTransfers();
  void BuildPrivacy();
  absl::Status BuildBackups();
  void ArmSweep(absl::Duration after);
  NodeActions MakeActions();
  control::v1::NodeInfo Info() const;
  NodeActions::Drained Drain(absl::Duration limit);
  void TakeFileOver();
  void SetState(control::v1::NodeState state);
  // grpc.health.v1 of the node as a whole: it serves while it runs and is not unhealthy.
  void TellServing();

  Foundation* const foundation_;
  const Options options_;
  const absl::Time started_at_;
  std::atomic<control::v1::NodeState> state_{control::v1::NODE_STATE_STARTING};
  std::atomic<bool> pulse_{true};
  std::atomic<int64_t> start_time_ns_{0};
  bool stopped_ = false;
  absl::Mutex serving_mutex_;  // Held over the telling, so that the newest is told last.

  Metrics metrics_;
  HealthTree health_;
  TimerQueue timers_;
  ControlPools pools_;
  rpc::Peers peers_;
  std::unique_ptr<Access> access_;
  std::unique_ptr<rpc::Gate> gate_of_calls_;
  std::shared_ptr<const security::KeyRing> keys_;  // Null without a section "encryption".
  std::unique_ptr<Sealing> sealing_;               // Null likewise, as the next one.
  std::unique_ptr<security::RecordCipher> spool_cipher_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<ImageFolder> images_;
  std::unique_ptr<Transfers> transfers_;  // Null as the spool.
  std::unique_ptr<Receiver> receiver_;    // Null where no files are taken in.
  std::unique_ptr<FileAnswers> file_answers_;
  std::unique_ptr<NetworkView> network_view_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<StoreWatch> others_;  // Tells application_ and feed_ of other nodes' messages.
  std::unique_ptr<UplinkSink> uplink_sink_;
  std::unique_ptr<SealSink> seal_sink_;  // Before it; null without sealing_ and without a spool.
  std::unique_ptr<ImageFileSink> image_file_sink_;  // Before it; null as the spool.
  std::unique_ptr<StoreSink> store_sink_;
  std::unique_ptr<FanOutSink> fan_out_;
  std::unique_ptr<MessageFeed> feed_;
  std::unique_ptr<FeedSink> feed_sink_;
  std::unique_ptr<GateSink> gate_;
  std::unique_ptr<Subscribers> subscribers_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<FleetEvents> fleet_events_;
  NodeCommands commands_;
  std::unique_ptr<DashboardFiles> dashboard_;  // Null: there is none.
  std::unique_ptr<AlertMarks> marks_;
  std::unique_ptr<Desk> desk_;
  std::unique_ptr<Application> application_;
  std::unique_ptr<FleetCalls> fleet_calls_;
  std::unique_ptr<Privacy> privacy_;
  std::unique_ptr<Instances> instances_;
  std::unique_ptr<Vision> vision_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<Roads> roads_;
  std::unique_ptr<NetworkMonitor> network_;
  std::unique_ptr<ControlCertificates> control_certificates_;  // Null without control.tcp.
  std::unique_ptr<GatewayFacts> gateway_facts_;
  std::unique_ptr<NodeMonitor> monitor_;
  std::unique_ptr<Webhook> webhook_;  // Null where none is configured.
  std::unique_ptr<AlertMonitor> alerts_;
  std::unique_ptr<GatewayReporter> reporter_;  // Null where none is configured.
  std::unique_ptr<StateHub> hub_;
  std::unique_ptr<ConfigControl> config_;
  std::unique_ptr<BackupRunner> backups_;  // Null where none are made.
  ServiceDeps deps_;
  std::unique_ptr<NodeServices> services_;
  std::unique_ptr<GrpcServer> server_;
};

}  // namespace viaduct
