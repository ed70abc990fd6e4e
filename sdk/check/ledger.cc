#include "ledger.h"

#include <algorithm>

#include "viaduct/abi/base.h"

namespace viaduct::check {

void Ledger::Offer(uint64_t token) {
  const std::lock_guard<std::mutex> lock(mutex_);
  items_[token] = Item();
}

void Ledger::Take(uint64_t token) {
  const std::lock_guard<std::mutex> lock(mutex_);
  items_[token].taken = true;
  changed_.notify_all();
}

std::string Ledger::Refuse(uint64_t token) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Item item = items_[token];
  items_.erase(token);
  changed_.notify_all();
  return item.ended ? "ended " + std::to_string(token) + ", which it did not take" : std::string();
}

std::string Ledger::End(uint64_t token, uint32_t outcome) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = items_.find(token);
  const std::string name = "token " + std::to_string(token);
  if (found == items_.end()) return "ended " + name + ", which it does not hold";
  if (found->second.ended) return "ended " + name + " twice";
  if (outcome < VD_OUTCOME_DURABLE || outcome > VD_OUTCOME_CANCELLED) {
    return "ended " + name + " with the unknown outcome " + std::to_string(outcome);
  }
  found->second.ended = true;
  found->second.outcome = outcome;
  changed_.notify_all();
  return {};
}

size_t Ledger::OpenLocked() const {
  return static_cast<size_t>(std::count_if(items_.begin(), items_.end(), [](const auto& entry) {
    return entry.second.taken && !entry.second.ended;
  }));
}

bool Ledger::AwaitAllEnded(std::chrono::milliseconds limit) {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, limit, [this] { return OpenLocked() == 0; });
}

size_t Ledger::open() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return OpenLocked();
}

size_t Ledger::ended() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<size_t>(std::count_if(items_.begin(), items_.end(),
                                           [](const auto& entry) { return entry.second.ended; }));
}

size_t Ledger::ended_as(uint32_t outcome) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<size_t>(
      std::count_if(items_.begin(), items_.end(), [outcome](const auto& entry) {
        return entry.second.ended && entry.second.outcome == outcome;
      }));
}

uint64_t Ledger::first_open() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [token, item] : items_) {
    if (item.taken && !item.ended) return token;
  }
  return 0;
}

}  // namespace viaduct::check
