#include "core/gateway/backlog_window.h"

#include <algorithm>

namespace viaduct {
namespace {

constexpr int64_t kNanosPerMilli = 1'000'000;
constexpr int64_t kNanosPerSecond = 1'000 * kNanosPerMilli;
constexpr int64_t kMinuteNs = 60 * kNanosPerSecond;
// The delay that may be added: half of the empty road's, and so much.
constexpr int64_t kTargetNs = kNanosPerMilli / 2;
constexpr double kGain = 0.25;  // Of what was confirmed, the window grows by at most.
constexpr double kLeast = 16e3;
constexpr double kMost = 16e6;
// A slow-down this often, and not more often than so many times of the empty road.
constexpr int64_t kSlowDownNs = 10 * kNanosPerSecond;
constexpr int64_t kSlowDownTimes = 40;
constexpr int64_t kSlowestTimes = 4;
// A rate is that of at least so long and so many times of the empty road; it is known for one to
// two periods.
constexpr int64_t kRateNs = 200 * kNanosPerMilli;
constexpr int64_t kRateTimes = 2;
constexpr int64_t kPeriodNs = 5 * kNanosPerSecond;
constexpr int64_t kPeriodTimes = 20;

}  // namespace

int64_t BacklogWindow::base_ns() const {
  int64_t base = 0;
  for (const int64_t minimum : minima_) {
    if (minimum > 0 && (base == 0 || minimum < base)) base = minimum;
  }
  return base;
}

// What is under way may be lost, and nothing be confirmed that ends a slow-down.
uint64_t BacklogWindow::bytes(int64_t now_ns) const {
  if (Forgotten(now_ns)) return static_cast<uint64_t>(std::min(window_, kFirst));
  const bool slow = slow_ && now_ns - slow_since_ns_ < 2 * kSlowestTimes * base_ns();
  return slow ? 0 : static_cast<uint64_t>(window_);
}

int64_t BacklogWindow::PeriodNs(int64_t base_ns) {
  return std::max(kPeriodNs, kPeriodTimes * base_ns);
}

bool BacklogWindow::Forgotten(int64_t now_ns) const {
  return confirmed_ns_ > 0 && now_ns - confirmed_ns_ >= 2 * PeriodNs(base_ns());
}

void BacklogWindow::NoteBase(int64_t took_ns, int64_t now_ns) {
  const int64_t minute = now_ns / kMinuteNs;
  if (minute - minute_ >= static_cast<int64_t>(kMinutes)) minima_.fill(0);
  for (; minute_ < minute && minute - minute_ < static_cast<int64_t>(kMinutes); ++minute_) {
    minima_[static_cast<size_t>(minute_ + 1) % kMinutes] = 0;
  }
  minute_ = minute;
  int64_t& minimum = minima_[static_cast<size_t>(minute) % kMinutes];
  if (minimum == 0 || took_ns < minimum) minimum = std::max<int64_t>(took_ns, 1);
}

// The least of the last few: one that waited for something else says nothing of the road.
int64_t BacklogWindow::Filter(int64_t took_ns) {
  latest_[next_] = took_ns;
  next_ = (next_ + 1) % kFiltered;
  int64_t least = took_ns;
  for (const int64_t one : latest_) least = one > 0 ? std::min(least, one) : least;
  return least;
}

void BacklogWindow::NoteRate(uint64_t bytes, int64_t now_ns) {
  const int64_t base = base_ns();
  counted_ += bytes;
  const int64_t passed = now_ns - counted_ns_;
  if (passed < std::max(kRateNs, kRateTimes * base)) return;
  best_rates_[0] =
      std::max(best_rates_[0], static_cast<double>(counted_) / static_cast<double>(passed));
  counted_ = 0;
  counted_ns_ = now_ns;
  if (now_ns - period_ns_ < PeriodNs(base)) return;
  best_rates_ = {0, best_rates_[0]};
  period_ns_ = now_ns;
}

double BacklogWindow::Floor() const {
  return std::max(best_rates_[0], best_rates_[1]) * static_cast<double>(base_ns() + kTargetNs);
}

void BacklogWindow::OnConfirmed(int64_t took_ns, uint64_t bytes, uint64_t in_flight, bool alone,
                                int64_t now_ns) {
  if (Forgotten(now_ns)) *this = BacklogWindow();
  confirmed_ns_ = now_ns;
  NoteBase(took_ns, now_ns);
  NoteRate(bytes, now_ns);
  const int64_t base = base_ns();
  const int64_t target = base / 2 + kTargetNs;
  const int64_t added = Filter(took_ns) - base;
  const double off =
      std::clamp(static_cast<double>(target - added) / static_cast<double>(target), -1.0, 1.0);
  const bool used = static_cast<double>(in_flight) * 2 >= window_;
  if (!slow_ && (off < 0 || used)) {
    // A window's worth of confirmations changes it by the gain, whatever its size.
    window_ += kGain * off * std::min(static_cast<double>(bytes), window_);
    window_ = std::clamp(std::max(window_, Floor()), kLeast, kMost);
  }
  if (used || slow_) SlowDown(alone, now_ns);
}

// The road is left to empty itself until something was alone on it.
void BacklogWindow::SlowDown(bool alone, int64_t now_ns) {
  const int64_t base = base_ns();
  if (!slow_) {
    if (slowed_ns_ == 0) slowed_ns_ = now_ns;
    slow_ = now_ns - slowed_ns_ >= std::max(kSlowDownNs, kSlowDownTimes * base);
    slow_since_ns_ = now_ns;
    return;
  }
  if (!alone && now_ns - slow_since_ns_ < kSlowestTimes * base) return;
  slow_ = false;
  slowed_ns_ = now_ns;
  window_ = std::max(window_ / 2, kLeast);  // Not all at once: the road is empty.
}

void BacklogWindow::OnFailed(int64_t now_ns) {
  if (now_ns - shrunk_ns_ < std::max(base_ns(), kTargetNs)) return;  // Of the same trouble.
  shrunk_ns_ = now_ns;
  window_ = std::max(window_ / 2, kLeast);
}

}  // namespace viaduct
