// How an instance is, made of how its parts are.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace viaduct::hailo_lpr {

enum class Condition { kGood, kDoubtful, kBad };

// Thread-safe. Tells only what has changed, in order.
class ConditionBoard {
 public:
  enum Part : size_t { kSource, kModels, kPictures, kEvents, kParts };

  using Tell = std::function<void(Condition, const std::string& reason)>;
  explicit ConditionBoard(Tell tell) : tell_(std::move(tell)) {}

  void Set(Part part, Condition condition, std::string reason = {}) {
    absl::MutexLock lock(&mutex_);
    parts_[part] = {condition, std::move(reason)};
    const Entry* worst = &parts_[0];
    for (const Entry& one : parts_) {
      if (one.condition > worst->condition) worst = &one;
    }
    if (worst->condition == told_.condition && worst->reason == told_.reason) return;
    told_ = *worst;
    // The host's function neither waits nor calls back.
    tell_(told_.condition, told_.reason);
  }

 private:
  struct Entry {
    Condition condition = Condition::kGood;
    std::string reason;
  };

  const Tell tell_;
  absl::Mutex mutex_;
  std::array<Entry, kParts> parts_ ABSL_GUARDED_BY(mutex_);
  Entry told_ ABSL_GUARDED_BY(mutex_) = {Condition::kBad, ""};  // Nothing yet.
};

}  // namespace viaduct::hailo_lpr
