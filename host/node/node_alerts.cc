// What of a node has to do with alerts: where each is told that was raised or cleared.
#include <string>
#include <utility>
#include <vector>

#include "core/config/incoming_options.h"
#include "core/config/transfer_options.h"
#include "host/node/alert_marks.h"
#include "host/node/alert_monitor.h"
#include "host/node/desk.h"
#include "host/node/node.h"
#include "host/node/webhook.h"

namespace viaduct {
namespace {

// The data folder, then what of its contents may lie elsewhere.
std::vector<std::string> DataPaths(const NodeConfig& config) {
  std::vector<std::string> paths = {config.node.data_dir, config.spool.path, config.store.images,
                                    ReadTransferOptions(config).folder};
  if (!config.store.postgresql.has_value()) paths.push_back(config.store.sqlite_path);
  const auto incoming = ReadIncomingOptions(config);
  if (incoming.has_value()) paths.insert(paths.end(), {incoming->folder, incoming->files});
  return paths;
}

}  // namespace

void Node::BuildAlerts() {
  AlertOptions options = ReadAlertOptions(foundation_->config);
  if (options.webhook.has_value()) {
    Webhook::Parts parts;
    parts.node_id = foundation_->config.node.id;
    parts.timers = &timers_;
    parts.log = foundation_->log.get();
    parts.metrics = &metrics_;
    webhook_ = std::make_unique<Webhook>(*std::move(options.webhook), std::move(parts));
  }
  AlertMonitor::Deps deps;
  deps.clock = &foundation_->clock;
  deps.timers = &timers_;
  deps.executor = &pools_.reads;
  deps.log = foundation_->log.get();
  deps.health = &health_;
  deps.metrics = &metrics_;
  deps.instances = instances_.get();
  deps.dispatcher = dispatcher_.get();
  deps.spool = spool_.get();
  deps.transfers = transfers_.get();
  deps.receiver = receiver_.get();
  deps.data_paths = DataPaths(foundation_->config);
  deps.tell = [this](const Alert& alert) {
    hub_->PublishAlert(alert);
    if (alert.cleared_at.has_value()) desk_->OnCleared(alert);
    fleet_events_->OnAlert(alert, marks_->Find(alert), health_.Aggregate());
    if (webhook_ != nullptr) webhook_->Send(alert);
  };
  alerts_ = std::make_unique<AlertMonitor>(options, std::move(deps));
}

}  // namespace viaduct
