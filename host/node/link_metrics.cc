#include "host/node/link_metrics.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "host/node/latency_metric.h"

namespace viaduct {
namespace {

struct Total {
  const char* name;
  const char* help;
  const char* reason;  // Null: no such label.
  uint64_t (*read)(const LinkStats&);
};

constexpr char kFailed[] = "viaduct_link_failed_total";
constexpr char kFailedHelp[] = "Deliveries that ended without a confirmation, by reason.";
constexpr Total kTotalsShown[] = {
    {"viaduct_link_sent_total", "Messages that the link took.", nullptr,
     [](const LinkStats& link) { return link.sent; }},
    {"viaduct_link_confirmed_total", "Messages that the peer confirmed.", nullptr,
     [](const LinkStats& link) { return link.confirmed; }},
    {kFailed, kFailedHelp, "retried", [](const LinkStats& link) { return link.retried; }},
    {kFailed, kFailedHelp, "rejected", [](const LinkStats& link) { return link.rejected; }},
    {kFailed, kFailedHelp, "expired", [](const LinkStats& link) { return link.expired; }},
    {kFailed, kFailedHelp, "cancelled", [](const LinkStats& link) { return link.cancelled; }},
    {kFailed, kFailedHelp, "timed_out", [](const LinkStats& link) { return link.timed_out; }},
    {"viaduct_link_hedged_total", "Messages that went over another link besides, late on this one.",
     nullptr, [](const LinkStats& link) { return link.hedged; }},
    {"viaduct_link_sent_bytes_total", "Bytes of messages that the link took.", nullptr,
     [](const LinkStats& link) { return link.bytes_sent; }},
    {"viaduct_link_probes_total", "Probes that ended.", nullptr,
     [](const LinkStats& link) { return link.reading.probes; }},
    {"viaduct_link_probe_bytes_total", "Bytes of probes, as far as the plugin knows.", nullptr,
     [](const LinkStats& link) { return link.reading.probe_bytes; }},
};

double BreakerNumber(BreakerState state) {
  if (state == BreakerState::kClosed) return 0;
  return state == BreakerState::kHalfOpen ? 1 : 2;
}

// Adds series of one link; a missing metric is no reason not to run.
class Adder {
 public:
  Adder(Metrics* metrics, const std::string& link) : metrics_(metrics) {
    // No instance can be called so.
    spec_.owner = absl::StrCat("link:", link);
    spec_.labels = {{"instance", link}};
  }
  MetricNumber Add(MetricKind kind, const char* name, const char* help,
                   std::string_view reason = "") {
    MetricSpec spec = spec_;
    spec.kind = kind;
    spec.name = name;
    spec.help = help;
    if (kind == MetricKind::kHistogram) spec.bounds = LatencyBounds();
    if (!reason.empty()) spec.labels.emplace_back("reason", reason);
    const auto number = metrics_->Add(spec);
    return number.ok() ? *number : 0;
  }

 private:
  Metrics* const metrics_;
  MetricSpec spec_;
};

}  // namespace

LinkMetrics::Series* LinkMetrics::Find(const std::string& name) {
  static_assert(std::size(kTotalsShown) == kTotals);
  const auto found = links_.find(name);
  if (found != links_.end()) return &found->second;
  Series& series = links_[name];
  Adder adder(metrics_, name);
  for (size_t i = 0; i < kTotals; ++i) {
    const Total& total = kTotalsShown[i];
    series.totals[i] = adder.Add(MetricKind::kCounter, total.name, total.help,
                                 total.reason == nullptr ? "" : total.reason);
  }
  for (size_t i = 0; i < kSwitchReasons; ++i) {
    series.switches[i] = adder.Add(MetricKind::kCounter, "viaduct_link_switches_total",
                                   "Kinds of messages that began to take the link, by reason.",
                                   SwitchReasonName(static_cast<SwitchReason>(i)));
  }
  series.confirmation =
      adder.Add(MetricKind::kHistogram, "viaduct_link_confirmation_seconds",
                "From the delivery of a message to the confirmation of the peer.");
  series.in_flight =
      adder.Add(MetricKind::kGauge, "viaduct_link_in_flight", "Messages without an answer.");
  series.ready = adder.Add(MetricKind::kGauge, "viaduct_link_ready",
                           "1: it is connected and answers. 0: it is not, or does not.");
  series.quality = adder.Add(MetricKind::kGauge, "viaduct_link_quality",
                             "0: nothing measured. 1: poor. 2: fair. 3: good. 4: excellent.");
  series.score = adder.Add(MetricKind::kGauge, "viaduct_link_score",
                           "0 (useless) to 1, of latency, loss, bandwidth and uptime.");
  series.breaker = adder.Add(MetricKind::kGauge, "viaduct_link_breaker",
                             "0: closed, messages pass. 1: half open, one decides. 2: open.");
  return &series;
}

void LinkMetrics::CountTotals(const LinkStats& link, Series* series) {
  for (size_t i = 0; i < kTotals; ++i) {
    const uint64_t seen = kTotalsShown[i].read(series->seen);
    const uint64_t now = kTotalsShown[i].read(link);
    metrics_->Increase(series->totals[i], static_cast<double>(now - seen));
  }
  for (size_t i = 0; i < kSwitchReasons; ++i) {
    metrics_->Increase(series->switches[i],
                       static_cast<double>(link.switched_to[i] - series->seen.switched_to[i]));
  }
}

void LinkMetrics::Look(const std::vector<LinkStats>& links,
                       const std::set<std::string>& configured) {
  std::set<std::string> there;
  for (const LinkStats& link : links) {
    there.insert(link.name);
    Series* series = Find(link.name);
    if (series->seen.id != link.id) series->seen = LinkStats();  // Made anew: from zero.
    CountTotals(link, series);
    MergeLatency(metrics_, series->confirmation, link.delivery, series->seen.delivery);
    metrics_->Set(series->in_flight, static_cast<double>(link.in_flight));
    metrics_->Set(series->ready, link.ready ? 1 : 0);
    metrics_->Set(series->quality, static_cast<double>(link.reading.quality));
    metrics_->Set(series->score, link.reading.score);
    metrics_->Set(series->breaker, BreakerNumber(link.breaker));
    series->seen = link;
  }
  for (auto it = links_.begin(); it != links_.end();) {
    if (there.count(it->first) != 0) {
      ++it;
    } else if (configured.count(it->first) != 0) {
      metrics_->Set(it->second.ready, 0);
      metrics_->Set(it->second.in_flight, 0);
      ++it;
    } else {
      metrics_->RemoveOwner(absl::StrCat("link:", it->first));
      it = links_.erase(it);
    }
  }
}

}  // namespace viaduct
