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
#include "core/security/api_key_store.h"
#include "core/security/audit_log.h"
#include "core/security/user_store.h"
#include "core/spool/spool.h"
#include "core/transfer/transfers.h"
#include "host/node/config_control.h"
#include "host/node/state_hub.h"
#include "host/rpc/gate.h"
#include "viaduct/control/v1/node.pb.h"

namespace viaduct {

class BackupRunner;
class Privacy;
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
  Executor* executor = nullptr;      // For what is soon done; the others for what may take long:
  Executor* changes = nullptr;       // changes of the configuration,
  Executor* commands = nullptr;      // what waits for an instance or a plugin,
  Executor* drains = nullptr;        // what takes as long as its caller allows,
  Executor* auth = nullptr;          // passwords that are hashed, audits that are read,
  Executor* privacy_pool = nullptr;  // what looks through all that is stored, one at a time,
  Executor* backup_pool = nullptr;   // and what copies all of it.
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
  Privacy* privacy = nullptr;
  BackupRunner* backups = nullptr;  // Null where none are made.
  // Files that devices have sent; null where none are taken in.
  std::function<ReceiverInfo()> incoming;
  NodeActions node;
  // Null on a node that asks nobody who they are.
  security::ApiKeyStore* api_keys = nullptr;
  security::UserStore* users = nullptr;
};

// Writes down a changing call: who, what, on which, and how it ended. Returns when that is durable:
// not on a thread that others wait for. Where it can not be kept the log says so; what was changed
// stays changed.
void Audit(const ServiceDeps& deps, const std::string& author, std::string_view method,
           std::string_view subject, const absl::Status& status);
// The same without waiting: `then` is called once it is durable, perhaps on the thread that writes.
void AuditThen(const ServiceDeps& deps, const std::string& author, std::string_view method,
               std::string_view subject, const absl::Status& status, std::function<void()> then);
// Before a change that must not happen without a record: RESOURCE_EXHAUSTED, it can not be kept.
absl::Status AuditBegin(const ServiceDeps& deps, const std::string& author, std::string_view method,
                        std::string_view subject);

}  // namespace viaduct
