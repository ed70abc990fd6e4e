// The numbers of the gateway's links in the metrics registry.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/gateway/link_stats.h"
#include "core/observe/metrics.h"

namespace viaduct {

// Counters begin with the process and go on when a link is made anew, as at a restart of its
// instance. Thread-compatible.
class LinkMetrics {
 public:
  // `metrics` must outlive it.
  explicit LinkMetrics(Metrics* metrics) : metrics_(metrics) {}

  // What the dispatcher says of its links now. A link that is not there counts as not ready as long
  // as its name is among the `configured` instances; then it is forgotten.
  void Look(const std::vector<LinkStats>& links, const std::set<std::string>& configured);

 private:
  static constexpr size_t kTotals = 11;

  struct Series {
    std::array<MetricNumber, kTotals> totals{};
    std::array<MetricNumber, kSwitchReasons> switches{};
    MetricNumber confirmation = 0;
    MetricNumber in_flight = 0;
    MetricNumber ready = 0;
    MetricNumber quality = 0;
    MetricNumber score = 0;
    MetricNumber breaker = 0;
    LinkStats seen;  // At the last look.
  };

  Series* Find(const std::string& name);
  void CountTotals(const LinkStats& link, Series* series);

  Metrics* const metrics_;
  std::map<std::string, Series> links_;
};

}  // namespace viaduct
