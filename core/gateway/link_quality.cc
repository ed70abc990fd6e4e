#include "core/gateway/link_quality.h"

#include <algorithm>
#include <cmath>

namespace viaduct {
namespace {

struct QualityRow {
  LinkQuality quality;
  absl::Duration latency_below;
  double loss_below;
};
constexpr QualityRow kQualityRows[] = {
    {LinkQuality::kExcellent, absl::Milliseconds(50), 0.01},
    {LinkQuality::kGood, absl::Milliseconds(100), 0.05},
    {LinkQuality::kFair, absl::Milliseconds(200), 0.10},
};

// Where a part of the score is 1 and where it is 0.
constexpr double kBestLatencySeconds = 0.02;
constexpr double kWorstLatencySeconds = 2;
constexpr double kWorstLoss = 0.2;
constexpr double kWorstBytesPerSecond = 4e3;
constexpr double kBestBytesPerSecond = 4e6;
constexpr double kLatencyWeight = 0.3;
constexpr double kLossWeight = 0.3;
constexpr double kUptimeWeight = 0.2;
constexpr double kBandwidthWeight = 0.2;
constexpr double kUnknownBandwidth = 0.5;

// Where `value` lies between `zero` and `one`, on a logarithmic scale.
double LogShare(double value, double zero, double one) {
  if (!(value > 0)) return zero < one ? 0 : 1;
  return std::clamp(std::log(value / zero) / std::log(one / zero), 0.0, 1.0);
}

}  // namespace

std::string_view LinkQualityName(LinkQuality quality) {
  switch (quality) {
    case LinkQuality::kUnknown:
      return "unknown";
    case LinkQuality::kPoor:
      return "poor";
    case LinkQuality::kFair:
      return "fair";
    case LinkQuality::kGood:
      return "good";
    case LinkQuality::kExcellent:
      return "excellent";
  }
  return "unknown";
}

LinkQuality QualityOf(absl::Span<const LinkMeasurement> history) {
  if (history.empty()) return LinkQuality::kUnknown;
  const auto last = history.last(std::min(history.size(), kQualityMeasurements));
  absl::Duration latency;
  double loss = 0;
  int answered = 0;
  for (const LinkMeasurement& one : last) {
    loss += one.loss;
    if (!one.answered) continue;
    latency += one.latency;
    ++answered;
  }
  if (answered == 0) return LinkQuality::kPoor;
  latency /= answered;
  loss /= static_cast<double>(last.size());
  for (const QualityRow& row : kQualityRows) {
    if (latency < row.latency_below && loss < row.loss_below) return row.quality;
  }
  return LinkQuality::kPoor;
}

double ConnectivityScore(const LinkFacts& facts) {
  const double latency =
      LogShare(absl::ToDoubleSeconds(facts.latency), kWorstLatencySeconds, kBestLatencySeconds);
  const double loss = std::clamp(1 - facts.loss / kWorstLoss, 0.0, 1.0);
  const double bandwidth =
      facts.bytes_per_second > 0
          ? LogShare(facts.bytes_per_second, kWorstBytesPerSecond, kBestBytesPerSecond)
          : kUnknownBandwidth;
  return kLatencyWeight * latency + kLossWeight * loss +
         kUptimeWeight * std::clamp(facts.uptime, 0.0, 1.0) + kBandwidthWeight * bandwidth;
}

}  // namespace viaduct
