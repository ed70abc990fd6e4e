// Runs each task at once, on the thread that hands it over, and counts them.
#pragma once

#include <atomic>

#include "core/base/executor.h"

namespace viaduct {

class CountingExecutor final : public Executor {
 public:
  bool Submit(Task task) override {
    task();
    ++count;
    return true;
  }
  std::atomic<int> count{0};
};

}  // namespace viaduct
