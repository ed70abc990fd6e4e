#include "core/plugin/incarnation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/plugin/abi_values.h"
#include "core/plugin/confirm_timeout.h"
#include "core/plugin/control_call.h"
#include "core/plugin/deliver_side.h"
#include "core/plugin/file_side.h"
#include "core/plugin/host_side.h"
#include "core/plugin/inbound_side.h"
#include "core/plugin/infer_side.h"
#include "core/plugin/link.h"
#include "core/plugin/out_call_side.h"
#include "core/plugin/probe_side.h"
#include "core/plugin/source_side.h"

namespace viaduct {
namespace {

constexpr uint64_t kHandleMagic = 0x7664686f73743031;  // "vdhost01"
constexpr size_t kMaxExceptionText = 300;

}  // namespace

struct Incarnation::Handle {
  vd_host host{};
  uint64_t magic = kHandleMagic;
  Incarnation* incarnation = nullptr;
};

Incarnation::Incarnation(Private, Params params)
    : params_(std::move(params)),
      handle_(std::make_unique<Handle>()),
      workers_({params_.name, static_cast<int>(params_.lanes), params_.limits.max_tasks * 2}) {
  handle_->incarnation = this;
  handle_->host.struct_size = sizeof(vd_host);
  handle_->host.abi_major = VD_ABI_MAJOR;
  handle_->host.abi_minor = VD_ABI_MINOR;
  handle_->host.impl = handle_.get();
  handle_->host.query = &HostSide::Query;
}

std::shared_ptr<Incarnation> Incarnation::Make(Params params) {
  params.lanes = std::clamp<uint32_t>(params.lanes, 1, VD_MAX_LANES);
  auto self = std::make_shared<Incarnation>(Private(), std::move(params));
  self->MakeSides();
  return self;
}

void Incarnation::MakeSides() {
  for (uint32_t i = 0; i < params_.lanes; ++i) {
    lanes_.push_back(std::make_shared<Strand>(
        &workers_, Strand::Options{params_.limits.max_tasks, 64,
                                   [handlers = params_.handlers] { handlers->Ready(); }}));
  }
  host_side_ = std::make_unique<HostSide>(this);
  deliver_side_ = std::make_unique<DeliverSide>(this, params_.handlers);
  inbound_side_ = std::make_unique<InboundSide>(this);
  out_call_side_ = std::make_unique<OutCallSide>(this);
  file_side_ = std::make_unique<FileSide>(this);
  probe_side_ = std::make_unique<ProbeSide>(this);
  source_side_ = std::make_unique<SourceSide>(this, params_.frames);
  infer_side_ = std::make_unique<InferSide>(this);
}

Incarnation::~Incarnation() = default;

bool Incarnation::IsHandle(const vd_host* host) {
  if (host == nullptr || host->impl == nullptr) return false;
  const Handle* const handle = static_cast<const Handle*>(host->impl);
  return &handle->host == host && handle->magic == kHandleMagic;
}

Incarnation* Incarnation::Of(const vd_host* host) {
  if (!IsHandle(host)) return nullptr;
  Incarnation* const self = static_cast<const Handle*>(host->impl)->incarnation;
  return self->hung() ? nullptr : self;
}

absl::Status Incarnation::Control(const char* what, absl::Duration limit,
                                  std::function<absl::Status()> call) {
  const auto guarded = [self = shared_from_this(), what, call = std::move(call)] {
    absl::Status status = absl::InternalError(absl::StrCat(what, ": threw an exception"));
    self->Guarded(what, [&] { status = call(); });
    return status;
  };
  const ControlOutcome outcome = RunControlCall(name(), limit, guarded);
  if (outcome.returned) return outcome.status;
  const absl::Status why = absl::DeadlineExceededError(
      absl::StrCat(what, ": did not return within ", absl::FormatDuration(limit)));
  GiveUp(why);
  return why;
}

absl::Status Incarnation::Create() {
  VD_RETURN_IF_ERROR(Control("create", limits().create_timeout, [this] { return CallCreate(); }));
  phase_ = Phase::kCreated;
  return absl::OkStatus();
}

absl::Status Incarnation::CallCreate() {
  vd_error error = NewError();
  vd_instance* made = nullptr;
  const int32_t code = plugin().lifecycle().create(&handle_->host, ToAbi(name()), &made, &error);
  VD_RETURN_IF_ERROR(StatusOf("create", code, error));
  if (made == nullptr) return absl::InternalError("create: gave no instance, null");
  instance_ = made;
  return absl::OkStatus();
}

absl::Status Incarnation::Configure(std::shared_ptr<const ConfigView> config) {
  VD_RETURN_IF_ERROR(Control("configure", limits().configure_timeout,
                             [this, config] { return CallConfigure(config); }));
  confirm_timeout_ = ReadConfirmTimeout(plugin().info().config_schema, *config);
  VD_RETURN_IF_ERROR(Control("query", limits().configure_timeout, [this] { return CallQuery(); }));
  phase_ = Phase::kConfigured;
  return absl::OkStatus();
}

absl::Status Incarnation::CallConfigure(const std::shared_ptr<const ConfigView>& config) {
  vd_error error = NewError();
  const vd_config* const handle = host_side_->OpenConfig(config);
  const int32_t code = plugin().lifecycle().configure(instance_, handle, &error);
  host_side_->CloseConfig();
  return StatusOf("configure", code, error);
}

absl::Status Incarnation::CallQuery() {
  VD_ASSIGN_OR_RETURN(tables_, FindTables(plugin().lifecycle(), instance_));
  return absl::OkStatus();
}

absl::Status Incarnation::Start() {
  gate_.Open();
  phase_ = Phase::kStarted;
  const absl::Status started = Control("start", limits().start_timeout, [this] {
    vd_error error = NewError();
    const int32_t code = plugin().lifecycle().start(instance_, lane_count(), &error);
    return StatusOf("start", code, error);
  });
  start_returned_ = true;
  if (hung()) return started;
  if (!started.ok()) {  // The plugin has undone everything itself: what it posted must not run.
    phase_ = Phase::kStopping;
    VD_RETURN_IF_ERROR(CloseGate("start", limits().lane_timeout));
    VD_RETURN_IF_ERROR(EndWork());
    EndItems();
    phase_ = Phase::kStopped;
    return started;
  }
  Counters::Add(&counters().starts, 1);
  delivering_ = true;
  // On a thread of its own, as all that can hang: this one makes the control calls.
  workers_.Submit([self = shared_from_this()] { self->source_side().OfferRoom(); });
  return absl::OkStatus();
}

absl::Status Incarnation::Drain(absl::Duration limit) {
  if (phase() != Phase::kStarted) return absl::OkStatus();
  delivering_ = false;
  phase_ = Phase::kDraining;
  const int64_t deadline = services().clock->MonotonicNanos() + absl::ToInt64Nanoseconds(limit);
  return Control("drain", limit + limits().drain_grace, [this, deadline] {
    vd_error error = NewError();
    return StatusOf("drain", plugin().lifecycle().drain(instance_, deadline, &error), error);
  });
}

absl::Status Incarnation::Stop() {
  if (!accepting()) return absl::OkStatus();
  delivering_ = false;
  phase_ = Phase::kStopping;
  VD_RETURN_IF_ERROR(EndWork());
  VD_RETURN_IF_ERROR(Control("stop", limits().stop_timeout, [this] {
    plugin().lifecycle().stop(instance_);
    return absl::OkStatus();
  }));
  VD_RETURN_IF_ERROR(CloseGate("stop", limits().stop_timeout));
  phase_ = Phase::kStopped;
  EndItems();
  workers_.Stop(limits().stop_timeout);
  return absl::OkStatus();
}

// No call is under way when this returns, and none comes any more.
absl::Status Incarnation::CloseGate(const char* after, absl::Duration limit) {
  if (gate_.Close(limit)) return absl::OkStatus();
  const absl::Status why = absl::DeadlineExceededError(absl::StrCat(
      after, ": a call into the plugin is still under way after ", after, " has returned"));
  GiveUp(why);
  return why;
}

// No call on a lane is under way when this returns, and none comes any more.
absl::Status Incarnation::EndWork() {
  host_side_->DropTimers();
  for (uint32_t i = 0; i < lane_count(); ++i) {
    if (lanes_[i]->Close(limits().lane_timeout)) continue;
    const absl::Status why =
        absl::DeadlineExceededError(absl::StrCat("lane ", i, ": a call did not return within ",
                                                 absl::FormatDuration(limits().lane_timeout)));
    GiveUp(why);
    return why;
  }
  return absl::OkStatus();
}

// Whatever the plugin still held ends now. Late answers find nothing.
void Incarnation::EndItems() {
  inbound_side_->Drop();
  source_side_->Drop();
  deliver_side_->CancelAll();
  out_call_side_->CancelAll();
  file_side_->CancelAll();
  probe_side_->CancelAll();
  infer_side_->CancelAll();
}

absl::Status Incarnation::Destroy() {
  if (hung()) return absl::OkStatus();
  VD_RETURN_IF_ERROR(Stop());
  if (instance_ == nullptr) {
    params_.plugin = nullptr;
    return absl::OkStatus();
  }
  EndItems();
  workers_.Stop(limits().stop_timeout);
  const absl::Status destroyed = Control("destroy", limits().destroy_timeout, [this] {
    plugin().lifecycle().destroy(instance_);
    return absl::OkStatus();
  });
  if (!hung()) {
    instance_ = nullptr;
    phase_ = Phase::kStopped;
    params_.plugin = nullptr;  // What is retired must not keep the library loaded.
    services().Retire(shared_from_this());
  }
  return destroyed;
}

void Incarnation::GiveUp(const absl::Status& why) {
  if (phase_.exchange(Phase::kHung) == Phase::kHung) return;
  delivering_ = false;
  Counters::Add(&counters().quarantined, 1);
  services().log->Error(absl::StrCat("instance/", name()), "given up, the plugin did not return",
                        {{"reason", StdView(why.message())}});
  KeepForever(shared_from_this());
  gate_.Close(absl::ZeroDuration());
  host_side_->DropTimers();
  for (const auto& lane : lanes_) lane->Close(absl::ZeroDuration());
  EndItems();
  workers_.Stop(absl::ZeroDuration());
  services().AddGivenUp({name(), plugin().info().name, shared_from_this()});
}

CallWatch::Late Incarnation::LateCall(int64_t now_ns) {
  return watch_.Look(now_ns, absl::ToInt64Nanoseconds(limits().lane_timeout));
}

bool Incarnation::PostToLane(uint32_t lane, const char* what, std::function<void()> call) {
  return lanes_[lane]->Post(
      [self = shared_from_this(), what, call = std::move(call)] { self->Enter(what, call); });
}

void Incarnation::Health(InstanceHealth health, std::string reason) {
  if (params_.events.on_health) params_.events.on_health(health, std::move(reason));
}

void Incarnation::Fail(absl::Status why) {
  if (failed_.exchange(true)) return;
  // Here and not where it is acted upon: what fails while it is stopped is not started anew.
  services().log->Warning(absl::StrCat("instance/", name()), "failed",
                          {{"reason", StdView(why.message())}});
  if (params_.events.on_fail) params_.events.on_fail(this, std::move(why));
}

void Incarnation::Threw(const char* what, std::string_view text) {
  Counters::Add(&counters().exceptions, 1);
  if (hung()) return;  // Came back too late: the services may be gone by now.
  const absl::Status why = absl::InternalError(
      absl::StrCat(what, ": threw an exception, ", Readable(text, kMaxExceptionText)));
  services().log->Error(absl::StrCat("instance/", name()), "exception crossed the plugin boundary",
                        {{"reason", StdView(why.message())}});
  if (phase() >= Phase::kStarted) Fail(why);
}

}  // namespace viaduct
