// The answers of NodeCommands. Internal to host/node.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/config/validate.h"
#include "core/observe/health_tree.h"
#include "core/plugin/instance.h"
#include "core/plugin/road_prober.h"
#include "core/spool/spool.h"
#include "host/node/config_control.h"
#include "viaduct/control/v1/node.pb.h"

namespace viaduct {

// One that was answered first and carried out after it.
struct DeferredCommand {
  std::string message_id;
  std::string request_id;
  std::string command;
  std::string subject;
  int status = 202;  // As of an answer; 202: not yet done.
  std::string reason;
  absl::Time at;
};

// `spool` is nothing on a node that has none.
std::string StatusJson(const control::v1::NodeInfo& node,
                       const std::vector<InstanceInfo>& instances,
                       const std::optional<SpoolInfo>& spool,
                       const std::optional<DeferredCommand>& last_deferred, absl::Time now);
std::string HealthJson(const HealthTree& health, absl::Time now);
std::string InstanceJson(const InstanceInfo& info);
std::string AcceptedJson(const std::string& instance, const InstanceInfo& before);
std::string AppliedJson(const ConfigControl::Applied& applied);
std::string PlannedJson(const ConfigControl::Planned& planned, absl::Duration confirm_within);
std::string RevisionJson(const Revision& revision);
std::string FindingsJson(const absl::Status& status, const std::vector<Finding>& findings);

// The roads that are tried at once, and what came of each. Thread-safe.
class ConnectionTests {
 public:
  using DoneFn = std::function<void(const ConnectionTests&)>;

  // `done` is called once, when every road has its result and Done was called.
  ConnectionTests(const std::vector<InstanceInfo>& instances, DoneFn done);

  void Set(size_t index, const ProbeResult& result);
  // It has no way to measure: its health speaks for it.
  void SetUnmeasured(size_t index);
  void Done() { End(); }

  std::string Json(absl::Time now) const;

 private:
  struct Test {
    InstanceInfo instance;
    bool measured = false;
    bool ok = false;
    absl::Duration latency = absl::ZeroDuration();
    std::string error;
  };
  void End();

  const DoneFn done_;
  mutable absl::Mutex mutex_;
  std::vector<Test> tests_ ABSL_GUARDED_BY(mutex_);
  size_t left_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
