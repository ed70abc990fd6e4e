// What the node's spool looks like in health and metrics.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/base/clock.h"
#include "core/observe/health_tree.h"
#include "core/observe/metrics.h"
#include "core/spool/spool.h"

namespace viaduct {

// Thread-compatible.
class SpoolMonitor {
 public:
  // What was dropped or refused by the spool's own bounds degrades the health for so long.
  static constexpr int64_t kLossMemoryNs = 300'000'000'000;

  // All outlive it. Counters begin with the process: `info` is what was before it.
  SpoolMonitor(Metrics* metrics, HealthTree* health, const Clock* clock, const SpoolInfo& info);

  void Look(const SpoolInfo& info);

 private:
  // A total of the spool outlives the process.
  struct Counted {
    MetricNumber number = 0;
    uint64_t SpoolInfo::*total = nullptr;
    uint64_t seen = 0;
  };
  struct Losses {
    uint64_t dropped = 0;
    uint64_t dead_letters = 0;
    uint64_t refused = 0;

    uint64_t all() const { return dropped + dead_letters + refused; }
  };

  void Count(const SpoolInfo& info);
  Losses LatelyLost(const SpoolInfo& info);
  void TellHealth(const SpoolInfo& info);

  Metrics* const metrics_;
  HealthTree* const health_;
  const Clock* const clock_;
  MetricNumber messages_ = 0;
  MetricNumber bytes_ = 0;
  MetricNumber oldest_ = 0;
  std::vector<Counted> totals_;
  std::array<MetricNumber, kSpoolDrops> dropped_{};
  std::array<MetricNumber, kSpoolRefusals> refused_{};
  std::array<uint64_t, kSpoolDrops> dropped_seen_{};
  std::array<uint64_t, kSpoolRefusals> refused_seen_{};
  Losses before_;  // What is not told any more.
  Losses last_;
  int64_t last_loss_ns_ = 0;
};

}  // namespace viaduct
