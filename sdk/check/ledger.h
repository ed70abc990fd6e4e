// Who owes an ending to what: every taken item ends exactly once.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace viaduct::check {

// Thread-safe.
class Ledger {
 public:
  struct Item {
    bool taken = false;  // Offered only, until the plugin has said what it took.
    bool ended = false;
    uint32_t outcome = 0;
  };

  // Before the call: an ending may overtake its answer.
  void Offer(uint64_t token);
  void Take(uint64_t token);
  // It was not taken. Why that can not be, or "".
  std::string Refuse(uint64_t token);
  // Why this ending is against the rules, or "".
  std::string End(uint64_t token, uint32_t outcome);

  // False when something is still open at the deadline.
  bool AwaitAllEnded(std::chrono::milliseconds limit);
  size_t open() const;   // Taken and not ended.
  size_t ended() const;  // In all.
  size_t ended_as(uint32_t outcome) const;
  uint64_t first_open() const;

 private:
  size_t OpenLocked() const;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint64_t, Item> items_;
};

}  // namespace viaduct::check
