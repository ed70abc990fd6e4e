// An instance's counters while they are counted.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/plugin/instance.h"

namespace viaduct {

// Shared by all incarnations of one instance. Thread-safe; relaxed, since no decision hangs on it.
class Counters {
 public:
  using Number = std::atomic<uint64_t>;
  static void Add(Number* number, uint64_t n) {
    if (n != 0) number->fetch_add(n, std::memory_order_relaxed);
  }

  InstanceCounters Snapshot() const {
    InstanceCounters c;
    c.delivered = delivered.load(std::memory_order_relaxed);
    c.durable = outcomes[0].load(std::memory_order_relaxed);
    c.retried = outcomes[1].load(std::memory_order_relaxed);
    c.rejected = outcomes[2].load(std::memory_order_relaxed);
    c.expired = outcomes[3].load(std::memory_order_relaxed);
    c.cancelled = outcomes[4].load(std::memory_order_relaxed);
    c.delivered_bytes = delivered_bytes.load(std::memory_order_relaxed);
    c.submitted = submitted.load(std::memory_order_relaxed);
    c.calls = calls.load(std::memory_order_relaxed);
    c.refused = refused.load(std::memory_order_relaxed);
    c.unknown_tokens = unknown_tokens.load(std::memory_order_relaxed);
    c.exceptions = exceptions.load(std::memory_order_relaxed);
    c.quarantined = quarantined.load(std::memory_order_relaxed);
    c.starts = starts.load(std::memory_order_relaxed);
    return c;
  }

  Number delivered{0};
  Number outcomes[5] = {};  // By Outcome.
  Number delivered_bytes{0};
  Number submitted{0};
  Number calls{0};
  Number refused{0};
  Number unknown_tokens{0};
  Number exceptions{0};
  Number quarantined{0};
  Number starts{0};
};

}  // namespace viaduct
