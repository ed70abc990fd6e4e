#include "tests/support/link_shaper.h"

#include <algorithm>
#include <cmath>

namespace viaduct::support {
namespace {

constexpr double kNanosPerMilli = 1e6;

}  // namespace

int64_t LinkShaper::SendNanos(size_t bytes) const {
  if (settings_.rate_kbit == 0) return 0;
  return std::llround(static_cast<double>(bytes) * 8 * kNanosPerMilli / settings_.rate_kbit);
}

// Not std::uniform_real_distribution, whose numbers are each library's own.
double LinkShaper::Chance() { return static_cast<double>(random_() >> 11) * 0x1.0p-53; }

void LinkShaper::Set(int64_t now, const ShaperSettings& settings) {
  Advance(now);
  const double old_rate = settings_.rate_kbit;
  settings_ = settings;
  if (waiting_.empty()) return;
  // What is left of the packet that is being sent.
  const double left = static_cast<double>(sent_at_ - now) * old_rate;
  sent_at_ = now + (settings_.rate_kbit == 0 ? 0 : std::llround(left / settings_.rate_kbit));
}

void LinkShaper::Cut() {
  is_cut_ = true;
  for (const std::string& packet : waiting_) counts_.cut.Add(packet.size());
  for (const auto& [arrival, packet] : flying_) counts_.cut.Add(packet.size());
  waiting_.clear();
  flying_.clear();
  waiting_bytes_ = flying_bytes_ = 0;
  last_arrival_ = 0;
}

void LinkShaper::Push(int64_t now, std::string packet) {
  if (is_cut_) return counts_.cut.Add(packet.size());
  Advance(now);
  const size_t size = packet.size();
  if (waiting_bytes_ + size > static_cast<size_t>(settings_.queue_bytes) ||
      waiting_.size() + flying_.size() >= kMaxShaperPackets) {
    return counts_.queue_dropped.Add(size);
  }
  if (waiting_.empty()) sent_at_ = now + SendNanos(size);
  waiting_.push_back(std::move(packet));
  waiting_bytes_ += size;
  Advance(now);
}

void LinkShaper::Advance(int64_t now) {
  while (!waiting_.empty() && sent_at_ <= now) {
    std::string packet = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_bytes_ -= packet.size();
    Fly(sent_at_, std::move(packet));
    if (!waiting_.empty()) sent_at_ += SendNanos(waiting_.front().size());
  }
}

void LinkShaper::Fly(int64_t sent, std::string packet) {
  // Both are drawn for every packet, so that one setting does not change the fate of another.
  const bool is_lost = Chance() * 100 < settings_.loss_percent;
  const double jitter = (2 * Chance() - 1) * settings_.jitter_ms;
  if (is_lost) return counts_.lost.Add(packet.size());
  if (flying_bytes_ + packet.size() > kMaxFlyingBytes) {
    return counts_.queue_dropped.Add(packet.size());
  }
  const double delay_ms = std::max(0.0, settings_.delay_ms + jitter);
  int64_t arrival = sent + std::llround(delay_ms * kNanosPerMilli);
  if (!settings_.reorder) arrival = std::max(arrival, last_arrival_);
  last_arrival_ = std::max(arrival, last_arrival_);
  flying_bytes_ += packet.size();
  flying_.emplace(std::make_pair(arrival, ++flown_), std::move(packet));
}

bool LinkShaper::Pop(int64_t now, std::string* packet) {
  Advance(now);
  if (flying_.empty() || flying_.begin()->first.first > now) return false;
  *packet = std::move(flying_.begin()->second);
  flying_.erase(flying_.begin());
  flying_bytes_ -= packet->size();
  counts_.passed.Add(packet->size());
  return true;
}

int64_t LinkShaper::NextWake() const {
  int64_t wake = kNever;
  if (!waiting_.empty()) wake = sent_at_;
  if (!flying_.empty()) wake = std::min(wake, flying_.begin()->first.first);
  return wake;
}

}  // namespace viaduct::support
