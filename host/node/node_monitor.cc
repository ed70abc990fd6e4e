#include "host/node/node_monitor.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "host/node/add_metric.h"
#include "host/services/snapshot.h"

namespace viaduct {
namespace {

MetricNumber AddGauge(Metrics* metrics, const char* name, const char* help) {
  return AddMetric(metrics, MetricKind::kGauge, name, help);
}

// "": nothing.
std::string WrongWithTransfers(uint64_t failed,
                               const std::vector<std::pair<std::string, absl::Status>>& folders) {
  std::string wrong = failed > 0 ? absl::StrCat(failed, " files failed") : "";
  for (const auto& [folder, state] : folders) {
    absl::StrAppend(&wrong, wrong.empty() ? "" : ", ", folder, ": ", state.message());
  }
  return wrong;
}

}  // namespace

NodeMonitor::NodeMonitor(Deps deps)
    : deps_(deps), links_(deps.metrics), vision_(deps.metrics, deps.health) {
  resident_ = AddGauge(deps_.metrics, "viaduct_node_resident_bytes", "Resident memory.");
  if (deps_.spool != nullptr) {
    spool_.emplace(deps_.metrics, deps_.health, deps_.clock, deps_.spool->Info());
  }
  if (deps_.transfers != nullptr) AddTransferMetrics();
  if (deps_.receiver != nullptr) AddReceiverMetrics();
  if (deps_.certificates != nullptr) {
    certificate_expiry_ = AddGauge(deps_.metrics, "viaduct_control_certificate_expiry_seconds",
                                   "Seconds until the certificate of control.tcp expires.");
  }
  AddProtectionMetrics();
  if (deps_.store != nullptr) {
    store_queued_ = AddGauge(deps_.metrics, "viaduct_store_queued_records",
                             "Records accepted and not yet committed.");
    store_bytes_ = AddGauge(deps_.metrics, "viaduct_store_bytes", "Size of the database.");
    store_up_ = AddGauge(deps_.metrics, "viaduct_store_up",
                         "1: takes records. 0: refuses them (no database, no space, damage).");
  }
}

void NodeMonitor::Start() { Look(); }

void NodeMonitor::Arm() {
  deps_.timers->ArmAfter(kInterval, [this] {
    // Looking reads files and databases; when the pool is busy there is no look this time.
    if (!deps_.executor->Submit([this] { Look(); })) Arm();
  });
}

void NodeMonitor::Look() {
  deps_.metrics->Set(resident_, static_cast<double>(ResidentBytes()));
  if (spool_.has_value()) spool_->Look(deps_.spool->Info());
  if (deps_.store != nullptr) LookAtStore();
  if (deps_.dispatcher != nullptr) LookAtLinks();
  if (deps_.transfers != nullptr) LookAtTransfers();
  if (deps_.receiver != nullptr) LookAtReceiver();
  if (deps_.certificates != nullptr) LookAtCertificates();
  LookAtProtection();
  vision_.Look(*deps_.vision);
  Arm();
}

void NodeMonitor::LookAtLinks() {
  std::set<std::string> configured;
  for (const InstanceInfo& info : deps_.instances->List()) configured.insert(info.name);
  const std::vector<LinkStats> links = deps_.dispatcher->Stats();
  links_.Look(links, configured);
  deps_.gateway->Look(links);
}

void NodeMonitor::AddTransferMetrics() {
  for (size_t i = 0; i < kTransferStates; ++i) {
    MetricSpec spec;
    spec.kind = MetricKind::kGauge;
    spec.name = "viaduct_transfers_files";
    spec.help = "Files by state.";
    spec.labels = {{"state", std::string(TransferStateName(static_cast<TransferState>(i)))}};
    transfer_files_[i] = deps_.metrics->Add(spec).value_or(0);
  }
  transfer_bytes_ = AddGauge(deps_.metrics, "viaduct_transfers_bytes",
                             "Bytes of files that are not confirmed yet.");
  transfer_held_ = AddGauge(deps_.metrics, "viaduct_transfers_held_bytes",
                            "Bytes of files in the node's own folder.");
  const auto add = [this](const char* name, const char* help) {
    return AddMetric(deps_.metrics, MetricKind::kCounter, name, help);
  };
  transfer_totals_ = {
      add("viaduct_transfers_confirmed_total", "Files confirmed."),
      add("viaduct_transfers_failed_total", "Files given up."),
      add("viaduct_transfers_attempts_failed_total", "Attempts that failed."),
      add("viaduct_transfers_sent_bytes_total", "Bytes that passed, repeated too."),
      add("viaduct_transfers_images_total", "Images of detections that became files.")};
}

void NodeMonitor::LookAtTransfers() {
  TransferCounts counts = deps_.transfers->Counts();
  const uint64_t active = deps_.transfers->active();
  auto& queued = counts.files[static_cast<size_t>(TransferState::kQueued)];
  counts.files[static_cast<size_t>(TransferState::kActive)] = active;
  queued -= std::min(queued, active);
  uint64_t bytes = 0;
  for (size_t i = 0; i < kTransferStates; ++i) {
    deps_.metrics->Set(transfer_files_[i], static_cast<double>(counts.files[i]));
    if (!IsFinished(static_cast<TransferState>(i))) bytes += counts.bytes[i];
  }
  deps_.metrics->Set(transfer_bytes_, static_cast<double>(bytes));
  deps_.metrics->Set(transfer_held_, static_cast<double>(counts.held_bytes));
  const TransferTotals now = deps_.transfers->Totals();
  const TransferTotals seen = std::exchange(transfers_seen_, now);
  const uint64_t images = deps_.image_files->files();
  const uint64_t grown[] = {now.done - seen.done, now.failed - seen.failed,
                            now.attempts - seen.attempts, now.bytes - seen.bytes,
                            images - std::exchange(image_files_seen_, images)};
  for (size_t i = 0; i < transfer_totals_.size(); ++i) {
    deps_.metrics->Increase(transfer_totals_[i], static_cast<double>(grown[i]));
  }
  const uint64_t failed = counts.files[static_cast<size_t>(TransferState::kFailed)];
  if (counts.failed) {
    deps_.health->Set("transfers", HealthState::kUnhealthy,
                      "damaged again and again, takes nothing");
  } else if (counts.disk_full || counts.full) {
    deps_.health->Set("transfers", HealthState::kUnhealthy,
                      counts.full ? "full, takes no more files" : "no space on disk");
  } else {
    const std::string wrong = WrongWithTransfers(failed, deps_.transfers->WatchTroubles());
    deps_.health->Set("transfers", wrong.empty() ? HealthState::kHealthy : HealthState::kDegraded,
                      wrong);
  }
}

void NodeMonitor::AddReceiverMetrics() {
  const auto gauge = [this](const char* name, const char* help) {
    return AddGauge(deps_.metrics, name, help);
  };
  const auto counter = [this](const char* name, const char* help) {
    return AddMetric(deps_.metrics, MetricKind::kCounter, name, help);
  };
  incoming_waiting_ = gauge("viaduct_incoming_waiting_files",
                            "Files that were announced and are not taken in yet.");
  incoming_files_ = gauge("viaduct_incoming_files", "Files in the folders of the devices.");
  incoming_unannounced_ =
      gauge("viaduct_incoming_unannounced_files", "Of these, those that nobody has announced.");
  incoming_over_quota_ =
      gauge("viaduct_incoming_devices_over_quota", "Devices with more bytes than they may have.");
  receiver_totals_ = {
      counter("viaduct_incoming_stored_total", "Files taken in."),
      counter("viaduct_incoming_failed_total",
              "Files that were not what was announced, or not there."),
      counter("viaduct_incoming_removed_total", "Files removed for their age or to make room."),
      counter("viaduct_incoming_parts_removed_total", "Parts of files removed for their age."),
      counter("viaduct_incoming_not_removed_total", "Files that the node could not remove.")};
}

void NodeMonitor::LookAtReceiver() {
  const ReceiverInfo now = deps_.receiver->Info();
  const ReceiverInfo seen = std::exchange(received_, now);
  const uint64_t grown[] = {
      now.stored - seen.stored, now.failed - seen.failed, now.removed_files - seen.removed_files,
      now.removed_parts - seen.removed_parts, now.not_removed - seen.not_removed};
  for (size_t i = 0; i < receiver_totals_.size(); ++i) {
    deps_.metrics->Increase(receiver_totals_[i], static_cast<double>(grown[i]));
  }
  deps_.metrics->Set(incoming_waiting_, static_cast<double>(now.waiting));
  deps_.metrics->Set(incoming_files_, static_cast<double>(now.files));
  deps_.metrics->Set(incoming_unannounced_, static_cast<double>(now.unannounced));
  deps_.metrics->Set(incoming_over_quota_, static_cast<double>(now.over_quota.size()));
  if (now.short_of_space) {
    deps_.health->Set("incoming", HealthState::kUnhealthy,
                      "less free on the disk than incoming.min_free_bytes, takes no files in");
  } else if (!now.over_quota.empty()) {
    deps_.health->Set("incoming", HealthState::kDegraded,
                      absl::StrCat(now.over_quota.size(), " devices are over their quota, first ",
                                   now.over_quota.front()));
  } else if (!now.watched) {
    deps_.health->Set("incoming", HealthState::kDegraded, "finds files by looking alone");
  } else {
    deps_.health->Set("incoming", HealthState::kHealthy);
  }
}

void NodeMonitor::LookAtStore() {
  const StoreHealth health = deps_.store->Health();
  deps_.metrics->Set(store_queued_, static_cast<double>(health.queued_records));
  deps_.metrics->Set(store_bytes_, static_cast<double>(health.bytes));
  deps_.metrics->Set(store_up_, health.state == StoreHealth::State::kOk ? 1 : 0);
  switch (health.state) {
    case StoreHealth::State::kOk:
      deps_.health->Set("store", HealthState::kHealthy);
      break;
    case StoreHealth::State::kDegraded:
      deps_.health->Set("store", HealthState::kDegraded, health.reason);
      break;
    case StoreHealth::State::kFailed:
      deps_.health->Set("store", HealthState::kUnhealthy, health.reason);
      break;
  }
}

void NodeMonitor::LookAtCertificates() {
  const absl::Time now = deps_.clock->Now();
  deps_.certificates->Look(now);
  deps_.metrics->Set(certificate_expiry_,
                     absl::ToDoubleSeconds(deps_.certificates->not_after() - now));
  const std::string problem = deps_.certificates->Problem(now);
  deps_.health->Set("control", problem.empty() ? HealthState::kHealthy : HealthState::kDegraded,
                    problem);
}

}  // namespace viaduct
