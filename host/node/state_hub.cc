#include "host/node/state_hub.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/executor.h"
#include "host/rpc/convert.h"
#include "host/rpc/describe.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

constexpr std::string_view kInstancePrefix = "instance/";

bool Wants(const std::vector<std::string>& names, std::string_view name) {
  return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
}

// The instance a component is about, "" for the node's own.
std::string_view InstanceOf(std::string_view component) {
  if (component.substr(0, kInstancePrefix.size()) != kInstancePrefix) return {};
  return component.substr(kInstancePrefix.size());
}

template <typename Response>
typename rpc::WatchStream<Response>::LaggedFn TellLagged() {
  return [](uint64_t missed) {
    Response response;
    response.mutable_lagged()->set_missed(missed);
    return response;
  };
}

}  // namespace

StateHub::StateHub(const Clock* clock, Instances* instances, HealthTree* health)
    : clock_(clock), instances_(instances), health_(health) {}

StateHub::~StateHub() { Stop(); }

absl::Status StateHub::Start(HealthFn on_health) {
  on_health_ = std::move(on_health);
  std::vector<ComponentHealth> snapshot;
  auto subscription =
      health_->Subscribe([this](const ComponentHealth& change) { OnHealth(change); }, &snapshot);
  if (!subscription.ok()) return subscription.status();
  health_subscription_ = *std::move(subscription);
  for (const auto& component : snapshot) OnHealth(component);
  auto watch = instances_->Watch();
  if (!watch.ok()) return watch.status();
  watch_ = *std::move(watch);
  follower_ = std::thread([this] { Follow(); });
  return absl::OkStatus();
}

void StateHub::Stop() {
  health_subscription_.reset();
  if (watch_ != nullptr) watch_->Cancel();
  if (follower_.joinable()) follower_.join();
  const grpc::Status stopping(grpc::StatusCode::UNAVAILABLE, "the node is stopping");
  instance_watchers_.CloseAll(stopping);
  node_watchers_.CloseAll(stopping);
  config_watchers_.CloseAll(stopping);
  alert_watchers_.CloseAll(stopping);
}

void StateHub::Follow() {
  SetThreadName("state-hub");
  while (true) {
    auto event = watch_->Next(absl::InfiniteFuture());
    if (!event.ok()) return;
    OnInstance(*event);
  }
}

void StateHub::OnInstance(const InstanceEvent& event) {
  if (event.kind == InstanceEvent::Kind::kSynced) return;
  const std::string& name = event.info.name;
  pb::InstancesWatchResponse response;
  bool told = false;
  {
    absl::MutexLock lock(&mutex_);
    if (event.kind == InstanceEvent::Kind::kRemoved) {
      present_.erase(name);
      response.set_removed(name);
    } else {
      *response.mutable_instance() = rpc::ToProto(event.info);
      auto& known = present_[name];
      told = known.state() != response.instance().state();
      known = response.instance();
    }
  }
  // Published outside the lock and in order, since only this thread gets here.
  instance_watchers_.Publish(response, absl::StrCat("i/", name),
                             [&](const Names& names) { return Wants(names, name); });
  if (!told) return;
  std::string text = absl::StrCat(std::string(InstanceStateName(event.info.state)));
  if (!response.instance().reason().empty()) {
    absl::StrAppend(&text, ", ", response.instance().reason());
  }
  PublishEvent(pb::EVENT_KIND_INSTANCE_STATE, name, text);
}

void StateHub::OnHealth(const ComponentHealth& change) {
  {
    absl::MutexLock lock(&mutex_);
    auto& known = components_[change.component];
    if (known.version > change.version) return;  // A newer change was told first.
    known = change;
  }
  TellComponent(change.component);
  TellOverall();
}

void StateHub::TellComponent(const std::string& component) {
  const std::string instance(InstanceOf(component));
  while (true) {
    ComponentHealth now;
    {
      absl::MutexLock lock(&mutex_);
      now = components_[component];
    }
    pb::InstancesWatchResponse response;
    *response.mutable_component() = rpc::ToProto(now);
    if (now.removed) response.mutable_component()->set_health(pb::HEALTH_UNSPECIFIED);
    instance_watchers_.Publish(response, absl::StrCat("c/", component),
                               [&](const Names& names) { return Wants(names, instance); });
    if (on_health_) on_health_(component, now.removed ? HealthState::kUnhealthy : now.state);
    absl::MutexLock lock(&mutex_);
    if (components_[component].version == now.version) return;
  }
}

void StateHub::TellOverall() {
  while (true) {
    const ComponentHealth now = health_->Aggregate();
    bool changed = false;
    {
      absl::MutexLock lock(&mutex_);
      changed = overall_ != now.state;
      overall_ = now.state;
    }
    if (on_health_) on_health_("", now.state);
    if (changed) {
      PublishEvent(pb::EVENT_KIND_HEALTH, "",
                   absl::StrCat(std::string(HealthStateName(now.state)), " ", now.reason));
    }
    if (health_->Aggregate().state == now.state) return;
  }
}

void StateHub::PublishEvent(pb::EventKind kind, std::string_view subject, std::string_view text) {
  if (node_watchers_.watchers() == 0) return;
  pb::NodeWatchResponse response;
  *response.mutable_change()->mutable_time() = rpc::ToProto(clock_->Now());
  response.mutable_change()->set_kind(kind);
  response.mutable_change()->set_subject(std::string(subject));
  response.mutable_change()->set_text(std::string(text));
  node_watchers_.Publish(response);
}

void StateHub::PublishRevision(const pb::Revision& revision) {
  pb::ConfigWatchResponse response;
  *response.mutable_revision() = revision;
  config_watchers_.Publish(response, absl::StrCat(revision.number()));
}

void StateHub::PublishAlert(const Alert& alert) {
  pb::StatsWatchAlertsResponse response;
  *response.mutable_alert() = rpc::ToProto(alert);
  alert_watchers_.Publish(response, alert.id);
  PublishEvent(pb::EVENT_KIND_ALERT, alert.subject,
               absl::StrCat(alert.cleared_at.has_value() ? "cleared, " : "raised, ", alert.text));
}

rpc::WatchStream<pb::InstancesWatchResponse>* StateHub::WatchInstances(
    const pb::InstancesWatchRequest& request) {
  Names names(request.names().begin(), request.names().end());
  for (const auto& name : names) {
    auto known = instances_->Get(name);
    if (!known.ok()) {
      return rpc::RejectWatch<pb::InstancesWatchResponse>(rpc::ToGrpc(known.status()));
    }
  }
  auto stream = rpc::WatchStream<pb::InstancesWatchResponse>::Create(kMaxPending);
  absl::Status status = instance_watchers_.Subscribe(stream, names, [&](auto* to) {
    for (const auto& info : instances_->List()) {
      if (!Wants(names, info.name)) continue;
      pb::InstancesWatchResponse response;
      *response.mutable_instance() = rpc::ToProto(info);
      to->Queue(std::move(response), absl::StrCat("i/", info.name));
    }
    for (const auto& component : health_->List()) {
      if (!Wants(names, InstanceOf(component.component))) continue;
      pb::InstancesWatchResponse response;
      *response.mutable_component() = rpc::ToProto(component);
      to->Queue(std::move(response), absl::StrCat("c/", component.component));
    }
    pb::InstancesWatchResponse synced;
    synced.mutable_synced();
    to->Queue(std::move(synced));
  });
  if (!status.ok()) stream->Close(rpc::ToGrpc(status));
  return stream.get();
}

rpc::WatchStream<pb::NodeWatchResponse>* StateHub::WatchNode(const pb::NodeInfo& present) {
  auto stream = rpc::WatchStream<pb::NodeWatchResponse>::Create(
      kMaxPending, TellLagged<pb::NodeWatchResponse>());
  absl::Status status = node_watchers_.Subscribe(stream, {}, [&](auto* to) {
    pb::NodeWatchResponse node;
    *node.mutable_node() = present;
    to->Queue(std::move(node));
    pb::NodeWatchResponse synced;
    synced.mutable_synced();
    to->Queue(std::move(synced));
  });
  if (!status.ok()) stream->Close(rpc::ToGrpc(status));
  return stream.get();
}

rpc::WatchStream<pb::StatsWatchAlertsResponse>* StateHub::WatchAlerts(const Alerts& alerts) {
  auto stream = rpc::WatchStream<pb::StatsWatchAlertsResponse>::Create(
      kMaxPending, TellLagged<pb::StatsWatchAlertsResponse>());
  absl::Status status = alert_watchers_.Subscribe(stream, {}, [&](auto* to) {
    for (const Alert& alert : alerts.Active()) {
      pb::StatsWatchAlertsResponse response;
      *response.mutable_alert() = rpc::ToProto(alert);
      to->Queue(std::move(response), alert.id);
    }
    pb::StatsWatchAlertsResponse synced;
    synced.mutable_synced();
    to->Queue(std::move(synced));
  });
  if (!status.ok()) stream->Close(rpc::ToGrpc(status));
  return stream.get();
}

rpc::WatchStream<pb::ConfigWatchResponse>* StateHub::WatchConfig(const ReadPastFn& read_past) {
  auto stream = rpc::WatchStream<pb::ConfigWatchResponse>::Create(kMaxPending);
  absl::Status readable;
  absl::Status status = config_watchers_.Subscribe(stream, {}, [&](auto* to) {
    auto past = read_past();
    readable = past.status();
    if (!past.ok()) return;
    for (const auto& revision : *past) {
      pb::ConfigWatchResponse response;
      *response.mutable_revision() = revision;
      to->Queue(std::move(response), absl::StrCat(revision.number()));
    }
    pb::ConfigWatchResponse synced;
    synced.mutable_synced();
    to->Queue(std::move(synced));
  });
  if (status.ok()) status = readable;
  if (!status.ok()) stream->Close(rpc::ToGrpc(status));
  return stream.get();
}

}  // namespace viaduct
