#include "core/plugin/call_watch.h"

#include <functional>
#include <thread>

namespace viaduct {

CallWatch::Call::Call(CallWatch* watch, const char* what, bool lent) {
  // Threads begin at different places, so that they do not wait for each other's cache lines.
  const size_t first = std::hash<std::thread::id>()(std::this_thread::get_id());
  for (size_t i = 0; i < kMaxCalls; ++i) {
    Place& place = watch->places_[(first + i) % kMaxCalls];
    uint64_t free = place.turns.load(std::memory_order_relaxed);
    if ((free & kInside) != 0) continue;
    const uint64_t inside = (free + kTurn) | (lent ? kLentThread : kOwnThread);
    if (!place.turns.compare_exchange_strong(free, inside, std::memory_order_acquire)) continue;
    place.what.store(what, std::memory_order_relaxed);
    place_ = &place.turns;
    turns_ = inside & ~kInside;
    return;
  }
}

CallWatch::Call::~Call() {
  if (place_ != nullptr) place_->store(turns_, std::memory_order_release);
}

CallWatch::Late CallWatch::Look(int64_t now_ns, int64_t limit_ns) {
  Late late;
  for (size_t i = 0; i < kMaxCalls; ++i) {
    const uint64_t turns = places_[i].turns.load(std::memory_order_acquire);
    LastLook& look = looks_[i];
    if (turns != look.turns) look = {turns, now_ns};
    if ((turns & kInside) == 0 || now_ns - look.since_ns < limit_ns) continue;
    const bool lent = (turns & kLentThread) != 0;
    if (!late || lent) late = {places_[i].what.load(std::memory_order_relaxed), lent};
  }
  return late;
}

}  // namespace viaduct
