// How much of the backlog may be under way on a link at once, so that what is live does not wait
// behind it: LEDBAT (RFC 6817), which sends as fast as the road takes it, and no faster, by the
// delay that its own sending adds; with the slow-downs of LEDBAT++ (draft-irtf-iccrg-ledbat-plus-
// plus), in which the delay of the empty road is measured anew. The other end delays some for other
// reasons, and what is live delays it too: so never less than what keeps the road busy at the rate
// that it had of late, as BBR does (draft-cardwell-iccrg-bbr-congestion-control).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace viaduct {

// In octets and nanoseconds of monotonic time. Constant work and memory. Lives on one thread.
class BacklogWindow {
 public:
  // Octets that may be under way together, of whatever kind, for one more of the backlog to follow.
  // What was learned and not confirmed for two periods counts no more: it may be another road now.
  uint64_t bytes(int64_t now_ns) const;

  // Deliveries that were confirmed together: the slowest of them took so long, for a peer that
  // confirms in groups lets some wait and others not. `in_flight` were under way when they ended,
  // they included; `alone`: nothing was before one of them.
  void OnConfirmed(int64_t took_ns, uint64_t bytes, uint64_t in_flight, bool alone, int64_t now_ns);
  void OnFailed(int64_t now_ns);

  // What an empty road takes, as far as it is known; 0: it is not.
  int64_t base_ns() const;

 private:
  static constexpr size_t kMinutes = 10;
  static constexpr size_t kFiltered = 4;

  static int64_t PeriodNs(int64_t base_ns);
  bool Forgotten(int64_t now_ns) const;
  void NoteBase(int64_t took_ns, int64_t now_ns);
  int64_t Filter(int64_t took_ns);
  void SlowDown(bool alone, int64_t now_ns);
  void NoteRate(uint64_t bytes, int64_t now_ns);
  double Floor() const;

  static constexpr double kFirst = 64e3;

  double window_ = kFirst;
  std::array<int64_t, kMinutes> minima_{};  // Of the last minutes; 0: nothing was measured.
  int64_t minute_ = 0;
  std::array<int64_t, kFiltered> latest_{};
  size_t next_ = 0;
  // Octets a nanosecond: the best of this period and of the one before.
  std::array<double, 2> best_rates_{};
  int64_t confirmed_ns_ = 0;  // The last time; 0: never.
  int64_t period_ns_ = 0;     // When this one began.
  int64_t counted_ns_ = 0;    // Since when octets are counted.
  uint64_t counted_ = 0;
  int64_t shrunk_ns_ = 0;
  bool slow_ = false;
  int64_t slow_since_ns_ = 0;
  int64_t slowed_ns_ = 0;  // When the last slow-down ended.
};

}  // namespace viaduct
