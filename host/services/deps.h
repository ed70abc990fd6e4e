// What the services of the control plane stand on. Everything outlives the gRPC server.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/base/executor_timer_queue.h"
#include "core/gateway/dispatcher.h"
#include "core/observe/alerts.h"
#include "core/observe/health_tree.h"
#include "core/observe/log_hub.h"
#include "core/observe/metrics.h"
#include "core/plugin/instances.h"
#include "core/plugin/registry.h"
#include "core/receive/receiver.h"
#include "core/security/audit_log.h"
#include "core/spool/spool.h"
#include "core/transfer/transfers.h"
#include "host/node/config_control.h"
#include "host/node/state_hub.h"
#include "host/rpc/gate.h"
#include "viaduct/control/v1/node.pb.h"

namespace viaduct {

class Vision;

// The node as a whole, for the Node service.
struct NodeActions {
  struct Drained {
    bool complete = false;
    uint64_t spooled = 0;
  };
  std::function<control::v1::NodeInfo()> info;
  std::function<Drained(absl::Duration)> drain;  // Blocks up to the time given.
  std::function<void()> stop;                    // Returns at once.
};

struct ServiceDeps {
  const Clock* clock = nullptr;
  Executor* executor = nullptr;  // For what is soon done; the others for what may take long:
  Executor* changes = nullptr;   // changes of the configuration,
  Executor* commands = nullptr;  // what waits for an instance or a plugin,
  Executor* drains = nullptr;    // and what takes as long as its caller allows.
  TimerQueue* timers = nullptr;
  rpc::Gate* gate = nullptr;
  security::AuditLog* audit = nullptr;
  StateHub* hub = nullptr;
  Instances* instances = nullptr;
  PluginRegistry* plugins = nullptr;
  ConfigControl* config = nullptr;
  LogHub* log_hub = nullptr;
  Metrics* metrics = nullptr;
  HealthTree* health = nullptr;
  const Alerts* alerts = nullptr;
  Spool* spool = nullptr;            // Null on a node without the sink uplink.
  SpoolInfo spool_at_open;           // What it had counted before this process.
  Dispatcher* dispatcher = nullptr;  // Null as the spool.
  Transfers* transfers = nullptr;    // Null as the spool.
  Vision* vision = nullptr;
  // Files that devices have sent; null where none are taken in.
  std::function<ReceiverInfo()> incoming;
  NodeActions node;
};

// Writes down a changing call: who, what, on which, and how it ended.
void Audit(const ServiceDeps& deps, const std::string& author, std::string_view method,
           std::string_view subject, const absl::Status& status);

}  // namespace viaduct
