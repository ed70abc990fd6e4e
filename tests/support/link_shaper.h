// One direction of an emulated link: packets go in, and come out when a road of these settings
// would have brought them, or never. It sends them one after the other at the rate; what has to
// wait stands in a bounded queue; what was sent is lost by chance, or arrives after the delay.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "tests/support/link_settings.h"

namespace viaduct::support {

// Waiting and on their way, of one direction: bounds memory whatever the settings. What is over a
// bound is dropped and counted as dropped by the queue.
inline constexpr size_t kMaxShaperPackets = 65'536;
inline constexpr size_t kMaxFlyingBytes = 16u << 20;

struct PacketCount {
  uint64_t packets = 0;
  uint64_t bytes = 0;
  void Add(size_t size) {
    ++packets;
    bytes += size;
  }
};

struct ShaperCounts {
  PacketCount passed;
  PacketCount lost;           // By chance.
  PacketCount queue_dropped;  // There was no room.
  PacketCount cut;            // Came to, waited for or were on a road that was cut.
};

// Times are nanoseconds of any monotonic clock and must not go back. Thread-compatible.
class LinkShaper {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  // The same seed, settings, sizes and times give the same fate to every packet.
  explicit LinkShaper(uint64_t seed) : random_(seed) {}

  // From now on. What is on its way arrives when it would have; what waits is sent at the new rate.
  void Set(int64_t now, const ShaperSettings& settings);
  // Drops everything silently, also what is on its way.
  void Cut();
  void Heal() { is_cut_ = false; }

  void Push(int64_t now, std::string packet);
  // The next one that has arrived by `now`, in the order of arrival; false: none.
  bool Pop(int64_t now, std::string* packet);
  // When to look again; kNever: nothing is here.
  int64_t NextWake() const;

  const ShaperSettings& settings() const { return settings_; }
  const ShaperCounts& counts() const { return counts_; }
  bool is_cut() const { return is_cut_; }
  size_t waiting_bytes() const { return waiting_bytes_; }
  size_t flying_bytes() const { return flying_bytes_; }

 private:
  void Advance(int64_t now);
  void Fly(int64_t sent, std::string packet);
  int64_t SendNanos(size_t bytes) const;
  double Chance();  // Uniform in [0, 1).

  ShaperSettings settings_;
  bool is_cut_ = false;
  std::mt19937_64 random_;
  // The first one is being sent until sent_at_.
  std::deque<std::string> waiting_;
  size_t waiting_bytes_ = 0;
  int64_t sent_at_ = 0;
  // By arrival, then in the order of sending.
  std::map<std::pair<int64_t, uint64_t>, std::string> flying_;
  size_t flying_bytes_ = 0;
  int64_t last_arrival_ = 0;
  uint64_t flown_ = 0;
  ShaperCounts counts_;
};

}  // namespace viaduct::support
