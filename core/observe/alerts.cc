#include "core/observe/alerts.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/ids.h"

namespace viaduct {
namespace {

bool IsWorseBelow(AlertKind kind) { return kind == AlertKind::kDiskFree; }

bool Holds(AlertKind kind, const AlertRule& rule, double value) {
  return IsWorseBelow(kind) ? value <= rule.raise : value >= rule.raise;
}

bool IsOver(AlertKind kind, const AlertRule& rule, double value) {
  return IsWorseBelow(kind) ? value >= rule.clear : value <= rule.clear;
}

std::string Percent(double share) { return absl::StrFormat("%.1f %%", share * 100); }

std::string TextOf(AlertKind kind, const std::string& subject, double value) {
  switch (kind) {
    case AlertKind::kLinkErrors:
      return absl::StrCat("link ", subject, ": ", Percent(value), " of its deliveries fail");
    case AlertKind::kLinkDown:
      return absl::StrCat("link ", subject, ": down");
    case AlertKind::kBacklogAge:
      return absl::StrCat(
          "back-log: the oldest message has waited for ",
          absl::FormatDuration(absl::Floor(absl::Seconds(value), absl::Seconds(1))));
    case AlertKind::kBacklogBytes:
      return absl::StrCat("back-log: ", Percent(value), " of its bound in use");
    case AlertKind::kDiskFree:
      return absl::StrCat("disk: only ", Percent(value), " free for ",
                          subject.empty() ? "the data folder" : subject);
    case AlertKind::kDeadLetters:
      return absl::StrCat("back-log: ", value, " messages were set aside");
    case AlertKind::kFailedFiles:
      return absl::StrCat("transfers: ", value, " files were given up");
    case AlertKind::kFilesBytes:
      return absl::StrCat("transfers: ", Percent(value), " of their bound in use");
    case AlertKind::kDeviceQuota:
      return absl::StrCat("incoming: device ", subject, " is over its quota");
  }
  return "";
}

}  // namespace

std::string_view AlertSeverity(AlertKind kind) {
  switch (kind) {
    case AlertKind::kLinkDown:
    case AlertKind::kBacklogBytes:
    case AlertKind::kDiskFree:
    case AlertKind::kFilesBytes:
      return "critical";
    default:
      return "warning";
  }
}

std::string_view AlertKindName(AlertKind kind) {
  switch (kind) {
    case AlertKind::kLinkErrors:
      return "link_errors";
    case AlertKind::kLinkDown:
      return "link_down";
    case AlertKind::kBacklogAge:
      return "backlog_age";
    case AlertKind::kBacklogBytes:
      return "backlog_bytes";
    case AlertKind::kDiskFree:
      return "disk_free";
    case AlertKind::kDeadLetters:
      return "dead_letters";
    case AlertKind::kFailedFiles:
      return "failed_files";
    case AlertKind::kFilesBytes:
      return "files_bytes";
    case AlertKind::kDeviceQuota:
      break;
  }
  return "device_quota";
}

void Alerts::RaiseLocked(const AlertReading& reading, Watched* watched,
                         std::vector<Alert>* changes) {
  Alert& alert = watched->alert.emplace();
  watched->number = ++raised_;
  alert.raised_at = clock_->Now();
  alert.id = NewUuid(alert.raised_at);
  alert.kind = reading.kind;
  alert.subject = reading.subject;
  alert.text = TextOf(reading.kind, reading.subject, *reading.value);
  alert.value = *reading.value;
  alert.threshold = rules_[static_cast<size_t>(reading.kind)].raise;
  changes->push_back(alert);
}

void Alerts::ClearLocked(Watched* watched, std::vector<Alert>* changes) {
  watched->alert->cleared_at = clock_->Now();
  if (past_.size() >= kMaxPast) past_.pop_front();
  past_.push_back(*watched->alert);
  changes->push_back(*std::move(watched->alert));
  watched->alert.reset();
}

void Alerts::LookLocked(const AlertReading& reading, int64_t now_ns, std::vector<Alert>* changes) {
  const AlertRule& rule = rules_[static_cast<size_t>(reading.kind)];
  const Key key(reading.kind, reading.subject);
  if (!rule.enabled || (watched_.size() >= kMaxWatched && watched_.count(key) == 0)) return;
  Watched& watched = watched_[key];
  watched.seen = true;
  if (!reading.value.has_value()) return;
  const bool raised = watched.alert.has_value();
  const bool turns = raised ? IsOver(reading.kind, rule, *reading.value)
                            : Holds(reading.kind, rule, *reading.value);
  if (!turns) {
    watched.since_ns.reset();
    return;
  }
  if (!watched.since_ns.has_value()) watched.since_ns = now_ns;
  const absl::Duration lasted = absl::Nanoseconds(now_ns - *watched.since_ns);
  if (lasted < (raised ? rule.clear_hold : rule.hold)) return;
  watched.since_ns.reset();
  raised ? ClearLocked(&watched, changes) : RaiseLocked(reading, &watched, changes);
}

void Alerts::Evaluate(const std::vector<AlertReading>& readings) {
  std::vector<Alert> changes;
  {
    absl::MutexLock lock(&mutex_);
    const int64_t now = clock_->MonotonicNanos();
    for (const AlertReading& reading : readings) LookLocked(reading, now, &changes);
    for (auto it = watched_.begin(); it != watched_.end();) {
      Watched& watched = it->second;
      if (std::exchange(watched.seen, false)) {
        ++it;
        continue;
      }
      if (watched.alert.has_value()) ClearLocked(&watched, &changes);
      it = watched_.erase(it);
    }
  }
  for (const Alert& change : changes) on_change_(change);
}

std::vector<Alert> Alerts::Active() const {
  absl::MutexLock lock(&mutex_);
  std::map<uint64_t, Alert> active;
  for (const auto& [key, watched] : watched_) {
    if (watched.alert.has_value()) active.emplace(watched.number, *watched.alert);
  }
  std::vector<Alert> out;
  for (auto& [number, alert] : active) out.push_back(std::move(alert));
  return out;
}

std::vector<Alert> Alerts::Past() const {
  absl::MutexLock lock(&mutex_);
  return {past_.begin(), past_.end()};
}

}  // namespace viaduct
