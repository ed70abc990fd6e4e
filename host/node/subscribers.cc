#include "host/node/subscribers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/lpr/masking.h"

namespace viaduct {

// Thread-safe: its members are guarded by the mutex of the subscribers.
struct Subscribers::Listener {
  explicit Listener(std::shared_ptr<Link> way) : link(std::move(way)) {}
  const std::shared_ptr<Link> link;
  std::deque<EventPtr> queue;
  size_t bytes = 0;
  uint64_t next_token = 1;
  bool flushing = false;  // Somebody is in Flush or on the way there.
  bool again = false;     // It has become ready meanwhile.
};

Subscribers::Subscribers(std::function<bool(std::string_view)> has_room, Log* log)
    : has_room_(std::move(has_room)), log_(log), pool_(ThreadPool::Options{"publish", 1, 4096}) {}

Subscribers::~Subscribers() { Stop(); }

void Subscribers::Sync(const std::vector<std::shared_ptr<Link>>& listeners) {
  std::vector<std::shared_ptr<Link>> gone;
  std::vector<ListenerPtr> fresh;
  {
    absl::MutexLock lock(&mutex_);
    const auto first_gone =
        std::stable_partition(listeners_.begin(), listeners_.end(), [&](const ListenerPtr& known) {
          return std::find(listeners.begin(), listeners.end(), known->link) != listeners.end();
        });
    for (auto it = first_gone; it != listeners_.end(); ++it) gone.push_back((*it)->link);
    listeners_.erase(first_gone, listeners_.end());
    for (const std::shared_ptr<Link>& link : listeners) {
      const bool known = std::any_of(listeners_.begin(), listeners_.end(),
                                     [&](const ListenerPtr& it) { return it->link == link; });
      if (known) continue;
      listeners_.push_back(std::make_shared<Listener>(link));
      fresh.push_back(listeners_.back());
    }
  }
  for (const std::shared_ptr<Link>& link : gone) link->SetHandlers(nullptr, nullptr);
  for (const ListenerPtr& listener : fresh) {
    // How an event ended is of no use: it is gone either way.
    listener->link->SetHandlers([](absl::Span<const Completion>) {},
                                [this, weak = std::weak_ptr<Listener>(listener)] {
                                  if (const ListenerPtr live = weak.lock()) Wake(live);
                                });
  }
}

void Subscribers::Stop() {
  Sync({});
  pool_.Stop();
}

bool Subscribers::Wanted(std::string_view room) const {
  {
    absl::MutexLock lock(&mutex_);
    if (listeners_.empty()) return false;
  }
  return has_room_(room) || has_room_(MaskedRoom(room));
}

void Subscribers::Publish(const Publication& publication) {
  PublishTo(publication);
  const std::string masked = MaskedRoom(publication.room);
  if (!has_room_(masked)) return;
  const std::string body = PlateMask::MaskJson(publication.body);
  PublishTo(Publication{publication.event, masked, body});
}

void Subscribers::PublishTo(const Publication& publication) {
  const auto event = std::make_shared<const Event>(
      Event{std::string(publication.event), absl::StrCat("room:", AbslView(publication.room)),
            std::string(publication.body)});
  std::vector<ListenerPtr> listeners;
  {
    absl::MutexLock lock(&mutex_);
    listeners = listeners_;
  }
  for (const ListenerPtr& listener : listeners) {
    if (listener->link->ready()) Enqueue(listener, event);
  }
}

void Subscribers::Enqueue(const ListenerPtr& listener, const EventPtr& event) {
  {
    absl::MutexLock lock(&mutex_);
    if (listener->queue.size() >= kMaxQueuedEvents ||
        listener->bytes + event->body.size() > kMaxQueuedBytes) {
      if (dropped_++ == 0) {
        log_->Warning("node", "a listener is too slow for what is published, events are dropped",
                      {{"instance", std::string(listener->link->name())}});
      }
      return;
    }
    listener->queue.push_back(event);
    listener->bytes += event->body.size();
  }
  Wake(listener);
}

void Subscribers::Wake(const ListenerPtr& listener) {
  {
    absl::MutexLock lock(&mutex_);
    listener->again = true;
    if (std::exchange(listener->flushing, true)) return;
  }
  if (pool_.Submit([this, listener] { Flush(listener); })) return;
  absl::MutexLock lock(&mutex_);
  listener->flushing = false;
}

void Subscribers::Flush(const ListenerPtr& listener) {
  while (true) {
    while (FlushSome(listener)) continue;
    absl::MutexLock lock(&mutex_);
    if (listener->again && !listener->queue.empty()) continue;
    listener->flushing = false;
    return;
  }
}

// False: there is nothing, or the listener takes nothing now and will say when it does.
bool Subscribers::FlushSome(const ListenerPtr& listener) {
  std::vector<EventPtr> events;
  uint64_t first_token = 0;
  {
    absl::MutexLock lock(&mutex_);
    listener->again = false;
    const size_t count = std::min(listener->queue.size(), kBatch);
    events.assign(listener->queue.begin(),
                  listener->queue.begin() + static_cast<std::ptrdiff_t>(count));
    first_token = listener->next_token;
    listener->next_token += count;
  }
  if (events.empty()) return false;
  std::vector<OutboundMessage> batch(events.size());
  for (size_t i = 0; i < events.size(); ++i) {
    batch[i].token = first_token + i;
    batch[i].event = events[i]->name;
    batch[i].route = events[i]->route;
    batch[i].payload_json = events[i]->body;
  }
  const size_t taken = std::min(listener->link->Deliver(batch), batch.size());
  absl::MutexLock lock(&mutex_);
  for (size_t i = 0; i < taken; ++i) {
    listener->bytes -= listener->queue.front()->body.size();
    listener->queue.pop_front();
  }
  return taken > 0;
}

uint64_t Subscribers::dropped() const {
  absl::MutexLock lock(&mutex_);
  return dropped_;
}

}  // namespace viaduct
