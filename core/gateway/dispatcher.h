// Moves messages from the outbox to the links and their outcomes back: one thread that sleeps until
// a message is accepted, a link has room, a completion arrives or a deadline passes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/random/random.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "core/base/clock.h"
#include "core/base/waker.h"
#include "core/gateway/dispatch_core.h"
#include "core/gateway/link.h"
#include "core/gateway/outbox.h"
#include "core/gateway/selector.h"
#include "core/observe/log.h"

namespace viaduct {

// Thread-safe. No message is lost in any order of events: what is claimed is confirmed, retried,
// rejected, expired or given back, exactly once.
class Dispatcher {
 public:
  // All must outlive the dispatcher; the selector is used on its thread only.
  Dispatcher(const DispatcherOptions& options, Outbox* outbox, std::unique_ptr<Selector> selector,
             Clock* clock, Log* log);
  ~Dispatcher();  // Stop(zero).

  // Adds a link behind those that are there. It must outlive its membership. RESOURCE_EXHAUSTED
  // when there are kMaxLinks; FAILED_PRECONDITION when stopped.
  absl::StatusOr<LinkId> AddLink(Link* link, LinkTraits traits = LinkTraits());
  // Brings the links into the order of `ids`; those it does not name stay behind.
  void SetOrder(const std::vector<LinkId>& ids);
  // When it returns the link is not used any more; what it had in flight goes another way. Unknown
  // ids are ignored. Not from a handler of the link.
  void RemoveLink(LinkId id);

  // From the next message on this one chooses.
  void SetSelector(std::unique_ptr<Selector> selector);
  // A probe of the link ended. Does not block; unknown ids are ignored.
  void NoteProbe(LinkId id, bool answered, absl::Duration round_trip, uint64_t bytes);
  // What would become of such a message now, and why; empty when stopped.
  Explanation Explain(const SelectorMessage& message);

  // The last switches, the oldest first, and how many there were in all.
  std::vector<LinkSwitch> Switches(uint64_t* total) const;

  // Delivers nothing new, waits up to `grace` for what is in flight, gives the rest back to the
  // outbox, lets go of all links and ends the thread. True: nothing had to be given back.
  // Idempotent.
  bool Stop(absl::Duration grace);

  std::vector<LinkStats> Stats() const;  // In configured order.
  size_t in_flight() const;

 private:
  struct Arrival {
    LinkId link = 0;
    Completion completion;
  };
  struct Member {
    LinkId id = 0;
    Link* link = nullptr;
    std::string name;
    bool metered = false;
    std::shared_ptr<LinkCounters> counters;
  };

  void Run();
  void OnComplete(LinkId id, absl::Span<const Completion> completions);
  void OnReady(LinkId id);
  bool HandleEvents();
  void DeliverArrivals(std::vector<Arrival>* arrivals);
  void NoteSwitches();
  // Runs on the dispatcher's thread; false when stopped.
  bool RunOnThread(std::function<void()> work);

  Clock* const clock_;
  Log* const log_;
  Outbox* const outbox_;
  std::unique_ptr<Selector> selector_;  // Lives on the thread.
  absl::BitGen random_;
  DispatchCore core_;  // Lives on the thread.
  Waker waker_;

  mutable absl::Mutex mutex_;
  std::vector<Arrival> arrivals_ ABSL_GUARDED_BY(mutex_);
  std::vector<LinkId> ready_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::function<void()>> work_ ABSL_GUARDED_BY(mutex_);
  std::vector<Member> members_ ABSL_GUARDED_BY(mutex_);
  LinkId next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t stop_at_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t overrun_ ABSL_GUARDED_BY(mutex_) = 0;  // Completions dropped: a plugin floods.
  bool clean_ ABSL_GUARDED_BY(mutex_) = true;

  std::deque<LinkSwitch> switches_ ABSL_GUARDED_BY(mutex_);
  uint64_t switched_ ABSL_GUARDED_BY(mutex_) = 0;

  std::vector<Arrival> batch_;           // Swapped with arrivals_; lives on the thread.
  std::vector<Completion> completions_;  // Lives on the thread.
  absl::Mutex stop_mutex_;               // Serializes Stop.
  std::thread thread_;
};

}  // namespace viaduct
