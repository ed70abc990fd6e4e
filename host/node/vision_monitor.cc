#include "host/node/vision_monitor.h"

#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "host/node/latency_metric.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "vision";
// What callers of Gateway.Infer asked of an instance, beside the feeds.
constexpr char kAskedPrefix[] = "gateway/";

// Adds series of one feed; a missing metric is no reason not to run.
class Adder {
 public:
  Adder(Metrics* metrics, const std::string& feed) : metrics_(metrics) {
    spec_.owner = absl::StrCat("feed:", feed);  // No instance can be called so.
    spec_.labels = {{"feed", feed}};
  }
  MetricNumber Add(MetricKind kind, const char* name, const char* help, const char* label = "",
                   std::string_view value = "") {
    MetricSpec spec = spec_;
    spec.kind = kind;
    spec.name = name;
    spec.help = help;
    if (kind == MetricKind::kHistogram) spec.bounds = LatencyBounds();
    if (!value.empty()) spec.labels.emplace_back(label, value);
    return metrics_->Add(spec).value_or(0);
  }

 private:
  Metrics* const metrics_;
  MetricSpec spec_;
};

}  // namespace

VisionMonitor::Series* VisionMonitor::Find(const std::string& name, bool feed) {
  const auto found = series_.find(name);
  if (found != series_.end()) return &found->second;
  Series& series = series_[name];
  Adder adder(metrics_, name);
  series.offered = adder.Add(MetricKind::kCounter, "viaduct_vision_pictures_total",
                             "Pictures that came from a source or a caller.");
  for (size_t i = 1; i < kNoResults; ++i) {
    series.without[i] = adder.Add(MetricKind::kCounter, "viaduct_vision_dropped_total",
                                  "Pictures that ended without a result, by reason.", "reason",
                                  NoResultName(static_cast<NoResult>(i)));
  }
  series.latency = adder.Add(MetricKind::kHistogram, "viaduct_vision_latency_seconds",
                             "From when a picture came to its result.");
  series.waiting =
      adder.Add(MetricKind::kGauge, "viaduct_vision_waiting", "Pictures that wait for inference.");
  if (!feed) return &series;
  static constexpr const char* kNames[kFates] = {"detection", "empty", "refused"};
  for (size_t i = 0; i < kFates; ++i) {
    series.fates[i] = adder.Add(MetricKind::kCounter, "viaduct_vision_results_total",
                                "Results of a feed, by what became of them.", "fate", kNames[i]);
  }
  series.images_left_out =
      adder.Add(MetricKind::kCounter, "viaduct_vision_images_left_out_total",
                "Images of results that were none, or for which a message had no room.");
  series.unsent = adder.Add(MetricKind::kGauge, "viaduct_vision_unsent_detections",
                            "Detections that the node could not take yet.");
  return &series;
}

VisionMonitor::Pair* VisionMonitor::FindPair(const std::string& name, Series* series,
                                             const std::string& instance) {
  const auto found = series->pairs.find(instance);
  if (found != series->pairs.end()) return &found->second;
  Pair& pair = series->pairs[instance];
  Adder adder(metrics_, name);
  pair.given = adder.Add(MetricKind::kCounter, "viaduct_vision_inferences_total",
                         "Pictures that an instance took.", "instance", instance);
  pair.inference =
      adder.Add(MetricKind::kHistogram, "viaduct_vision_inference_seconds",
                "From when an instance took a picture to its result.", "instance", instance);
  return &pair;
}

void VisionMonitor::Count(const std::string& name, bool feed, const FeedStats& now) {
  Series* const series = Find(name, feed);
  const FeedStats seen = std::exchange(series->seen, now);
  const auto grown = [this](MetricNumber number, uint64_t to, uint64_t from) {
    metrics_->Increase(number, static_cast<double>(GrownSince(from, to)));
  };
  grown(series->offered, now.line.offered, seen.line.offered);
  for (size_t i = 1; i < kNoResults; ++i) {
    grown(series->without[i], now.line.without[i], seen.line.without[i]);
  }
  grown(series->fates[0], now.detections, seen.detections);
  grown(series->fates[1], now.empty, seen.empty);
  grown(series->fates[2], now.refused, seen.refused);
  grown(series->images_left_out, now.images_left_out, seen.images_left_out);
  MergeLatency(metrics_, series->latency, now.line.latency, seen.line.latency);
  metrics_->Set(series->waiting, static_cast<double>(now.line.waiting));
  metrics_->Set(series->unsent, static_cast<double>(now.unsent));
  for (const InferLineStats::Pair& pair : now.line.pairs) {
    Pair* const shown = FindPair(name, series, pair.instance);
    grown(shown->given, pair.given, shown->seen.given);
    MergeLatency(metrics_, shown->inference, pair.inference, shown->seen.inference);
    shown->seen = pair;
  }
}

void VisionMonitor::Look(const Vision& vision) {
  std::set<std::string> there;
  const std::vector<FeedStats> feeds = vision.Stats();
  for (const FeedStats& feed : feeds) {
    there.insert(feed.options.source);
    Count(feed.options.source, true, feed);
  }
  for (InferLineStats& line : vision.Asked()) {
    FeedStats asked;
    const std::string name = absl::StrCat(kAskedPrefix, line.name);
    asked.line = std::move(line);
    there.insert(name);
    Count(name, false, asked);
  }
  for (auto it = series_.begin(); it != series_.end();) {
    if (there.count(it->first) != 0) {
      ++it;
      continue;
    }
    metrics_->RemoveOwner(absl::StrCat("feed:", it->first));
    it = series_.erase(it);
  }
  TellHealth(feeds);
}

// The first that is wrong; a node without feeds has no such component.
void VisionMonitor::TellHealth(const std::vector<FeedStats>& feeds) {
  if (feeds.empty()) return health_->Remove(kComponent);
  for (const FeedStats& feed : feeds) {
    const char* wrong = nullptr;
    if (!feed.source_ready) {
      wrong = "its source does not run";
    } else if (!feed.infer_ready) {
      wrong = "none of its instances for inference runs";
    } else if (feed.unsent > 0) {
      wrong = "detections wait until the node can take them";
    }
    if (wrong == nullptr) continue;
    return health_->Set(kComponent, HealthState::kDegraded,
                        absl::StrCat("feed ", feed.options.source, ": ", wrong));
  }
  health_->Set(kComponent, HealthState::kHealthy);
}

}  // namespace viaduct
