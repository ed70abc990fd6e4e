// What the measurements of a link say about it, as pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace viaduct {

// In ascending order, so that "good or better" is a comparison. Nothing measured yet is below all.
enum class LinkQuality : uint8_t { kUnknown, kPoor, kFair, kGood, kExcellent };
std::string_view LinkQualityName(LinkQuality quality);  // "unknown", "poor", ...

// One look at a link: a probe, or what its traffic did in one interval.
struct LinkMeasurement {
  absl::Duration latency = absl::ZeroDuration();  // Of those that were answered.
  double loss = 0;                                // Share that was not answered, 0..1.
  bool answered = false;                          // Anything was: otherwise latency says nothing.
};

inline constexpr size_t kQualityMeasurements = 10;

// Of the last kQualityMeasurements of `history`, oldest first.
LinkQuality QualityOf(absl::Span<const LinkMeasurement> history);

struct LinkFacts {
  double bytes_per_second = 0;  // 0: not known.
  absl::Duration latency = absl::ZeroDuration();
  double loss = 0;
  double uptime = 0;  // Share of the time in which the link was ready, 0..1.
};

// 0 (useless) to 1. Latency and loss weigh 0.3 each, uptime and bandwidth 0.2; a bandwidth that is
// not known counts half.
double ConnectivityScore(const LinkFacts& facts);

}  // namespace viaduct
