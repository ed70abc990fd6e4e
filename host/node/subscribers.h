// Brings what the application publishes to the listeners whose peers have subscribed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/executor.h"
#include "core/gateway/link.h"
#include "core/lpr/publisher.h"
#include "core/observe/log.h"

namespace viaduct {

// An event lives in memory only and goes to whoever is there: what a listener does not take in time
// is dropped for that listener alone and counted. Whoever of a room sees plates masked is in its
// MaskedRoom and gets it so. Thread-safe.
class Subscribers final : public Publisher {
 public:
  static constexpr size_t kMaxQueuedEvents = 8192;  // Of one listener.
  static constexpr size_t kMaxQueuedBytes = 32u << 20;
  static constexpr size_t kBatch = 128;

  // `has_room` says whether somebody is in a room. The log outlives the subscribers.
  Subscribers(std::function<bool(std::string_view)> has_room, Log* log);
  ~Subscribers() override;

  // These are the listeners from now on.
  void Sync(const std::vector<std::shared_ptr<Link>>& listeners);
  // Lets go of every listener; nothing is brought to any afterwards.
  void Stop();

  bool Wanted(std::string_view room) const override;
  void Publish(const Publication& publication) override;

  uint64_t dropped() const;

 private:
  struct Event {
    std::string name;
    std::string route;
    std::string body;
  };
  using EventPtr = std::shared_ptr<const Event>;
  struct Listener;
  using ListenerPtr = std::shared_ptr<Listener>;

  void PublishTo(const Publication& publication);
  void Enqueue(const ListenerPtr& listener, const EventPtr& event);
  void Wake(const ListenerPtr& listener);
  void Flush(const ListenerPtr& listener);
  bool FlushSome(const ListenerPtr& listener);

  const std::function<bool(std::string_view)> has_room_;
  Log* const log_;
  mutable absl::Mutex mutex_;
  std::vector<ListenerPtr> listeners_ ABSL_GUARDED_BY(mutex_);
  uint64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  ThreadPool pool_;  // Last: its thread uses the rest.
};

}  // namespace viaduct
