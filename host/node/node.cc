#include "host/node/node.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/crash_point.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/config/incoming_options.h"
#include "core/config/privacy_options.h"
#include "core/lpr/privacy.h"
#include "core/vision/vision.h"
#include "host/node/alert_monitor.h"
#include "host/node/backup_runner.h"
#include "host/node/config_source.h"
#include "host/node/control_certificates.h"
#include "host/node/control_socket.h"
#include "host/node/desk.h"
#include "host/node/file_answers.h"
#include "host/node/gateway_facts.h"
#include "host/node/gateway_reporter.h"
#include "host/node/gateway_setup.h"
#include "host/node/grpc_server.h"
#include "host/node/node_facts.h"
#include "host/node/node_monitor.h"
#include "host/node/node_services.h"
#include "host/node/objections.h"
#include "host/node/rpc_gate.h"
#include "host/node/storage.h"
#include "host/node/webhook.h"
#include "host/rpc/convert.h"
#include "host/rpc/describe.h"
#include "host/services/snapshot.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

constexpr char kComponent[] = "node";
constexpr uint32_t kAbiMajor = 1;
constexpr uint32_t kAbiMinor = 0;

// "viaduct.instance/http" for "instance/http"; "" where grpc.health.v1 has no name for it.
std::string HealthName(const std::string& component) {
  if (component.compare(0, 9, "instance/") != 0) return "";
  return "viaduct." + component;
}

HealthReport ReportOf(const HealthTree& health) {
  HealthReport report;
  report.status = std::string(HealthStateName(health.Aggregate().state));
  for (const auto& component : health.List()) {
    report.components.push_back(
        {component.component, std::string(HealthStateName(component.state)), component.reason});
  }
  return report;
}

}  // namespace

Node::Node(Foundation* foundation, Options options)
    : foundation_(foundation),
      options_(std::move(options)),
      started_at_(foundation->clock.Now()),
      health_(&foundation->clock),
      timers_(&foundation->clock) {}

Node::~Node() { Stop(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<Node>> Node::Start(Foundation* foundation, Options options) {
  std::unique_ptr<Node> node(new Node(foundation, std::move(options)));
  VD_RETURN_IF_ERROR(node->OpenAccess());
  VD_RETURN_IF_ERROR(node->OpenStorage());
  VD_RETURN_IF_ERROR(node->BuildApplication());
  VD_RETURN_IF_ERROR(node->StartReceiver());
  VD_RETURN_IF_ERROR(node->StartControl());
  VD_RETURN_IF_ERROR(node->StartInstances());
  return node;
}

absl::Status Node::OpenStorage() {
  const NodeConfig& config = foundation_->config;
  VD_RETURN_IF_ERROR(OpenKeys());
  if (config.node.sink_uplink) {
    SpoolOptions options = MakeSpoolOptions(config);
    options.cipher = spool_cipher_.get();
    VD_ASSIGN_OR_RETURN(
        spool_, Spool::Open(std::move(options), &foundation_->clock, foundation_->log.get()));
    uplink_sink_ = std::make_unique<UplinkSink>(spool_.get());
    if (sealing_ != nullptr) {
      seal_sink_ = std::make_unique<SealSink>(sealing_.get(), uplink_sink_.get());
    }
  }
  VD_RETURN_IF_ERROR(OpenTransfers());
  return config.node.sink_store ? OpenStore() : absl::OkStatus();
}

absl::Status Node::OpenStore() {
  const NodeConfig& config = foundation_->config;
  Log* log = foundation_->log.get();
  VD_ASSIGN_OR_RETURN(store_, viaduct::OpenStore(config, &foundation_->clock, log));
  VD_RETURN_IF_ERROR(OpenImages());
  StoreSinkOptions sink;
  sink.naive_zone = config.node.timezone;
  sink.passes_encrypted = config.node.sink_uplink;
  if (config.limits.max_message_bytes > 0) {
    sink.max_message_bytes = config.limits.max_message_bytes;
  }
  sink.announced = [this](const FileAnnouncement& announcement, bool known) {
    OnFileAnnounced(announcement, known);
  };
  store_sink_ =
      std::make_unique<StoreSink>(sink, store_.get(), images_.get(), &foundation_->clock, log);
  return absl::OkStatus();
}

absl::Status Node::BuildApplication() {
  const NodeConfig& config = foundation_->config;
  std::vector<Sink*> sinks;
  if (store_sink_ != nullptr) sinks.push_back(store_sink_.get());
  if (image_file_sink_ != nullptr) sinks.push_back(image_file_sink_.get());
  if (sinks.empty()) return absl::InvalidArgumentError("node.sinks: none is configured");
  Sink* sink = sinks.front();
  if (sinks.size() > 1) {
    fan_out_ = std::make_unique<FanOutSink>(std::move(sinks));
    sink = fan_out_.get();
  }
  feed_ = std::make_unique<MessageFeed>();
  feed_sink_ = std::make_unique<FeedSink>(sink, feed_.get());
  gate_ = std::make_unique<GateSink>(feed_sink_.get());
  ApplicationOptions options;
  options.node_id = config.node.id;
  options.version = NodeVersion();
  options.zone = config.node.timezone;
  if (config.limits.max_message_bytes > 0) options.max_body_bytes = config.limits.max_message_bytes;
  options.forwards = uplink_sink_ != nullptr;
  options.guarded = access_->guarded();
  options.mask_plates_for = ReadPrivacyOptions(config).mask_plates_for;
  ApplicationParts parts;
  parts.clock = &foundation_->clock;
  parts.log = foundation_->log.get();
  parts.sink = gate_.get();
  parts.store = store_.get();
  parts.images = images_.get();
  subscribers_ = std::make_unique<Subscribers>(
      [this](std::string_view room) { return application_->HasRoom(room); },
      foundation_->log.get());
  parts.publisher = subscribers_.get();
  // Who has no store sends it on as it is.
  if (sealing_ != nullptr && store_ != nullptr) {
    parts.open = [this](Arrival* arrival) { return sealing_->Open(arrival); };
  }
  parts.control = &commands_;
  parts.audit = [this](security::AuditRecord record, std::function<void()> then) {
    access_->audit()->AppendThen(
        std::move(record), [then = std::move(then)](const absl::Status& /*kept*/) { then(); });
  };
  parts.metrics_text = [this] { return metrics_.ExpositionText(); };
  parts.health = [this] { return ReportOf(health_); };
  if (ReadIncomingOptions(config).has_value()) {
    parts.incoming = [this] { return receiver_ != nullptr ? receiver_->Info() : ReceiverInfo(); };
  }
  parts.reachable = [this](std::string_view device) {
    return fleet_->roads().IsReachable(device, foundation_->clock.Now());
  };
  parts.renew = [this](const std::string& device) { fleet_->roads().Renew(device); };
  BuildDashboard(&options, &parts);
  Publisher* const publisher = parts.publisher;
  application_ = std::make_unique<Application>(std::move(options), std::move(parts));
  BuildFleet();
  if (store_ != nullptr) FollowOtherNodes(publisher);
  BuildInstances();
  BuildVision();
  if (spool_ != nullptr) BuildGateway();
  instances_->SetLinksChanged([this] {
    SyncRoads();
    vision_->Sync();
    subscribers_->Sync(instances_->publishers());
  });
  return absl::OkStatus();
}

void Node::FollowOtherNodes(Publisher* publisher) {
  StoreObserver observer;
  observer.wanted = [this, publisher] {
    return feed_->wanted() || (publisher != nullptr && (publisher->Wanted("dashboard") ||
                                                        publisher->Wanted("health_monitoring") ||
                                                        application_->HasAnyRoom()));
  };
  observer.stored = [this](const std::vector<StoredElsewhere>& rows) {
    for (const StoredElsewhere& row : rows) {
      const ElsewhereMessage message = MessageOf(row);
      feed_->Publish(message.envelope);
      application_->PublishElsewhere(message);
    }
  };
  observer.cameras = [this](const std::vector<CameraPresence>& changes) {
    application_->NoteElsewhere(changes);
  };
  others_ = store_->WatchOthers(std::move(observer));
}

void Node::BuildInstances() {
  const NodeConfig& config = foundation_->config;
  InstancesDeps deps;
  deps.plugins = foundation_->plugins.get();
  deps.clock = &foundation_->clock;
  deps.log = foundation_->log.get();
  deps.metrics = &metrics_;
  deps.health = &health_;
  deps.calls = fleet_calls_.get();
  Gatekeeper* const gatekeeper = access_->Guard(fleet_calls_.get());
  if (gatekeeper != nullptr) {
    deps.calls = gatekeeper;
    gate_of_calls_ =
        std::make_unique<GuardedGate>(&peers_, gatekeeper, &foundation_->clock,
                                      PlateMask(ReadPrivacyOptions(config).mask_plates_for));
  } else {
    gate_of_calls_ = std::make_unique<rpc::OpenGate>(&peers_);
  }
  InstancesOptions instances;
  if (config.limits.start_timeout > absl::ZeroDuration()) {
    instances.limits.start_timeout = config.limits.start_timeout;
  }
  instances.limits.drain_timeout = config.limits.drain_timeout;
  instances.on_fatal = [this](const std::string& name, const absl::Status& why) {
    foundation_->log->Error(kComponent, "an instance that must not fail did",
                            {{"instance", name}, {"reason", StdView(why.message())}});
    options_.on_stop_requested(1);
  };
  instances_ = std::make_unique<Instances>(deps, std::move(instances));
}

void Node::BuildGateway() {
  const GatewayOptions& gateway = foundation_->config.gateway;
  dispatcher_ = std::make_unique<Dispatcher>(MakeDispatcherOptions(gateway), spool_.get(),
                                             MakeSelector(gateway), &foundation_->clock,
                                             foundation_->log.get());
  roads_ = std::make_unique<Roads>(dispatcher_.get(), instances_.get(), foundation_->log.get());
  const NetworkMonitor::ProbeFn probe = [this](const std::string& link, absl::Duration limit,
                                               uint32_t payload_bytes,
                                               NetworkMonitor::DoneFn done) {
    return roads_->Probe(link, limit, payload_bytes, std::move(done));
  };
  const NetworkMonitor::Options options = MakeMonitorOptions(gateway);
  network_ = std::make_unique<NetworkMonitor>(options, dispatcher_.get(), &timers_,
                                              &foundation_->clock, probe);
  network_view_ = std::make_unique<NetworkView>(
      dispatcher_.get(), &foundation_->clock,
      std::make_unique<RoadMonitor>(options, &timers_, &foundation_->clock, probe));
}

void Node::SyncRoads() {
  if (roads_ != nullptr) roads_->Sync(ConfiguredRoads(config_->running()));
  SyncFileRoads();
}

void Node::BuildConfigControl() {
  ConfigControl::Deps control;
  control.clock = &foundation_->clock;
  control.log = foundation_->log.get();
  control.log_hub = foundation_->log.get();
  control.health = &health_;
  control.revisions = foundation_->revisions.get();
  control.validator = foundation_->validator.get();
  control.plugins = foundation_->plugins.get();
  control.instances = instances_.get();
  control.timers = &timers_;
  control.keeper = &pools_.keeper;
  config_ = std::make_unique<ConfigControl>(control);
  config_->Begin(foundation_->config);
  config_->SetChanged([this](const Revision& revision, ConfigControl::Change change) {
    hub_->PublishRevision(rpc::ToProto(revision));
    if (change == ConfigControl::Change::kNoted) return;
    SyncRoads();  // Their order or traits may be others.
    access_->TellHealth(config_->running());
    SyncFeeds();
    hub_->PublishEvent(change == ConfigControl::Change::kRolledBack
                           ? pb::EVENT_KIND_CONFIG_ROLLED_BACK
                           : pb::EVENT_KIND_CONFIG_APPLIED,
                       "", absl::StrCat("revision ", revision.number, " ", revision.comment));
  });
}

void Node::BuildServices() {
  deps_.clock = &foundation_->clock;
  deps_.executor = &pools_.reads;
  deps_.changes = &pools_.changes;
  deps_.commands = &pools_.commands;
  deps_.drains = &pools_.drains;
  deps_.auth = &pools_.auth;
  deps_.timers = &timers_;
  deps_.gate = gate_of_calls_.get();
  deps_.api_keys = access_->keys();
  deps_.users = access_->users();
  deps_.audit = access_->audit();
  deps_.hub = hub_.get();
  deps_.instances = instances_.get();
  deps_.plugins = foundation_->plugins.get();
  deps_.config = config_.get();
  deps_.log_hub = foundation_->log.get();
  deps_.metrics = &metrics_;
  deps_.health = &health_;
  deps_.alerts = &alerts_->alerts();
  deps_.spool = spool_.get();
  if (spool_ != nullptr) deps_.spool_at_open = spool_->Info();
  deps_.dispatcher = dispatcher_.get();
  deps_.transfers = transfers_.get();
  deps_.privacy = privacy_.get();
  deps_.privacy_pool = &pools_.privacy;
  deps_.backups = backups_.get();
  deps_.backup_pool = &pools_.backup;
  deps_.vision = vision_.get();
  if (ReadIncomingOptions(foundation_->config).has_value()) {
    deps_.incoming = [this] { return receiver_ != nullptr ? receiver_->Info() : ReceiverInfo(); };
  }
  deps_.node = MakeActions();
  services_ = std::make_unique<NodeServices>(
      &deps_, foundation_->config.node.id,
      [this](std::vector<Envelope> batch, const Sender& sender, Sink::AcceptFn done) {
        application_->IngestEnvelopes(std::move(batch), sender, std::move(done));
      },
      feed_.get(), fleet_.get(), store_.get(),
      [this](const pb::FleetNode& node) { fleet_events_->OnNode(node); });
  BeginFleet();
}

absl::Status Node::StartControl() {
  const ControlOptions& control = foundation_->config.control;
  hub_ = std::make_unique<StateHub>(&foundation_->clock, instances_.get(), &health_);
  BuildConfigControl();
  if (control.tcp.has_value()) {
    VD_ASSIGN_OR_RETURN(control_certificates_, ControlCertificates::Load(*control.tcp));
  }
  BuildPrivacy();
  VD_RETURN_IF_ERROR(BuildBackups());
  BuildReports();
  monitor_ = std::make_unique<NodeMonitor>(NodeMonitor::Deps{
      &timers_, &pools_.reads, &health_, &metrics_, spool_.get(), store_.get(), instances_.get(),
      dispatcher_.get(), transfers_.get(), image_file_sink_.get(), receiver_.get(), vision_.get(),
      control_certificates_.get(), &foundation_->clock, sealing_.get(), store_sink_.get(),
      privacy_.get(), gateway_facts_.get()});
  BuildAlerts();
  BeginDesk();
  BuildServices();
  GrpcServer::Options options;
  options.services = services_->All();
  VD_ASSIGN_OR_RETURN(options.socket, ControlSocket::Listen(control.socket));
  options.tcp = control.tcp;
  options.certificates = control_certificates_.get();
  options.peers = &peers_;
  options.gate = gate_of_calls_.get();
  VD_ASSIGN_OR_RETURN(server_, GrpcServer::Start(std::move(options)));
  TellServing();
  return hub_->Start([this](const std::string& component, HealthState state) {
    if (component.empty()) {
      fleet_events_->OnHealth(health_.Aggregate());
      return TellServing();
    }
    const std::string name = HealthName(component);
    if (!name.empty()) server_->SetServing(name, state != HealthState::kUnhealthy);
  });
}

// The state may change while the health does; who comes last has seen both.
void Node::TellServing() {
  absl::MutexLock lock(&serving_mutex_);
  const bool serving = state_.load() == pb::NODE_STATE_RUNNING &&
                       health_.Aggregate().state != HealthState::kUnhealthy;
  server_->SetServing("", serving);
  server_->SetServing("viaduct.node", serving);
}

absl::Status Node::StartInstances() {
  const NodeConfig& config = foundation_->config;
  health_.Set(kComponent, HealthState::kHealthy);
  ApplyResult applied = instances_->Apply(SpecsOf(config), ApplyMode::kBoot);
  for (const auto& [name, status] : applied.failures) {
    foundation_->log->Error(kComponent, "an instance cannot be made",
                            {{"instance", name}, {"reason", StdView(status.message())}});
  }
  SyncRoads();
  vision_->Start();
  SyncFeeds();
  VD_RETURN_IF_ERROR(StartTransfers());
  if (network_ != nullptr) network_->Start();
  monitor_->Start();
  alerts_->Start();
  if (reporter_ != nullptr) reporter_->Start();
  if (backups_ != nullptr) backups_->Start();
  fleet_events_->Start();
  instances_->AwaitSettled(config.limits.start_timeout);
  VD_CRASH_POINT("host.start.before_ready");
  SetState(pb::NODE_STATE_RUNNING);
  start_time_ns_.store(absl::ToInt64Nanoseconds(ProcessAge()));
  config_->ScheduleGood();
  foundation_->log->Info(kComponent, "ready",
                         {{"id", config.node.id},
                          {"version", NodeVersion()},
                          {"revision", absl::StrCat(foundation_->choice.revision.number)},
                          {"after_ms", absl::StrCat(start_time_ns_.load() / 1'000'000)}});
  return absl::OkStatus();
}

NodeActions Node::MakeActions() {
  NodeActions actions;
  actions.info = [this] { return Info(); };
  actions.drain = [this](absl::Duration limit) { return Drain(limit); };
  actions.stop = [this] { options_.on_stop_requested(0); };
  return actions;
}

pb::NodeInfo Node::Info() const {
  const NodeConfig& config = foundation_->config;
  pb::NodeInfo info;
  info.set_id(config.node.id);
  info.set_state(state_.load());
  info.set_health(rpc::ToProto(health_.Aggregate().state));
  *info.mutable_build() = BuildFacts();
  info.mutable_abi()->set_major(kAbiMajor);
  info.mutable_abi()->set_minor(kAbiMinor);
  *info.mutable_host() = HostFactsNow();
  *info.mutable_started_at() = rpc::ToProto(started_at_);
  *info.mutable_uptime() = rpc::ToProto(ProcessAge());
  info.set_pid(static_cast<uint32_t>(getpid()));
  info.set_resident_bytes(ResidentBytes());
  info.set_data_dir(foundation_->data_dir->path());
  info.set_config_file(foundation_->config_file);
  auto head = foundation_->revisions->head();
  if (head.has_value()) info.set_config_revision(head->number);
  if (config.node.sink_uplink) info.add_sinks("uplink");
  if (config.node.sink_store) info.add_sinks("store");
  *info.mutable_start_time() = rpc::ToProto(absl::Nanoseconds(start_time_ns_.load()));
  return info;
}

std::string Node::StatusLine() const {
  const ComponentHealth health = health_.Aggregate();
  std::string line =
      absl::StrCat(foundation_->config.node.id, ": ", AbslView(HealthStateName(health.state)));
  if (!health.reason.empty()) absl::StrAppend(&line, ", ", health.reason);
  return line;
}

void Node::SetState(pb::NodeState state) {
  // Who still drains does not undo the stop.
  if (state_.load() == pb::NODE_STATE_STOPPING) return;
  state_.store(state);
  if (server_ != nullptr) TellServing();
  hub_->PublishEvent(pb::EVENT_KIND_NODE_STATE, "", pb::NodeState_Name(state));
}

void Node::Reload() {
  if (!pools_.changes.Submit([this] { TakeFileOver(); })) {
    foundation_->log->Error(kComponent, "cannot reload now, too many calls wait", {});
  }
}

void Node::TakeFileOver() {
  const std::string& file = foundation_->config_file;
  auto text = ReadConfigFile(file);
  absl::Status status = text.status();
  if (text.ok() && foundation_->revisions->IsLastFile(*text)) {
    // What the control plane has applied since is not thrown away for it.
    foundation_->log->Info(kComponent, "the file is as it was when it was last taken over",
                           {{"file", file}});
    status = config_->LookAgain();
  } else if (text.ok()) {
    RevisionStore::Proposal proposal;
    proposal.yaml = *std::move(text);
    proposal.origin = RevisionOrigin::kFile;
    proposal.author = "SIGHUP";
    status = config_->Apply(proposal, file).status;
  }
  Audit(deps_, "SIGHUP", "reload", file, status);
  if (status.ok()) return;
  foundation_->log->Warning(kComponent, "the file was not taken over",
                            {{"file", file}, {"reason", StdView(status.message())}});
}

bool Node::Alive() {
  const bool alive = pulse_.exchange(false);
  pools_.reads.Submit([this] { pulse_.store(true); });
  return alive;
}

}  // namespace viaduct
