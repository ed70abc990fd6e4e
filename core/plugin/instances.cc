#include "core/plugin/instances.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/executor.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/plugin/abi_values.h"
#include "core/plugin/file_road.h"
#include "core/plugin/frames.h"
#include "core/plugin/incarnation.h"
#include "core/plugin/instance_runner.h"
#include "core/plugin/instance_services.h"
#include "core/plugin/out_call_side.h"
#include "core/plugin/plugin.h"
#include "core/plugin/road_prober.h"

namespace viaduct {
namespace {

constexpr size_t kMaxNameBytes = 64;
constexpr int kMaxAtOnce = 16;  // Instances that are stopped at the same time.
constexpr absl::Duration kLongestLook = absl::Seconds(1);
constexpr absl::Duration kShortestLook = absl::Milliseconds(10);

bool IsInstanceName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes) return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
  });
}

absl::Status CheckSpecs(const std::vector<InstanceSpec>& specs) {
  if (specs.size() > Instances::kMaxInstances) {
    return absl::InvalidArgumentError(absl::StrCat("instances: too many, ", specs.size(),
                                                   ", at most ", Instances::kMaxInstances));
  }
  std::vector<std::string_view> names;
  for (const InstanceSpec& spec : specs) {
    if (!IsInstanceName(spec.name)) {
      return absl::InvalidArgumentError(absl::StrCat("instances: bad name, \"", spec.name, "\""));
    }
    if (spec.config == nullptr && spec.unavailable_reason.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("instances: ", spec.name, ": no config"));
    }
    names.push_back(spec.name);
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("instances: name given twice, ", AbslView(*twice)));
}

std::string TextOf(const std::shared_ptr<const ConfigView>& config) {
  if (config == nullptr) return "";
  const auto text = config->GetJson("");
  return text.ok() ? std::string(*text) : "";
}

bool IsSame(const InstanceSpec& a, const InstanceSpec& b) {
  return a.plugin == b.plugin && a.start == b.start && a.on_start_failure == b.on_start_failure &&
         a.lanes == b.lanes && a.unavailable_reason == b.unavailable_reason &&
         TextOf(a.config) == TextOf(b.config);
}

// It runs, or tries to.
bool IsWanted(const InstanceRunner& runner) {
  switch (runner.info().state) {
    case InstanceState::kStarting:
    case InstanceState::kStarted:
    case InstanceState::kFailed:
      return true;
    case InstanceState::kConfigured:
      return runner.settling();
    default:
      return false;
  }
}

// Calls `step` for each, several at once, and waits for all.
template <typename T, typename F>
void ForAll(const std::vector<T>& items, F step) {
  if (items.empty()) return;
  ThreadPool pool({"instances", std::min(static_cast<int>(items.size()), kMaxAtOnce)});
  for (const T& item : items) {
    if (!pool.Submit([&item, &step] { step(item); })) step(item);
  }
  pool.Stop();
}

}  // namespace

struct Instances::Change {
  InstanceSpec spec;
  RunnerPtr runner;
  bool is_new = false;
  Prepared prepared;
};

Instances::Instances(InstancesDeps deps, InstancesOptions options)
    : deps_(deps),
      options_(std::move(options)),
      services_(std::make_unique<InstanceServices>(deps.clock, deps.log, deps.metrics, deps.health,
                                                   deps.calls)) {}

Instances::~Instances() {
  StopAll(absl::ZeroDuration());
  services_->timers.Stop();
  services_->plugin_timers.Stop();
}

Instances::RunnerPtr Instances::MakeRunner(const InstanceSpec& spec) {
  InstanceRunner::Params params;
  params.limits = options_.limits;
  params.services = services_.get();
  params.plugins = deps_.plugins;
  params.on_change = [this](const InstanceInfo& info) { OnChanged(info); };
  params.on_link_change = [this] { NotifyLinks(); };
  params.on_fatal = options_.on_fatal;
  return std::make_shared<InstanceRunner>(spec, std::move(params));
}

// ---- apply
// ---------------------------------------------------------------------------------------

ApplyResult Instances::Apply(std::vector<InstanceSpec> specs, ApplyMode mode) {
  ApplyResult result;
  absl::MutexLock applying(&applying_);
  result.status = CheckSpecs(specs);
  if (!result.status.ok()) return result;
  std::vector<Change> changes = Plan(specs, &result);
  if (mode == ApplyMode::kAllOrNothing && !result.failures.empty()) {
    result.status = result.failures.front().second;
    result.unchanged.clear();
    for (const Change& change : changes) Drop(change.spec, change.prepared);
    return result;
  }
  if (!result.failures.empty()) result.status = result.failures.front().second;
  Commit(std::move(changes), Unwanted(specs), &result);
  return result;
}

std::vector<Instances::Change> Instances::Plan(const std::vector<InstanceSpec>& specs,
                                               ApplyResult* result) {
  std::vector<Change> changes;
  for (const InstanceSpec& spec : specs) {
    const absl::StatusOr<RunnerPtr> known = Find(spec.name);
    if (known.ok() && IsSame((*known)->spec(), spec)) {
      result->unchanged.push_back(spec.name);
      continue;
    }
    Change change{spec, known.ok() ? *known : MakeRunner(spec), !known.ok(), nullptr};
    if (spec.unavailable_reason.empty()) change.prepared = change.runner->Prepare(spec);
    if (!change.prepared.ok()) {
      result->failures.emplace_back(spec.name, change.prepared.status());
    }
    changes.push_back(std::move(change));
  }
  return changes;
}

void Instances::Drop(const InstanceSpec& spec, const Prepared& prepared) {
  if (prepared.ok() && *prepared != nullptr) (*prepared)->Destroy().IgnoreError();  // Never ran.
  const absl::StatusOr<RunnerPtr> known = Find(spec.name);
  const bool in_use = known.ok() && (*known)->spec().plugin == spec.plugin;
  if (!in_use) services_->ForgetMetrics(spec.name, spec.plugin);
}

std::vector<Instances::RunnerPtr> Instances::Unwanted(
    const std::vector<InstanceSpec>& specs) const {
  std::vector<RunnerPtr> unwanted;
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, runner] : runners_) {
    const bool wanted = std::any_of(specs.begin(), specs.end(),
                                    [&name = name](const auto& spec) { return spec.name == name; });
    if (!wanted) unwanted.push_back(runner);
  }
  return unwanted;
}

// Everything that goes or changes has stopped before anything starts: ports may change hands.
void Instances::Commit(std::vector<Change> changes, const std::vector<RunnerPtr>& unwanted,
                       ApplyResult* result) {
  std::vector<RunnerPtr> old;
  for (const Change& change : changes) {
    if (!change.is_new) old.push_back(change.runner);
  }
  ForAll(old, [](const RunnerPtr& runner) { runner->StopForChange(); });
  for (const RunnerPtr& runner : unwanted) result->stopped.push_back(runner->spec().name);
  CloseAll(unwanted, options_.limits.drain_timeout);
  for (Change& change : changes) {
    {
      absl::MutexLock lock(&mutex_);
      runners_[change.spec.name] = change.runner;
      if (!std::exchange(watching_, true)) {
        services_->timers.ArmAfter(kShortestLook, [this] { Watchdog(); });
      }
    }
    result->started.push_back(change.spec.name);
    change.runner->Adopt(std::move(change.spec), std::move(change.prepared));
  }
}

std::vector<Instances::Mistake> Instances::Validate(const std::vector<InstanceSpec>& specs) {
  std::vector<Mistake> mistakes;
  for (const InstanceSpec& spec : specs) {
    if (absl::Status good = CheckSpecs({spec}); !good.ok()) {
      mistakes.push_back({spec.name, "", std::move(good)});
      continue;
    }
    // As Apply: what is unavailable is only shown, what has not changed is not touched.
    const absl::StatusOr<RunnerPtr> known = Find(spec.name);
    if (!spec.unavailable_reason.empty() || (known.ok() && IsSame((*known)->spec(), spec))) {
      continue;
    }
    const auto prepared = MakeRunner(spec)->Prepare(spec);
    Drop(spec, prepared);
    if (prepared.ok()) continue;
    const absl::optional<absl::Cord> pointer = prepared.status().GetPayload(kPointerPayload);
    mistakes.push_back(
        {spec.name, pointer.has_value() ? std::string(*pointer) : "", prepared.status()});
  }
  return mistakes;
}

void Instances::CloseAll(const std::vector<RunnerPtr>& runners, absl::Duration limit) {
  ForAll(runners, [limit](const RunnerPtr& runner) { runner->Close(limit); });
  for (const RunnerPtr& runner : runners) OnRemoved(runner->spec().name);
}

size_t Instances::StopAll(absl::Duration limit) {
  absl::MutexLock applying(&applying_);
  const std::vector<RunnerPtr> runners = Runners();
  CloseAll(runners, limit);
  size_t given_up = 0;
  for (const RunnerPtr& runner : runners) given_up += runner->info().counters.quarantined;
  return given_up;
}

// ---- asking
// --------------------------------------------------------------------------------------

std::vector<Instances::RunnerPtr> Instances::Runners() const {
  std::vector<RunnerPtr> runners;
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, runner] : runners_) runners.push_back(runner);
  return runners;
}

absl::StatusOr<Instances::RunnerPtr> Instances::Find(std::string_view name) const {
  absl::MutexLock lock(&mutex_);
  const auto found = runners_.find(std::string(name));
  if (found != runners_.end()) return found->second;
  return absl::NotFoundError(absl::StrCat("instance: no such instance, \"", AbslView(name), "\""));
}

std::vector<InstanceInfo> Instances::List() const {
  std::vector<InstanceInfo> infos;
  for (const RunnerPtr& runner : Runners()) infos.push_back(runner->info());
  return infos;
}

absl::StatusOr<InstanceInfo> Instances::Get(std::string_view name) const {
  VD_ASSIGN_OR_RETURN(const RunnerPtr runner, Find(name));
  return runner->info();
}

absl::StatusOr<InstanceSpec> Instances::GetSpec(std::string_view name) const {
  VD_ASSIGN_OR_RETURN(const RunnerPtr runner, Find(name));
  return runner->spec();
}

std::vector<std::string> Instances::UsersOf(std::string_view plugin) const {
  std::vector<std::string> users;
  for (const RunnerPtr& runner : Runners()) {
    const InstanceSpec spec = runner->spec();
    if (spec.plugin == plugin) users.push_back(spec.name);
  }
  return users;
}

bool Instances::AwaitSettled(absl::Duration limit) const {
  const absl::Time deadline = absl::Now() + limit;
  while (true) {
    uint64_t seen = 0;
    {
      absl::MutexLock lock(&mutex_);
      seen = changes_;
    }
    const std::vector<RunnerPtr> runners = Runners();
    if (std::none_of(runners.begin(), runners.end(),
                     [](const RunnerPtr& runner) { return runner->settling(); })) {
      return true;
    }
    absl::MutexLock lock(&mutex_);
    while (changes_ == seen) {
      if (changed_.WaitWithDeadline(&mutex_, deadline)) return false;
    }
  }
}

// ---- commands
// ------------------------------------------------------------------------------------

absl::Status Instances::Start(std::string_view name) {
  VD_ASSIGN_OR_RETURN(const RunnerPtr runner, Find(name));
  return runner->Start();
}

absl::Status Instances::Stop(std::string_view name) {
  VD_ASSIGN_OR_RETURN(const RunnerPtr runner, Find(name));
  return runner->Stop();
}

absl::Status Instances::Drain(std::string_view name, absl::Duration limit) {
  VD_ASSIGN_OR_RETURN(const RunnerPtr runner, Find(name));
  return runner->Drain(limit);
}

absl::Status Instances::Restart(std::string_view name) {
  VD_ASSIGN_OR_RETURN(const RunnerPtr runner, Find(name));
  return runner->Restart();
}

absl::Status Instances::RestartPlugin(std::string_view plugin) {
  absl::Status first;
  for (const std::string& name : UsersOf(plugin)) {
    const absl::StatusOr<RunnerPtr> runner = Find(name);
    if (runner.ok() && IsWanted(**runner)) first.Update((*runner)->Restart());
  }
  return first;
}

// ---- links, watches
// ------------------------------------------------------------------------------

std::vector<std::shared_ptr<Link>> Instances::links() const {
  std::vector<std::shared_ptr<Link>> links;
  for (const RunnerPtr& runner : Runners()) {
    if (runner->info().link) links.push_back(runner->link());
  }
  return links;
}

std::vector<std::shared_ptr<Link>> Instances::publishers() const {
  std::vector<std::shared_ptr<Link>> publishers;
  for (const RunnerPtr& runner : Runners()) {
    if (runner->info().publishes) publishers.push_back(runner->link());
  }
  return publishers;
}

void Instances::SetLinksChanged(std::function<void()> changed) {
  absl::MutexLock lock(&mutex_);
  links_changed_ = std::move(changed);
}

void Instances::NotifyLinks() {
  std::function<void()> changed;
  {
    absl::MutexLock lock(&mutex_);
    changed = links_changed_;
  }
  if (changed) changed();
}

absl::StatusOr<std::shared_ptr<InstanceWatch>> Instances::Watch() {
  const auto watch = std::make_shared<InstanceWatch>();
  {
    absl::MutexLock lock(&mutex_);
    watches_.erase(std::remove_if(watches_.begin(), watches_.end(),
                                  [](const auto& weak) { return weak.expired(); }),
                   watches_.end());
    if (watches_.size() >= kMaxWatches) {
      return absl::ResourceExhaustedError(
          absl::StrCat("instances: too many watches, ", watches_.size()));
    }
    watches_.push_back(watch);
  }
  watch->PutInitial(List());
  return watch;
}

void Instances::PutEvent(const InstanceEvent& event) {
  for (const auto& weak : watches_) {
    if (const auto watch = weak.lock()) watch->Put(event.info.name, event);
  }
}

void Instances::OnChanged(const InstanceInfo& info) {
  absl::MutexLock lock(&mutex_);
  ++changes_;
  changed_.SignalAll();
  PutEvent({InstanceEvent::Kind::kChanged, info});
}

void Instances::OnRemoved(const std::string& name) {
  RunnerPtr gone;  // Destroyed after the lock is given back.
  {
    absl::MutexLock lock(&mutex_);
    const auto found = runners_.find(name);
    if (found == runners_.end()) return;
    gone = std::move(found->second);
    runners_.erase(found);
    ++changes_;
    changed_.SignalAll();
    InstanceEvent event;
    event.kind = InstanceEvent::Kind::kRemoved;
    event.info.name = name;
    PutEvent(event);
  }
  constexpr InstanceRoles kNone{};
  if (RolesOf(gone->info()) != kNone) NotifyLinks();
}

// On the timers' thread, as long as there are instances.
void Instances::Watchdog() {
  for (const RunnerPtr& runner : Runners()) runner->LookAtCalls();
  LookAtGivenUp();
  const absl::Duration next =
      std::clamp(options_.limits.lane_timeout / 4, kShortestLook, kLongestLook);
  services_->timers.ArmAfter(next, [this] { Watchdog(); });
}

// A thread of the host that is inside a plugin can not be had back: only a new process helps, and
// loses nothing, since what was not confirmed is still in the spool. Whoever gave the plugin up,
// and for whatever reason, the thread is looked for here.
void Instances::LookAtGivenUp() {
  if (host_thread_lost_) return;
  for (const InstanceServices::GivenUp& life : services_->given_up()) {
    const CallWatch::Late late = life.incarnation->LateCall(deps_.clock->MonotonicNanos());
    if (!late.lent) continue;
    host_thread_lost_ = true;
    const absl::Status why = absl::DeadlineExceededError(
        absl::StrCat(late.what, ": did not return and keeps a thread of the host"));
    deps_.log->Error("instances", "a thread is lost, the node must be started anew",
                     {{"instance", life.instance}, {"reason", StdView(why.message())}});
    if (options_.on_fatal) options_.on_fatal(life.instance, why);
    return;
  }
}

// ---- the other interfaces
// ------------------------------------------------------------------------

void Instances::Call(std::string_view name, CallRequest request, absl::Duration limit,
                     ReplyFn reply) {
  const absl::StatusOr<RunnerPtr> runner = Find(name);
  const auto now = runner.ok() ? (*runner)->current()->get() : nullptr;
  if (now == nullptr) {
    return reply({503, {{"content-type", "text/plain"}}, "the instance does not run"});
  }
  now->out_call_side().Call(std::move(request), limit, std::move(reply));
}

absl::StatusOr<Instances::RunnerPtr> Instances::FindOffering(std::string_view name,
                                                             std::string_view id) const {
  VD_ASSIGN_OR_RETURN(RunnerPtr runner, Find(name));
  const std::vector<std::string> ids = runner->info().interfaces;
  if (std::find(ids.begin(), ids.end(), id) != ids.end()) return runner;
  return absl::UnimplementedError(
      absl::StrCat("instance: ", AbslView(name), " does not offer ", AbslView(id)));
}

absl::StatusOr<std::shared_ptr<FileRoad>> Instances::file_road(std::string_view name) const {
  VD_ASSIGN_OR_RETURN(const RunnerPtr runner, FindOffering(name, VD_FILE_1));
  return std::make_shared<FileRoad>(runner->current());
}

absl::StatusOr<std::shared_ptr<RoadProber>> Instances::prober(std::string_view name) const {
  VD_ASSIGN_OR_RETURN(const RunnerPtr runner, FindOffering(name, VD_PROBE_1));
  return std::make_shared<RoadProber>(runner->current());
}

absl::StatusOr<std::shared_ptr<FrameSource>> Instances::frame_source(std::string_view name) const {
  VD_ASSIGN_OR_RETURN(const RunnerPtr runner, FindOffering(name, VD_SOURCE_1));
  return std::make_shared<PluginFrameSource>(runner->current(), runner->frames());
}

absl::StatusOr<std::shared_ptr<Inferer>> Instances::inferer(std::string_view name) const {
  VD_ASSIGN_OR_RETURN(const RunnerPtr runner, FindOffering(name, VD_INFER_1));
  return std::make_shared<PluginInferer>(runner->current());
}

}  // namespace viaduct
