// Where a worker waits for the answer that the host gives on another thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "plugins/rest/http_server.h"

namespace viaduct::rest {

// As many slots as there are workers. A token names a slot and its use, so that an answer which
// comes after its worker gave up is dropped. Thread-safe.
class AnswerSlots {
 public:
  explicit AnswerSlots(size_t count);

  // Takes a slot; nullopt when all are taken or Close was called.
  std::optional<uint64_t> Open();
  // Waits for the answer and gives the slot back. nullopt: none came in time, or Close was called.
  std::optional<HttpReply> Wait(uint64_t token, absl::Duration timeout);
  // Gives a slot back that no answer will come for.
  void Abandon(uint64_t token);
  // Delivers an answer. A token that nobody waits for is ignored.
  void Answer(uint64_t token, HttpReply reply);
  // Ends every wait, now and later.
  void Close();

 private:
  struct Slot {
    absl::Mutex mutex;
    uint64_t token ABSL_GUARDED_BY(mutex) = 0;  // 0: free.
    bool answered ABSL_GUARDED_BY(mutex) = false;
    HttpReply reply ABSL_GUARDED_BY(mutex);
  };
  Slot& SlotOf(uint64_t token) { return *slots_[token % slots_.size()]; }

  std::vector<std::unique_ptr<Slot>> slots_;
  absl::Mutex mutex_;
  std::vector<uint64_t> free_ ABSL_GUARDED_BY(mutex_);  // Next token of each free slot.
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace viaduct::rest
