// One source, many watchers.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "host/rpc/watch_stream.h"

namespace viaduct::rpc {

// Every watcher sees what was published after its subscription, in the order of publishing. A tag
// says what a watcher wants to see.
// Thread-safe.
template <typename Response, typename Tag = std::monostate>
class Broadcast {
 public:
  static constexpr size_t kMaxWatchers = 128;
  // Of all that waits to be sent, shared out among the watchers.
  static constexpr size_t kMaxPendingBytes = 64u << 20;
  using Stream = WatchStream<Response>;
  using StreamPtr = std::shared_ptr<Stream>;

  Broadcast() = default;
  Broadcast(const Broadcast&) = delete;
  Broadcast& operator=(const Broadcast&) = delete;

  // `fill` queues the present state; nothing is published between it and the subscription. The
  // broadcast must outlive the stream. RESOURCE_EXHAUSTED: too many watchers.
  template <typename Fill>
  absl::Status Subscribe(const StreamPtr& stream, Tag tag, Fill fill) {
    return Add(stream, std::move(tag), /*filling=*/false, fill);
  }

  // The same for a state that takes long to read: what is published meanwhile goes to the watcher
  // and nobody waits. `fill` gives what it reads to Fresh::Offer.
  class Fresh {
   public:
    // Nothing where a newer one with that key was published since the subscription.
    void Offer(Response response, std::string_view key) {
      absl::MutexLock lock(&broadcast_->mutex_);
      Watcher* const watcher = broadcast_->FindLocked(stream_);
      if (watcher == nullptr || watcher->told.count(key) != 0) return;
      stream_->Queue(std::move(response), key);
    }
    Stream* stream() const { return stream_; }

   private:
    friend class Broadcast;
    Fresh(Broadcast* broadcast, Stream* stream) : broadcast_(broadcast), stream_(stream) {}
    Broadcast* const broadcast_;
    Stream* const stream_;
  };
  template <typename Fill>
  absl::Status SubscribeThenFill(const StreamPtr& stream, Tag tag, Fill fill) {
    const absl::Status subscribed = Add(stream, std::move(tag), /*filling=*/true, [](Stream*) {});
    if (!subscribed.ok()) return subscribed;
    fill(Fresh(this, stream.get()));
    {
      absl::MutexLock lock(&mutex_);
      Watcher* const watcher = FindLocked(stream.get());
      if (watcher != nullptr) {
        watcher->filling = false;
        watcher->told.clear();
      }
    }
    stream->Flush();
    return absl::OkStatus();
  }

  // `wants` says by the tag whether a watcher gets it.
  template <typename Wants>
  void Publish(const Response& response, std::string_view key, Wants wants) {
    if (watchers() == 0) return;
    const auto shared = std::make_shared<const Response>(response);
    const size_t bytes = shared->ByteSizeLong();
    std::vector<StreamPtr> streams;
    {
      absl::MutexLock lock(&mutex_);
      const size_t share = std::min(Stream::kMaxPendingBytes,
                                    kMaxPendingBytes / std::max<size_t>(watchers_.size(), 1));
      for (auto& watcher : watchers_) {
        if (!wants(watcher.tag)) continue;
        if (watcher.filling && !key.empty()) watcher.told.insert(std::string(key));
        watcher.stream->Queue(shared, bytes, key, share);
        streams.push_back(watcher.stream);
      }
    }
    for (const auto& stream : streams) stream->Flush();
  }
  void Publish(const Response& response, std::string_view key = {}) {
    Publish(response, key, [](const Tag&) { return true; });
  }

  // Whether a watcher would get what is published with the same `wants` now.
  template <typename Wants>
  bool Wanted(Wants wants) {
    if (watchers() == 0) return false;
    absl::MutexLock lock(&mutex_);
    return std::any_of(watchers_.begin(), watchers_.end(),
                       [&](const Watcher& watcher) { return wants(watcher.tag); });
  }

  size_t watchers() const { return count_.load(std::memory_order_relaxed); }

  // Ends every stream, at the stop of the node.
  void CloseAll(const grpc::Status& status) {
    std::vector<StreamPtr> streams;
    {
      absl::MutexLock lock(&mutex_);
      for (const auto& watcher : watchers_) streams.push_back(watcher.stream);
    }
    for (const auto& stream : streams) stream->Close(status);
  }

 private:
  struct Watcher {
    StreamPtr stream;
    Tag tag;
    bool filling = false;                     // Its state is being read:
    std::set<std::string, std::less<>> told;  // keys that were published since.
  };

  template <typename Fill>
  absl::Status Add(const StreamPtr& stream, Tag tag, bool filling, Fill fill) {
    {
      absl::MutexLock lock(&mutex_);
      if (watchers_.size() >= kMaxWatchers) {
        return absl::ResourceExhaustedError("watch: too many watchers, close one first");
      }
      fill(stream.get());
      watchers_.push_back({stream, std::move(tag), filling, {}});
      count_.store(watchers_.size(), std::memory_order_relaxed);
    }
    stream->SetOnDone([this, raw = stream.get()] { Remove(raw); });
    stream->Flush();
    return absl::OkStatus();
  }

  Watcher* FindLocked(const Stream* stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = std::find_if(watchers_.begin(), watchers_.end(), [&](const Watcher& each) {
      return each.stream.get() == stream;
    });
    return found == watchers_.end() ? nullptr : &*found;
  }

  void Remove(const Stream* stream) {
    StreamPtr removed;  // Freed without the lock.
    absl::MutexLock lock(&mutex_);
    auto found = std::find_if(watchers_.begin(), watchers_.end(),
                              [&](const Watcher& each) { return each.stream.get() == stream; });
    if (found == watchers_.end()) return;
    removed = std::move(found->stream);
    watchers_.erase(found);
    count_.store(watchers_.size(), std::memory_order_relaxed);
  }

  absl::Mutex mutex_;
  std::vector<Watcher> watchers_ ABSL_GUARDED_BY(mutex_);
  std::atomic<size_t> count_{0};
};

}  // namespace viaduct::rpc
