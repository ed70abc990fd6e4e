#include "core/observe/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace viaduct {
namespace {

constexpr double kFraction = 1e9;  // Counters keep what is behind the point in billionths.

using Labels = std::vector<std::pair<std::string, std::string>>;

bool IsName(std::string_view name) {
  if (name.empty() || name.size() > Metrics::kMaxTextBytes) return false;
  if (name[0] < 'a' || name[0] > 'z') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

absl::Status CheckLabels(const Labels& labels) {
  if (labels.size() > Metrics::kMaxLabels) {
    return absl::InvalidArgumentError(absl::StrCat("metrics: too many labels, ", labels.size(),
                                                   ", at most ", Metrics::kMaxLabels));
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto& [name, value] = labels[i];
    if (!IsName(name) || name == "le" || name == "quantile" || name.rfind("__", 0) == 0) {
      return absl::InvalidArgumentError(absl::StrCat("metrics: bad label name, \"", name, "\""));
    }
    if (i > 0 && labels[i - 1].first == name) {
      return absl::InvalidArgumentError(absl::StrCat("metrics: label given twice, ", name));
    }
    if (value.size() > Metrics::kMaxTextBytes) {
      return absl::InvalidArgumentError(absl::StrCat("metrics: label value too long, ", name));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckBounds(const MetricSpec& spec) {
  if (spec.kind != MetricKind::kHistogram) {
    if (spec.bounds.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("metrics: only a histogram has bounds, ", spec.name));
  }
  if (spec.bounds.empty() || spec.bounds.size() > Metrics::kMaxBounds) {
    return absl::InvalidArgumentError(absl::StrCat("metrics: a histogram has 1 to ",
                                                   Metrics::kMaxBounds, " bounds, ", spec.name));
  }
  for (size_t i = 0; i < spec.bounds.size(); ++i) {
    const bool ascends = i == 0 || spec.bounds[i] > spec.bounds[i - 1];
    if (!std::isfinite(spec.bounds[i]) || !ascends) {
      return absl::InvalidArgumentError(
          absl::StrCat("metrics: bounds must be finite and ascend, ", spec.name));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSpec(const MetricSpec& spec) {
  if (!IsName(spec.name) || spec.name.rfind("viaduct_", 0) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics: not a name viaduct_<area>_<noun>_<unit>, \"", spec.name, "\""));
  }
  if (spec.help.size() > Metrics::kMaxTextBytes) {
    return absl::InvalidArgumentError(absl::StrCat("metrics: help too long, ", spec.name));
  }
  VD_RETURN_IF_ERROR(CheckLabels(spec.labels));
  return CheckBounds(spec);
}

// A sum in two integers: adding is two fetch_adds, so that no update waits for another.
class FixedSum {
 public:
  void Add(double delta) {
    if (!std::isfinite(delta) || std::fabs(delta) > 9e15) return;
    const double whole = std::trunc(delta);
    whole_.fetch_add(static_cast<int64_t>(whole), std::memory_order_relaxed);
    if (whole != delta) {
      billionths_.fetch_add(std::llround((delta - whole) * kFraction), std::memory_order_relaxed);
    }
  }
  double value() const {
    return static_cast<double>(whole_.load(std::memory_order_relaxed)) +
           static_cast<double>(billionths_.load(std::memory_order_relaxed)) / kFraction;
  }

 private:
  std::atomic<int64_t> whole_{0};
  std::atomic<int64_t> billionths_{0};
};

}  // namespace

struct Metrics::Series {
  Series(const MetricSpec& spec, Labels sorted)
      : kind(spec.kind), owner(spec.owner), labels(std::move(sorted)), bounds(spec.bounds) {
    if (kind == MetricKind::kHistogram) {
      buckets = std::make_unique<std::atomic<uint64_t>[]>(bounds.size() + 1);
    }
  }

  const MetricKind kind;
  const std::string owner;
  const Labels labels;
  const std::vector<double> bounds;
  MetricNumber number = 0;
  FixedSum sum;  // Counter: its value. Histogram: the sum of what was seen.
  std::atomic<double> gauge{0};
  std::unique_ptr<std::atomic<uint64_t>[]> buckets;  // The last one is up to infinity.
};

struct Metrics::Family {
  MetricKind kind = MetricKind::kCounter;
  std::string help;
  std::map<Labels, std::unique_ptr<Series>> series;
};

Metrics::Metrics() : table_(std::make_unique<Table>()) {}
Metrics::~Metrics() = default;

absl::StatusOr<MetricNumber> Metrics::FreeNumber(std::string_view owner) {
  const auto owned = owned_.find(owner);
  if (!owner.empty() && owned != owned_.end() && owned->second >= kMaxSeriesPerOwner) {
    return absl::ResourceExhaustedError(
        absl::StrCat("metrics: ", std::string(owner), " has ", kMaxSeriesPerOwner, " series"));
  }
  if (!free_.empty()) {
    const MetricNumber number = free_.back();
    free_.pop_back();
    return number;
  }
  if (next_ >= kMaxSeries) {
    return absl::ResourceExhaustedError(
        absl::StrCat("metrics: the node has ", kMaxSeries - 1, " series"));
  }
  return next_++;
}

absl::StatusOr<MetricNumber> Metrics::Add(const MetricSpec& spec) {
  Labels labels = spec.labels;
  std::sort(labels.begin(), labels.end());
  MetricSpec checked = spec;
  checked.labels = labels;
  VD_RETURN_IF_ERROR(CheckSpec(checked));

  absl::MutexLock lock(&mutex_);
  const auto found = families_.find(spec.name);
  if (found != families_.end()) {
    if (found->second.kind != spec.kind) {
      return absl::InvalidArgumentError(
          absl::StrCat("metrics: name in use with another kind, ", spec.name));
    }
    const auto same = found->second.series.find(labels);
    if (same != found->second.series.end()) {
      if (same->second->bounds == spec.bounds) return same->second->number;
      return absl::InvalidArgumentError(
          absl::StrCat("metrics: name in use with other bounds, ", spec.name));
    }
  }
  VD_ASSIGN_OR_RETURN(const MetricNumber number, FreeNumber(spec.owner));
  Family& family = families_[spec.name];
  family.kind = spec.kind;
  if (family.help.empty()) family.help = spec.help;
  auto series = std::make_unique<Series>(spec, labels);
  series->number = number;
  (*table_)[number].store(series.get(), std::memory_order_release);
  family.series.emplace(std::move(labels), std::move(series));
  ++owned_[spec.owner];
  return number;
}

void Metrics::RemoveOwner(std::string_view owner) {
  absl::MutexLock lock(&mutex_);
  for (auto family = families_.begin(); family != families_.end();) {
    auto& all = family->second.series;
    for (auto it = all.begin(); it != all.end();) {
      if (it->second->owner != owner) {
        ++it;
        continue;
      }
      (*table_)[it->second->number].store(nullptr, std::memory_order_release);
      free_.push_back(it->second->number);
      it = all.erase(it);
    }
    family = all.empty() ? families_.erase(family) : std::next(family);
  }
  if (const auto owned = owned_.find(owner); owned != owned_.end()) owned_.erase(owned);
}

void Metrics::Increase(MetricNumber number, double delta) {
  Series* series = Find(number);
  if (series == nullptr || !std::isfinite(delta)) return;
  if (series->kind == MetricKind::kCounter) {
    if (delta >= 0) series->sum.Add(delta);
  } else if (series->kind == MetricKind::kGauge) {
    double old = series->gauge.load(std::memory_order_relaxed);
    while (!series->gauge.compare_exchange_weak(old, old + delta, std::memory_order_relaxed)) {
    }
  }
}

void Metrics::Set(MetricNumber number, double value) {
  Series* series = Find(number);
  if (series == nullptr || series->kind != MetricKind::kGauge) return;
  series->gauge.store(value, std::memory_order_relaxed);
}

void Metrics::Observe(MetricNumber number, double value) {
  Series* series = Find(number);
  if (series == nullptr || series->kind != MetricKind::kHistogram || std::isnan(value)) return;
  size_t bucket = 0;
  while (bucket < series->bounds.size() && value > series->bounds[bucket]) ++bucket;
  series->buckets[bucket].fetch_add(1, std::memory_order_relaxed);
  series->sum.Add(value);
}

void Metrics::Merge(MetricNumber number, absl::Span<const uint64_t> counts, double sum) {
  Series* series = Find(number);
  if (series == nullptr || series->kind != MetricKind::kHistogram) return;
  if (counts.size() != series->bounds.size() + 1) return;
  for (size_t i = 0; i < counts.size(); ++i) {
    series->buckets[i].fetch_add(counts[i], std::memory_order_relaxed);
  }
  series->sum.Add(sum);
}

namespace {

prometheus::MetricType TypeOf(MetricKind kind) {
  switch (kind) {
    case MetricKind::kCounter:
      return prometheus::MetricType::Counter;
    case MetricKind::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricKind::kHistogram:
      break;
  }
  return prometheus::MetricType::Histogram;
}

}  // namespace

std::vector<prometheus::MetricFamily> Metrics::Collect() const {
  absl::MutexLock lock(&mutex_);
  std::vector<prometheus::MetricFamily> out;
  out.reserve(families_.size());
  for (const auto& [name, family] : families_) {
    prometheus::MetricFamily& result = out.emplace_back();
    result.name = name;
    result.help = family.help;
    result.type = TypeOf(family.kind);
    for (const auto& [labels, series] : family.series) {
      prometheus::ClientMetric& metric = result.metric.emplace_back();
      for (const auto& [key, value] : labels) metric.label.push_back({key, value});
      metric.counter.value = series->sum.value();
      metric.gauge.value = series->gauge.load(std::memory_order_relaxed);
      uint64_t count = 0;
      for (size_t i = 0; series->buckets != nullptr && i <= series->bounds.size(); ++i) {
        count += series->buckets[i].load(std::memory_order_relaxed);
        const bool last = i == series->bounds.size();
        metric.histogram.bucket.push_back(
            {count, last ? std::numeric_limits<double>::infinity() : series->bounds[i]});
      }
      metric.histogram.sample_count = count;
      metric.histogram.sample_sum = series->sum.value();
    }
  }
  return out;
}

std::vector<MetricSample> Metrics::Samples() const {
  std::vector<MetricSample> out;
  for (const prometheus::MetricFamily& family : Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      Labels labels;
      for (const auto& label : metric.label) labels.emplace_back(label.name, label.value);
      if (family.type == prometheus::MetricType::Counter) {
        out.push_back({family.name, std::move(labels), metric.counter.value});
        continue;
      }
      if (family.type == prometheus::MetricType::Gauge) {
        out.push_back({family.name, std::move(labels), metric.gauge.value});
        continue;
      }
      for (const auto& bucket : metric.histogram.bucket) {
        Labels with_bound = labels;
        const bool finite = std::isfinite(bucket.upper_bound);
        with_bound.emplace_back("le", finite ? absl::StrCat(bucket.upper_bound) : "+Inf");
        out.push_back({family.name + "_bucket", std::move(with_bound),
                       static_cast<double>(bucket.cumulative_count)});
      }
      out.push_back({family.name + "_sum", labels, metric.histogram.sample_sum});
      out.push_back({family.name + "_count", std::move(labels),
                     static_cast<double>(metric.histogram.sample_count)});
    }
  }
  return out;
}

std::string Metrics::ExpositionText() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, Collect());
  return out.str();
}

size_t Metrics::series_count() const {
  absl::MutexLock lock(&mutex_);
  size_t count = 0;
  for (const auto& [owner, owned] : owned_) count += owned;
  return count;
}

}  // namespace viaduct
