// Measures the round trip to the broker, for the host.
//
// MQTT's own PINGREQ is libmosquitto's affair and cannot be told from its keep-alive. What every
// broker answers as well is an UNSUBSCRIBE from what was never subscribed to: nothing is published,
// kept or passed on, and nobody needs a right for it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "plugins/common/delivery.h"

namespace viaduct::mqtt {

// Ask from any thread, the others on the session's thread.
class Prober {
 public:
  // Over one connection without an answer: a broker that leaves more is asked no further.
  static constexpr size_t kMaxUnanswered = 16;
  static constexpr uint64_t kAnswerBytes = 6;  // UNSUBACK, of MQTT 5, with one reason.

  // Of an UNSUBSCRIBE from one topic.
  static constexpr uint64_t RequestBytes(size_t topic_bytes) { return 7 + topic_bytes; }

  // Ends with one `done`, at `deadline_ns` at the latest; at once when the session has ended.
  // False: one is under way, there will be no `done`.
  bool Ask(int64_t deadline_ns, ProbeFn done);

  // Sends what was asked for and ends what is overdue; how long it can wait for the next turn.
  // `send` returns the id that OnAnswer will name, 0: not yet; it sends so many octets.
  absl::Duration OnTurn(int64_t now_ns, uint64_t bytes,
                        absl::FunctionRef<absl::StatusOr<int>()> send);
  void OnAnswer(int id, int64_t now_ns);
  // The session has ended, OK: it was stopped.
  void End(const absl::Status& why);

 private:
  void Finish(const absl::Status& status, absl::Duration round_trip = absl::ZeroDuration());

  absl::Mutex mutex_;
  ProbeFn done_ ABSL_GUARDED_BY(mutex_);  // null: nobody asks.
  int64_t deadline_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);  // Not OK: the session has.

  // Of the session's thread alone.
  int sent_id_ = 0;  // 0: not sent.
  int64_t sent_ns_ = 0;
  ProbeCost cost_;  // Of the one under way.
  size_t unanswered_ = 0;
};

}  // namespace viaduct::mqtt
