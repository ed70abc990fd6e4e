#include "core/lpr/communication_meter.h"

#include <cmath>
#include <utility>

namespace viaduct {

size_t CommunicationMeter::BucketOf(double latency_ms) {
  if (latency_ms <= kFirstBucketMs) return 0;
  const double steps = std::ceil(std::log(latency_ms / kFirstBucketMs) / std::log(kGrowth));
  return steps >= kBuckets - 1 ? kBuckets - 1 : static_cast<size_t>(steps);
}

double CommunicationMeter::Quantile(const Totals& totals, double q) {
  const auto rank = static_cast<int64_t>(std::ceil(q * static_cast<double>(totals.attempts)));
  int64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += totals.buckets[i];
    if (seen >= rank) return kFirstBucketMs * std::pow(kGrowth, static_cast<double>(i));
  }
  return 0;
}

void CommunicationMeter::Record(CommunicationRecord record, size_t bytes) {
  std::vector<StoreRecord> full;
  {
    const absl::MutexLock lock(&mutex_);
    auto found = totals_.find(record.protocol);
    if (found == totals_.end() && totals_.size() < kMaxProtocols) {
      found = totals_.emplace(record.protocol, Totals()).first;
    }
    if (found != totals_.end()) {
      Totals& totals = found->second;
      ++totals.attempts;
      totals.successes += record.success ? 1 : 0;
      totals.bytes += static_cast<int64_t>(bytes);
      totals.latency_ms += record.latency_ms;
      ++totals.buckets[BucketOf(record.latency_ms)];
    }
    if (store_ == nullptr) return;
    bundle_.emplace_back(std::move(record));
    if (bundle_.size() >= kBundle) full.swap(bundle_);
  }
  if (!full.empty()) store_->Append(std::move(full), nullptr);
}

void CommunicationMeter::Flush(std::function<void()> then) {
  std::vector<StoreRecord> records;
  {
    const absl::MutexLock lock(&mutex_);
    records.swap(bundle_);
  }
  if (store_ == nullptr) return then();
  store_->Append(std::move(records), nullptr);
  store_->Append({}, [then = std::move(then)](std::vector<AppendResult>) { then(); });
}

std::vector<CommunicationFigures> CommunicationMeter::Figures() const {
  std::vector<CommunicationFigures> out;
  const absl::MutexLock lock(&mutex_);
  for (const auto& [protocol, totals] : totals_) {
    CommunicationFigures figures;
    figures.protocol = protocol;
    figures.attempts = totals.attempts;
    figures.successes = totals.successes;
    figures.bytes = totals.bytes;
    if (totals.attempts > 0) {
      figures.average_ms = totals.latency_ms / static_cast<double>(totals.attempts);
    }
    figures.p50_ms = Quantile(totals, 0.5);
    figures.p99_ms = Quantile(totals, 0.99);
    out.push_back(std::move(figures));
  }
  return out;
}

}  // namespace viaduct
