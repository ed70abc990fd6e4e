#include "core/security/bucket_table.h"

#include <algorithm>

#include "absl/strings/string_view.h"
#include "core/base/string_view.h"

namespace viaduct::security {
namespace {

// Of the one that was used longest ago and some after it: those that are full stand there.
constexpr int kMaxLooks = 4;
constexpr double kNanosPerSecond = 1e9;

}  // namespace

BucketTable::BucketTable(BucketRate rate, size_t max_buckets)
    : rate_{std::max(0.0, rate.per_second), std::max(1.0, rate.burst)},
      max_buckets_(std::max<size_t>(1, max_buckets)),
      shared_{std::max(1.0, rate.burst), 0, used_.end()} {}

void BucketTable::Fill(Bucket* bucket, int64_t now_ns) const {
  const double seconds =
      static_cast<double>(std::max<int64_t>(0, now_ns - bucket->filled_ns)) / kNanosPerSecond;
  bucket->tokens = std::min(rate_.burst, bucket->tokens + seconds * rate_.per_second);
  bucket->filled_ns = std::max(bucket->filled_ns, now_ns);
}

bool BucketTable::IsFull(const Bucket& bucket, int64_t now_ns) const {
  Bucket copy = bucket;
  Fill(&copy, now_ns);
  return copy.tokens >= rate_.burst;
}

bool BucketTable::MakeRoom(int64_t now_ns) {
  if (buckets_.size() < max_buckets_) return true;
  auto oldest = used_.end();
  for (int looks = 0; looks < kMaxLooks && oldest != used_.begin(); ++looks) {
    --oldest;
    const auto found = buckets_.find(*oldest);
    if (!IsFull(found->second, now_ns)) continue;
    buckets_.erase(found);
    used_.erase(oldest);
    return true;
  }
  return false;
}

BucketTable::Bucket* BucketTable::Get(std::string_view name, int64_t now_ns) {
  const auto found = buckets_.find(AbslView(name));
  if (found != buckets_.end()) {
    used_.splice(used_.begin(), used_, found->second.place);
    Fill(&found->second, now_ns);
    return &found->second;
  }
  if (!MakeRoom(now_ns)) {
    Fill(&shared_, now_ns);
    return &shared_;
  }
  used_.emplace_front(name);
  Bucket& bucket = buckets_[used_.front()];
  bucket = {rate_.burst, now_ns, used_.begin()};
  return &bucket;
}

absl::Duration BucketTable::WaitFor(std::string_view name, double cost, int64_t now_ns) {
  if (!limits()) return absl::ZeroDuration();
  const double missing = std::min(cost, rate_.burst) - Get(name, now_ns)->tokens;
  if (missing <= 0) return absl::ZeroDuration();
  return absl::Seconds(missing / rate_.per_second);
}

void BucketTable::Take(std::string_view name, double cost, int64_t now_ns) {
  if (limits()) Get(name, now_ns)->tokens -= cost;
}

}  // namespace viaduct::security
