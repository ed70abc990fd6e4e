#include "host/node/alert_monitor.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "host/node/add_metric.h"
#include "host/node/alert_json.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "alerts";

}  // namespace

AlertMonitor::AlertMonitor(const AlertOptions& options, Deps deps)
    : deps_(std::move(deps)),
      readings_(options),
      alerts_(options.rules, deps_.clock, [this](const Alert& alert) { OnChange(alert); }) {
  active_ = AddMetric(deps_.metrics, MetricKind::kGauge, "viaduct_alerts_active", "Raised now.");
  for (size_t i = 0; i < kAlertKinds; ++i) {
    raised_[i] = AddMetric(deps_.metrics, MetricKind::kCounter, "viaduct_alerts_raised_total",
                           "Alerts that were raised, by kind.",
                           {{"kind", std::string(AlertKindName(static_cast<AlertKind>(i)))}});
  }
}

void AlertMonitor::Start() { Arm(); }

void AlertMonitor::Arm() {
  deps_.timers->ArmAfter(kInterval, [this] {
    // Looking reads files; when the pool is busy there is no look this time.
    if (!deps_.executor->Submit([this] { Look(); })) Arm();
  });
}

void AlertMonitor::Look() {
  std::vector<AlertReading> readings;
  if (deps_.dispatcher != nullptr) {
    readings_.AddLinks(deps_.instances->List(), deps_.dispatcher->Stats(),
                       deps_.clock->MonotonicNanos(), &readings);
  }
  if (deps_.spool != nullptr) AddSpoolReadings(deps_.spool->Info(), &readings);
  if (deps_.transfers != nullptr) {
    AddTransferReadings(deps_.transfers->Counts(), deps_.transfers->max_bytes(), &readings);
  }
  if (deps_.receiver != nullptr) AddQuotaReadings(deps_.receiver->Info().over_quota, &readings);
  AddDiskReadings(deps_.data_paths, &readings);
  // What was read before Stop is of a node that runs.
  if (stopping_.load()) return;
  alerts_.Evaluate(readings);
  Arm();
}

void AlertMonitor::OnChange(const Alert& alert) {
  const bool over = alert.cleared_at.has_value();
  const std::string value = absl::StrCat(alert.value);
  const std::initializer_list<LogField> fields = {{"alert_id", alert.id},
                                                  {"kind", AlertKindName(alert.kind)},
                                                  {"subject", alert.subject},
                                                  {"text", alert.text},
                                                  {"value", value}};
  over ? deps_.log->Info(kComponent, "cleared", fields)
       : deps_.log->Warning(kComponent, "raised", fields);
  if (!over) deps_.metrics->Increase(raised_[static_cast<size_t>(alert.kind)]);
  TellHealth();
  if (deps_.tell) deps_.tell(alert);
}

void AlertMonitor::TellHealth() {
  std::string reason;
  const std::vector<Alert> active = alerts_.Active();
  for (const Alert& alert : active) {
    absl::StrAppend(&reason, reason.empty() ? "" : "; ", alert.text);
  }
  deps_.metrics->Set(active_, static_cast<double>(active.size()));
  deps_.health->Set(kComponent, active.empty() ? HealthState::kHealthy : HealthState::kDegraded,
                    reason);
}

}  // namespace viaduct
