// one_life FOLDER PLUGIN [CONFIG]: a host in a nutshell lives through one instance of a plugin and
// prints what it made of it. In a program of its own, since some of these plugins end or hang
// whoever loads them.
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/config/config_view.h"
#include "core/gateway/link.h"
#include "core/observe/log.h"
#include "core/plugin/instances.h"
#include "core/plugin/registry.h"

namespace viaduct {
namespace {

constexpr char kInstance[] = "life";
constexpr absl::Duration kPatience = absl::Milliseconds(500);
constexpr size_t kMessages = 8;
// Every plugin takes from it what it knows; nothing checks it against a schema here.
constexpr char kConfig[] = R"({"delay_ms":1500,"greeting":"hello"})";
constexpr char kEnvelope[] = R"({"payload":{}})";

// Something that has happened, once or more often.
class Event {
 public:
  void Set() {
    absl::MutexLock lock(&mutex_);
    happened_ = true;
  }
  void Await() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&happened_));
  }

 private:
  absl::Mutex mutex_;
  bool happened_ ABSL_GUARDED_BY(mutex_) = false;
};

// How messages ended.
class Endings {
 public:
  void Add(absl::Span<const Completion> completions) {
    absl::MutexLock lock(&mutex_);
    for (const Completion& completion : completions) {
      ++count_;
      text_ += "DRJEC"[static_cast<int>(completion.outcome)];
    }
  }
  void Await(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return count_ >= count; };
    mutex_.AwaitWithTimeout(absl::Condition(&enough), kPatience);
  }
  std::string text() {
    absl::MutexLock lock(&mutex_);
    return text_;
  }

 private:
  absl::Mutex mutex_;
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string text_ ABSL_GUARDED_BY(mutex_);
};

InstanceLimits ShortLimits() {
  InstanceLimits limits;
  limits.create_timeout = kPatience;
  limits.configure_timeout = kPatience;
  limits.start_timeout = kPatience;
  limits.stop_timeout = kPatience;
  limits.destroy_timeout = kPatience;
  limits.drain_grace = kPatience;
  limits.lane_timeout = kPatience;
  return limits;
}

void DeliverSome(Link* link) {
  std::vector<OutboundMessage> batch(kMessages);
  for (size_t i = 0; i < batch.size(); ++i) {
    batch[i].token = i + 1;
    batch[i].message_id = "id";
    batch[i].edge_device_id = "CAM001";
    batch[i].envelope_json = kEnvelope;
    batch[i].payload_json = batch[i].envelope_json.substr(11, 2);
  }
  if (link->credit() > 0) link->Deliver(batch);
}

// As a dispatcher does: on a thread that the plugin may keep.
void DeliverToLinks(const Instances& instances, Event* dispatched, Endings* endings) {
  for (const std::shared_ptr<Link>& link : instances.links()) {
    if (!link->ready()) continue;
    link->SetHandlers([endings](absl::Span<const Completion> done) { endings->Add(done); },
                      nullptr);
    // It may never end; but Run does not return either.
    std::thread([dispatched, link] {
      DeliverSome(link.get());
      dispatched->Set();
    }).detach();
    dispatched->Await();
    endings->Await(kMessages);
  }
}

void PrintInfo(const char* when, const Instances& instances) {
  const absl::StatusOr<InstanceInfo> info = instances.Get(kInstance);
  if (!info.ok()) return;
  const InstanceCounters& counters = info->counters;
  std::printf("%s: %s", when, std::string(InstanceStateName(info->state)).c_str());
  if (!info->reason.ok()) std::printf(", %s", std::string(info->reason.message()).c_str());
  std::printf("\n%s: refused=%zu unknown=%zu exceptions=%zu quarantined=%zu in_flight=%zu\n", when,
              static_cast<size_t>(counters.refused), static_cast<size_t>(counters.unknown_tokens),
              static_cast<size_t>(counters.exceptions), static_cast<size_t>(counters.quarantined),
              static_cast<size_t>(counters.in_flight));
}

int Run(const std::string& folder, const std::string& plugin, const std::string& config) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const SystemClock clock;
  NullLog log;
  PluginRegistry::Options where;
  where.folders = {folder};
  PluginRegistry registry(where, &log);
  if (const auto loaded = registry.Load(absl::StrCat(folder, "/", plugin, ".so")); !loaded.ok()) {
    std::printf("load: %s\n", std::string(loaded.status().message()).c_str());
    return 0;
  }
  InstancesDeps deps;
  deps.plugins = &registry;
  deps.clock = &clock;
  deps.log = &log;
  InstancesOptions options;
  options.limits = ShortLimits();
  Event dispatched;  // Or not to be expected any more.
  options.on_fatal = [&dispatched](const std::string&, const absl::Status& why) {
    std::printf("the node must end: %s\n", std::string(why.message()).c_str());
    dispatched.Set();
  };
  Instances instances(deps, options);
  InstanceSpec spec;
  spec.name = kInstance;
  spec.plugin = plugin;
  spec.config = *ConfigView::FromJson(config);
  instances.Apply({spec}, ApplyMode::kBoot);
  instances.AwaitSettled(absl::Seconds(5));
  PrintInfo("started", instances);

  Endings endings;
  DeliverToLinks(instances, &dispatched, &endings);
  std::printf("delivered: ended=%s\n", endings.text().c_str());
  PrintInfo("delivered", instances);

  const absl::Status drained = instances.Drain(kInstance, kPatience);
  std::printf("stopped: %s\n", drained.ok() ? "well" : std::string(drained.message()).c_str());
  PrintInfo("stopped", instances);
  std::printf("at last: ended=%s\n", endings.text().c_str());
  std::fflush(stdout);
  // Threads of the plugin may still run and touch anything.
  _exit(0);
}

}  // namespace
}  // namespace viaduct

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) return 2;
  return viaduct::Run(argv[1], argv[2], argc == 4 ? argv[3] : viaduct::kConfig);
}
