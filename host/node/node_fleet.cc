// What of a node has to do with the fleet: as a server its devices, as one of them its commands.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/plugin/road_prober.h"
#include "host/node/node.h"
#include "host/node/node_facts.h"
#include "host/node/node_services.h"

namespace viaduct {

void Node::BuildFleet() {
  fleet_ = std::make_unique<Fleet>(
      &foundation_->clock, &timers_,
      [this](std::string_view instance, CallRequest request, absl::Duration limit, ReplyFn reply) {
        instances_->Call(instance, std::move(request), limit, std::move(reply));
      });
  FleetCalls::Parts parts;
  parts.clock = &foundation_->clock;
  parts.store = store_.get();
  parts.fleet = fleet_.get();
  parts.application = application_.get();
  parts.node_id = foundation_->config.node.id;
  parts.facts = {HostFactsNow().hostname(), NodeVersion()};
  parts.guarded = access_->guarded();
  fleet_calls_ = std::make_unique<FleetCalls>(std::move(parts));
}

void Node::BeginFleet() {
  FleetEvents::Parts events;
  events.node_id = foundation_->config.node.id;
  events.clock = &foundation_->clock;
  events.timers = &timers_;
  events.executor = &pools_.reads;
  events.publisher = subscribers_.get();
  events.metrics = &metrics_;
  events.fleet = fleet_.get();
  events.calls = fleet_calls_.get();
  events.look = [this] { services_->fleet.OnNews(); };
  events.silence = [this] { application_->FindSilent(); };
  events.knock = [this] { KnockAtLostRoads(); };
  fleet_events_ = std::make_unique<FleetEvents>(std::move(events));
  fleet_->roads().SetOnNews([this] { services_->fleet.OnNews(); });
  BeginCommands();
}

// A road that has nothing to send gives up after a while, and then no command finds the way down.
void Node::KnockAtLostRoads() {
  for (const InstanceInfo& info : instances_->List()) {
    const bool lost = info.link && info.state == InstanceState::kStarted &&
                      info.health == InstanceHealth::kUnhealthy;
    const auto prober = lost ? instances_->prober(info.name)
                             : absl::StatusOr<std::shared_ptr<RoadProber>>(absl::NotFoundError(""));
    if (!prober.ok()) continue;
    // What comes of it is in the health of the instance.
    (*prober)->Probe(NodeCommands::kProbeTimeout, NodeCommands::kProbeBytes,
                     [](const ProbeResult&) {});
  }
}

void Node::BeginCommands() {
  NodeCommands::Deps deps;
  deps.clock = &foundation_->clock;
  deps.config = config_.get();
  deps.instances = instances_.get();
  deps.health = &health_;
  deps.spool = spool_.get();
  deps.reads = &pools_.reads;
  deps.commands = &pools_.commands;
  deps.changes = &pools_.changes;
  deps.timers = &timers_;
  deps.info = [this] { return Info(); };
  if (transfers_ != nullptr && ServerConfirmsFiles(foundation_->config)) {
    deps.file_status = [this](const std::string& id, const std::string& status,
                              const std::string& sha256, const std::string& detail) {
      transfers_->engine()->OnServerStatus(id, status, sha256, detail);
    };
  }
  deps.audit = [this](const std::string& author, std::string_view command, std::string_view subject,
                      const absl::Status& status) {
    Audit(deps_, author, absl::StrCat("command ", AbslView(command)), subject, status);
  };
  commands_.Begin(std::move(deps));
}

}  // namespace viaduct
