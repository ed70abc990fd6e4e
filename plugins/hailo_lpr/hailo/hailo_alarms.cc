#include "plugins/hailo_lpr/hailo/hailo_alarms.h"

#include <numeric>

#include "absl/strings/str_cat.h"

namespace viaduct::hailo_lpr {
namespace {

struct Kind {
  int32_t id;  // hailo_notification_id_t
  const char* words;
};
// Those below 13 have the same numbers in all releases.
constexpr Kind kKindsHeard[] = {{1, "a temperature alarm"},
                                {2, "that it has stopped to cool down"},
                                {3, "over-current"},
                                {5, "a memory error that it could not correct"},
                                {6, "a memory error of its CPU"},
                                {7, "a fatal memory error of its CPU"}};

void Count(hailort::Device /*chip*/, const void* /*notification*/, void* count) {
  ++*static_cast<std::atomic<uint32_t>*>(count);
}

}  // namespace

void HailoAlarms::Hear(const hailort::Functions& hailo, hailort::Device chip) {
  static_assert(sizeof(kKindsHeard) / sizeof(kKindsHeard[0]) == kKinds);
  for (size_t i = 0; i < kKinds; ++i) {
    counts_[i] = 0;
    // One that cannot be heard is missed, and nothing else.
    hailo.set_notification_callback(chip, Count, kKindsHeard[i].id, &counts_[i]);
  }
}

void HailoAlarms::Forget(const hailort::Functions& hailo, hailort::Device chip) {
  for (const Kind& kind : kKindsHeard) hailo.remove_notification_callback(chip, kind.id);
}

uint32_t HailoAlarms::count() const {
  return std::accumulate(
      counts_.begin(), counts_.end(), uint32_t{0},
      [](uint32_t all, const std::atomic<uint32_t>& one) { return all + one.load(); });
}

std::string HailoAlarms::Text() const {
  std::string text;
  for (size_t i = 0; i < kKinds; ++i) {
    const uint32_t count = counts_[i];
    if (count == 0) continue;
    absl::StrAppend(&text, text.empty() ? "" : "; ", kKindsHeard[i].words);
    if (count > 1) absl::StrAppend(&text, ", ", count, " times");
  }
  return text;
}

}  // namespace viaduct::hailo_lpr
