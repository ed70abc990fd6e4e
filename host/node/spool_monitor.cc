#include "host/node/spool_monitor.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "host/node/add_metric.h"

namespace viaduct {
namespace {

// What the spool counts, since it was made.
struct SpoolTotal {
  const char* name;
  const char* help;
  uint64_t SpoolInfo::*total;
};
constexpr SpoolTotal kSpoolTotals[] = {
    {"viaduct_spool_accepted_total", "Messages accepted.", &SpoolInfo::accepted_total},
    {"viaduct_spool_confirmed_total", "Messages confirmed by a peer.", &SpoolInfo::confirmed_total},
    {"viaduct_spool_rejected_total", "Messages set aside after refusals.",
     &SpoolInfo::rejected_total},
    {"viaduct_spool_expired_total", "Messages given up for their age.", &SpoolInfo::expired_total},
    {"viaduct_spool_lost_total", "Messages lost with a damaged file.", &SpoolInfo::lost_total},
};

// By SpoolDrop and SpoolRefusal.
constexpr const char* kDropNames[kSpoolDrops] = {"full", "dead_letters", "by_hand"};
constexpr const char* kRefusalNames[kSpoolRefusals] = {"full", "disk_full", "disk_fails",
                                                       "too_fast"};

uint64_t By(const SpoolInfo& info, SpoolDrop why) {
  return info.dropped_by[static_cast<size_t>(why)];
}

uint64_t By(const SpoolInfo& info, SpoolRefusal why) {
  return info.refused_by[static_cast<size_t>(why)];
}

std::string TextOf(uint64_t count, const char* what) {
  return count == 0 ? "" : absl::StrCat(count, " ", what, ", ");
}

}  // namespace

SpoolMonitor::SpoolMonitor(Metrics* metrics, HealthTree* health, const Clock* clock,
                           const SpoolInfo& info)
    : metrics_(metrics), health_(health), clock_(clock) {
  messages_ =
      AddMetric(metrics, MetricKind::kGauge, "viaduct_spool_messages", "Messages that wait.");
  bytes_ =
      AddMetric(metrics, MetricKind::kGauge, "viaduct_spool_bytes", "Bytes of waiting messages.");
  oldest_ = AddMetric(metrics, MetricKind::kGauge, "viaduct_spool_oldest_seconds",
                      "Age of the oldest waiting message.");
  for (const SpoolTotal& t : kSpoolTotals) {
    totals_.push_back(
        {AddMetric(metrics, MetricKind::kCounter, t.name, t.help), t.total, info.*t.total});
  }
  for (size_t i = 0; i < kSpoolDrops; ++i) {
    dropped_[i] =
        AddMetric(metrics, MetricKind::kCounter, "viaduct_spool_dropped_total",
                  "Messages given up: to make room, as dead letters over their share, or by an "
                  "administrator.",
                  {{"reason", kDropNames[i]}});
  }
  for (size_t i = 0; i < kSpoolRefusals; ++i) {
    refused_[i] = AddMetric(metrics, MetricKind::kCounter, "viaduct_spool_refused_total",
                            "Messages that were not taken.", {{"reason", kRefusalNames[i]}});
  }
}

void SpoolMonitor::Look(const SpoolInfo& info) {
  metrics_->Set(messages_, static_cast<double>(info.messages));
  metrics_->Set(bytes_, static_cast<double>(info.bytes));
  metrics_->Set(oldest_, absl::ToDoubleSeconds(info.oldest_age));
  Count(info);
  TellHealth(info);
}

void SpoolMonitor::Count(const SpoolInfo& info) {
  const auto count = [this](MetricNumber number, uint64_t now, uint64_t* seen) {
    metrics_->Increase(number, static_cast<double>(now - std::exchange(*seen, now)));
  };
  for (Counted& counted : totals_) count(counted.number, info.*counted.total, &counted.seen);
  for (size_t i = 0; i < kSpoolDrops; ++i) {
    count(dropped_[i], info.dropped_by[i], &dropped_seen_[i]);
  }
  for (size_t i = 0; i < kSpoolRefusals; ++i) {
    count(refused_[i], info.refused_by[i], &refused_seen_[i]);
  }
}

// Since the last time in which there was nothing for so long.
SpoolMonitor::Losses SpoolMonitor::LatelyLost(const SpoolInfo& info) {
  // What the disk is to blame for has a state of its own, which ends with it.
  const Losses now{By(info, SpoolDrop::kFull), By(info, SpoolDrop::kDeadLetters),
                   By(info, SpoolRefusal::kFull) + By(info, SpoolRefusal::kTooFast)};
  const int64_t now_ns = clock_->MonotonicNanos();
  if (now.all() > last_.all()) {
    last_loss_ns_ = now_ns;
  } else if (now_ns - last_loss_ns_ >= kLossMemoryNs) {
    before_ = now;
  }
  last_ = now;
  return {now.dropped - before_.dropped, now.dead_letters - before_.dead_letters,
          now.refused - before_.refused};
}

void SpoolMonitor::TellHealth(const SpoolInfo& info) {
  const Losses lost = LatelyLost(info);
  const auto say = [this](HealthState state, const std::string& reason) {
    health_->Set("spool", state, reason);
  };
  if (info.failed) {
    say(HealthState::kUnhealthy, "damaged again and again, takes nothing");
  } else if (!info.repair_error.empty()) {
    say(HealthState::kUnhealthy,
        absl::StrCat("damaged, takes and sends nothing, the repair failed: ", info.repair_error));
  } else if (info.disk_full) {
    say(HealthState::kUnhealthy, "no space on disk");
  } else if (info.full) {
    say(HealthState::kUnhealthy, absl::StrCat("full, ", info.messages, " messages wait"));
  } else if (info.low_space) {
    say(HealthState::kDegraded,
        "less free on the disk than spool.min_free_bytes, takes nothing new");
  } else if (lost.all() > 0) {
    say(HealthState::kDegraded,
        absl::StrCat("lately ", TextOf(lost.dropped, "messages dropped to make room"),
                     TextOf(lost.dead_letters, "dead letters dropped over their share"),
                     TextOf(lost.refused, "messages refused"), info.messages, " messages wait"));
  } else if (info.rejected > 0) {
    say(HealthState::kDegraded, absl::StrCat(info.rejected, " messages were refused by the peer"));
  } else {
    say(HealthState::kHealthy, "");
  }
}

}  // namespace viaduct
