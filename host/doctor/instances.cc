// Roads, brokers and inference devices, as their own plugins see them. Each is started here for a
// moment, with the node's credentials, where no node runs that would be disturbed.
#include "core/plugin/instances.h"

#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "core/base/string_view.h"
#include "core/plugin/road_prober.h"
#include "host/doctor/diagnosis.h"
#include "host/doctor/plugins.h"
#include "viaduct/abi/file.h"
#include "viaduct/abi/frame.h"

namespace viaduct::doctor {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);  // For one to be ready.
constexpr absl::Duration kLookEvery = absl::Milliseconds(100);
constexpr absl::Duration kStopPatience = absl::Seconds(5);
constexpr char kAdvice[] =
    "look at address, credentials and keys of the instance, and at its README";

// The instances of a configuration, made and not started. Thread-compatible.
class Trial {
 public:
  explicit Trial(const Patient& patient) : plugins_(patient.config_text, patient.config_path) {
    InstancesDeps deps;
    deps.plugins = plugins_.registry();
    deps.clock = patient.clock;
    deps.log = plugins_.log();
    instances_ = std::make_unique<Instances>(deps, InstancesOptions());
  }
  ~Trial() { instances_->StopAll(kStopPatience); }

  bool Prepare() {
    if (!plugins_.config().has_value()) return false;
    std::vector<InstanceSpec> specs;
    for (const InstanceOptions& instance : plugins_.config()->instances) {
      InstanceSpec spec;
      spec.name = instance.name;
      spec.plugin = instance.plugin;
      spec.config = instance.config;
      spec.unavailable_reason = instance.unavailable_reason;
      spec.start = StartPolicy::kManual;
      specs.push_back(std::move(spec));
    }
    instances_->Apply(std::move(specs), ApplyMode::kBoot);
    instances_->AwaitSettled(kPatience);
    return true;
  }

  Instances* instances() { return instances_.get(); }

 private:
  ConfiguredPlugins plugins_;
  std::unique_ptr<Instances> instances_;
};

// Listeners take what peers hand over, which is the node's to do.
bool IsTried(const InstanceInfo& info) {
  return info.link || Offers(info, VD_FILE_1) || Offers(info, VD_INFER_1);
}

absl::Status Probe(Instances* instances, const std::string& name) {
  const auto prober = instances->prober(name);
  if (!prober.ok()) return absl::OkStatus();
  struct Answer {
    absl::Notification came;
    absl::Status status;
  };
  const auto answer = std::make_shared<Answer>();
  (*prober)->Probe(kPatience, 0, [answer](const ProbeResult& result) {
    answer->status = result.status;
    answer->came.Notify();
  });
  if (!answer->came.WaitForNotificationWithTimeout(2 * kPatience)) {
    return absl::DeadlineExceededError("no answer to a probe");
  }
  return answer->status;
}

// Once it says that it is healthy, or has not for so long.
InstanceInfo AwaitHealth(Instances* instances, const std::string& name) {
  const absl::Time end = absl::Now() + kPatience;
  const absl::Notification never;
  while (true) {
    const absl::StatusOr<InstanceInfo> info = instances->Get(name);
    if (!info.ok()) return InstanceInfo();
    if (info->health == InstanceHealth::kHealthy || absl::Now() > end) return *info;
    never.WaitForNotificationWithTimeout(kLookEvery);
  }
}

void TryOne(Instances* instances, const std::string& name, Diagnoses* out) {
  const absl::Status started = instances->Start(name);
  if (!started.ok()) return out->Fail(name, StdView(started.message()), kAdvice);
  const InstanceInfo info = AwaitHealth(instances, name);
  const bool bad = info.state == InstanceState::kFailed ||
                   info.health == InstanceHealth::kUnhealthy ||
                   info.health == InstanceHealth::kDegraded;
  if (bad) {
    return out->Fail(name, info.reason.ok() ? info.health_reason : StdView(info.reason.message()),
                     kAdvice);
  }
  const absl::Status probed = Probe(instances, name);
  if (!probed.ok()) return out->Fail(name, StdView(probed.message()), kAdvice);
  out->Ok(name, absl::StrCat(info.plugin, ": ready"));
}

}  // namespace

void CheckInstances(const Patient& patient, Diagnoses* out) {
  out->BeginArea("instances");
  // A plugin may write: a host key that it has seen, and that the node then could not.
  struct stat info {};
  if (stat(patient.config->node.data_dir.c_str(), &info) == 0 && info.st_uid != geteuid()) {
    return out->Warn("roads", "not tried, data_dir belongs to another user",
                     "run this as the node's user: sudo -u viaduct viaductctl doctor");
  }
  Trial trial(patient);
  if (!trial.Prepare()) return;
  for (const InstanceInfo& info : trial.instances()->List()) {
    if (info.state == InstanceState::kFailed) {
      out->Fail(info.name, StdView(info.reason.message()), kAdvice);
    } else if (!IsTried(info)) {
      out->Ok(info.name, absl::StrCat(info.plugin, ": takes from peers, not started here"));
    } else {
      TryOne(trial.instances(), info.name, out);
      trial.instances()->Stop(info.name).IgnoreError();
    }
  }
}

}  // namespace viaduct::doctor
