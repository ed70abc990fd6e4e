// The threads of the control plane, by how long what they do may take: who waits for an instance
// keeps nobody waiting who does not.
#pragma once

#include <algorithm>
#include <cstddef>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/executor.h"

namespace viaduct {

// Thread-safe. A pool that is never asked has no thread.
struct ControlPools {
  static constexpr int kReaders = 4;
  static constexpr int kCommands = 4;
  static constexpr int kDrains = 2;  // One more may wait.
  static constexpr size_t kMaxPrivacy = 4;
  static constexpr size_t kMaxBackups = 2;
  static constexpr size_t kMaxReads = 64;
  static constexpr size_t kMaxChanges = 16;
  static constexpr size_t kMaxCommands = 32;
  static constexpr int kAuth = 2;  // Each may hold what a password costs.
  static constexpr size_t kMaxAuth = 8;

  ThreadPool reads{{"control", kReaders, kMaxReads}};          // Bounded by disk and processor.
  ThreadPool changes{{"changes", 1, kMaxChanges}};             // Of the configuration, in order.
  ThreadPool commands{{"commands", kCommands, kMaxCommands}};  // Wait for instances and plugins.
  ThreadPool drains{{"drains", kDrains, 1}};                   // Take as long as a caller likes.
  ThreadPool auth{{"auth", kAuth, kMaxAuth}};                  // Passwords and the audit.
  ThreadPool privacy{{"privacy", 1, kMaxPrivacy}};             // Looks through all that is stored.
  ThreadPool backup{{"backup", 1, kMaxBackups}};               // Copies all that is kept.
  ThreadPool keeper{{"keeper"}};  // What the node must do by itself, see ConfigControl.

  // Returns the number of threads that did not come back within `limit`.
  int Stop(absl::Duration limit) {
    const absl::Time deadline = absl::Now() + limit;
    int abandoned = 0;
    for (ThreadPool* pool :
         {&reads, &changes, &commands, &drains, &auth, &privacy, &backup, &keeper}) {
      abandoned += pool->Stop(std::max(deadline - absl::Now(), absl::ZeroDuration()));
    }
    return abandoned;
  }
};

}  // namespace viaduct
