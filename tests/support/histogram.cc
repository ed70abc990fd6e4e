#include "tests/support/histogram.h"

#include <algorithm>

namespace viaduct::support {

int Histogram::Bucket(uint64_t value) {
  if (value < kSteps) return static_cast<int>(value);
  const int top = 63 - __builtin_clzll(value);
  const int shift = top - kStepBits;
  // The top bit is implied; the next kStepBits bits choose the step.
  return (shift + 1) * kSteps + static_cast<int>((value >> shift) - kSteps);
}

int64_t Histogram::UpperEdge(int bucket) {
  if (bucket < kSteps) return bucket;
  const int shift = bucket / kSteps - 1;
  // Without a sign: the edge of the last bucket is 2^63 - 1.
  return static_cast<int64_t>(((uint64_t{kSteps + 1} + bucket % kSteps) << shift) - 1);
}

void Histogram::Add(int64_t nanos) {
  const int64_t value = std::max<int64_t>(nanos, 0);
  const int bucket = std::min(Bucket(static_cast<uint64_t>(value)), kBuckets - 1);
  ++buckets_[static_cast<size_t>(bucket)];
  ++count_;
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value);
}

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
}

int64_t Histogram::Quantile(double share) const {
  if (count_ == 0) return 0;
  const double want = share * static_cast<double>(count_);
  uint64_t seen = 0;
  for (int i = 0; i < kBuckets; ++i) {
    seen += buckets_[static_cast<size_t>(i)];
    if (static_cast<double>(seen) >= want && seen > 0) return std::min(UpperEdge(i), max_);
  }
  return max_;
}

double Histogram::MeanNanos() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }

}  // namespace viaduct::support
