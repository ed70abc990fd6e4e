// What a Hailo reports by itself: HailoRT's notifications.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "plugins/hailo_lpr/hailo/hailort_abi.h"

namespace viaduct::hailo_lpr {

// Thread-safe: HailoRT tells them on a thread of its own, which never waits here. Only their
// numbers are used, which no release has changed; what else HailoRT tells is laid out differently
// from release to release.
class HailoAlarms {
 public:
  // From now on what `chip` reports is heard. It must outlive the device, or Forget.
  void Hear(const hailort::Functions& hailo, hailort::Device chip);
  // To be called before the device is released; what was heard stays.
  static void Forget(const hailort::Functions& hailo, hailort::Device chip);

  // So many since Hear.
  uint32_t count() const;
  // "over-current, 2 times; a fatal memory error of its CPU": since Hear. "": none.
  std::string Text() const;

 private:
  static constexpr size_t kKinds = 6;

  std::array<std::atomic<uint32_t>, kKinds> counts_{};
};

}  // namespace viaduct::hailo_lpr
