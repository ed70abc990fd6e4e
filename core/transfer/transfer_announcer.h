// Tells the server of files, in their order: few at a time, and not at all for a while where
// nobody takes what it is told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/transfer/transfer_queue.h"

namespace viaduct {

// Lives on the engine's thread.
class TransferAnnouncer {
 public:
  static constexpr size_t kMaxUnderWay = 64;  // Words that have no answer yet.
  static constexpr size_t kMaxInTurn = 256;  // Words that one turn begins, answered at once or not.
  // After a refusal for want of room: nobody is told of anything.
  static constexpr absl::Duration kPause = absl::Seconds(1);
  // A file of which nobody can be told: the others go before.
  static constexpr absl::Duration kRefusedDelay = absl::Seconds(30);

  // Tells, durably, and then says so, on any thread.
  using TellFn = std::function<void(const Transfer&, std::function<void(absl::Status)> told)>;
  // Of which file, and its how manieth telling.
  struct Word {
    int64_t sequence = 0;
    std::string id;
    uint32_t tellings = 0;
  };
  // It was answered, on any thread; whoever made this calls OnTold for it, on the engine's.
  using AnsweredFn = std::function<void(const Word& word, absl::Status told)>;

  // All outlive it. `tell` may be null: nobody is told of anything.
  TransferAnnouncer(const TransferQueue* queue, const Clock* clock, TellFn tell,
                    AnsweredFn answered)
      : queue_(queue), clock_(clock), tell_(std::move(tell)), answered_(std::move(answered)) {}

  // The server is to be told of it.
  void Add(int64_t sequence);
  // Begins what is due. Returns when it has more to do without an answer, TransferScheduler::kNever
  // for never.
  int64_t Turn();
  void OnTold(int64_t sequence, const absl::Status& told);

  size_t waiting() const { return waiting_.size(); }

 private:
  using Key = std::pair<int64_t, int64_t>;  // Not before; sequence.

  void Tell(int64_t sequence, int64_t now_ns);

  const TransferQueue* const queue_;
  const Clock* const clock_;
  const TellFn tell_;
  const AnsweredFn answered_;
  std::set<Key> waiting_;
  absl::flat_hash_set<int64_t> known_;  // What is in waiting_.
  size_t under_way_ = 0;
  int64_t paused_until_ns_ = 0;
};

}  // namespace viaduct
