// What the node's pictures look like in health and metrics.
#pragma once

#include <array>
#include <map>
#include <string>

#include "core/observe/health_tree.h"
#include "core/observe/metrics.h"
#include "core/vision/vision.h"

namespace viaduct {

// Counters begin with the process; those of a feed that is no longer configured go with it.
// Thread-compatible.
class VisionMonitor {
 public:
  // Both outlive it.
  VisionMonitor(Metrics* metrics, HealthTree* health) : metrics_(metrics), health_(health) {}

  void Look(const Vision& vision);

 private:
  static constexpr size_t kFates = 3;  // Of results: detection, empty, refused.

  struct Pair {
    MetricNumber given = 0;
    MetricNumber inference = 0;
    InferLineStats::Pair seen;
  };
  struct Series {
    MetricNumber offered = 0;
    std::array<MetricNumber, kNoResults> without{};
    std::array<MetricNumber, kFates> fates{};
    MetricNumber latency = 0;
    MetricNumber images_left_out = 0;
    MetricNumber waiting = 0;
    MetricNumber unsent = 0;
    std::map<std::string, Pair> pairs;
    FeedStats seen;
  };

  Series* Find(const std::string& name, bool feed);
  Pair* FindPair(const std::string& name, Series* series, const std::string& instance);
  void Count(const std::string& name, bool feed, const FeedStats& now);
  void TellHealth(const std::vector<FeedStats>& feeds);

  Metrics* const metrics_;
  HealthTree* const health_;
  std::map<std::string, Series> series_;  // By label "feed".
};

}  // namespace viaduct
