#include "host/node/error_window.h"

namespace viaduct {

void ErrorWindow::Add(uint64_t confirmed, uint64_t failed, absl::Duration window, int64_t now_ns) {
  const int64_t window_ns = absl::ToInt64Nanoseconds(window);
  if (confirmed < now_.confirmed || failed < now_.failed) samples_.clear();
  now_ = {now_ns, confirmed, failed};
  const int64_t step_ns = window_ns / static_cast<int64_t>(kSamples);
  if (samples_.empty() || now_ns - samples_.back().at_ns >= step_ns) samples_.push_back(now_);
  // The one before the window is its beginning.
  while (samples_.size() > 1 && now_ns - samples_[1].at_ns >= window_ns) samples_.pop_front();
}

uint64_t ErrorWindow::Confirmed() const {
  return samples_.empty() ? 0 : now_.confirmed - samples_.front().confirmed;
}

std::optional<double> ErrorWindow::Share(uint64_t min) const {
  if (samples_.empty()) return std::nullopt;
  const uint64_t confirmed = now_.confirmed - samples_.front().confirmed;
  const uint64_t failed = now_.failed - samples_.front().failed;
  if (confirmed + failed < min || confirmed + failed == 0) return std::nullopt;
  return static_cast<double>(failed) / static_cast<double>(confirmed + failed);
}

}  // namespace viaduct
