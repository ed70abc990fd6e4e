// What was answered to commands of late, so that one which comes twice has one effect.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "core/message/exchange.h"

namespace viaduct {

// A broker gives a command again that it could not see acknowledged. Of this life of the process
// alone. Thread-safe.
class CommandMemory {
 public:
  static constexpr size_t kMaxCommands = 128;  // Then the oldest is forgotten.
  static constexpr size_t kMaxAnswerBytes = 32u << 10;
  static constexpr size_t kMaxWaiting = 4;  // For the answer to one command.

  // The reply to use for a command that is new. Nothing where it is known: `reply` gets the answer
  // of the first, now or when there is one.
  ReplyFn Enter(const std::string& key, ReplyFn reply);

 private:
  struct Known {
    bool answered = false;
    CallReply answer;
    std::vector<ReplyFn> waiting;
  };
  using KnownPtr = std::shared_ptr<Known>;  // Of the memory and of the reply that ends it.

  void End(const std::string& key, const KnownPtr& known, const CallReply& answer);

  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, KnownPtr> known_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> order_ ABSL_GUARDED_BY(mutex_);  // Of known_, the oldest first.
};

}  // namespace viaduct
