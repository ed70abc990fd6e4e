// The roads to peers that plugins offer, as the dispatcher sees them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/gateway/link.h"
#include "core/plugin/call_gate.h"

namespace viaduct {

class Incarnation;

// The dispatcher's functions, shared by a link and every incarnation behind it. Thread-safe.
class LinkHandlers {
 public:
  LinkHandlers();
  // When it returns, no function that was set before is running. Not from inside one.
  void Set(Link::CompletionFn on_complete, Link::ReadyFn on_ready);
  void Complete(absl::Span<const Completion> completions);
  void Ready();

 private:
  struct Pair {
    Link::CompletionFn on_complete;
    Link::ReadyFn on_ready;
    CallGate gate;
  };
  std::shared_ptr<Pair> pair();

  absl::Mutex mutex_;
  std::shared_ptr<Pair> pair_ ABSL_GUARDED_BY(mutex_);
};

// The incarnation that an instance has at the moment: none while it is stopped or failed.
// Thread-safe.
class CurrentIncarnation {
 public:
  std::shared_ptr<Incarnation> get() const {
    absl::MutexLock lock(&mutex_);
    return incarnation_;
  }
  // Returns the one before.
  std::shared_ptr<Incarnation> Set(std::shared_ptr<Incarnation> next) {
    absl::MutexLock lock(&mutex_);
    return std::exchange(incarnation_, std::move(next));
  }

 private:
  mutable absl::Mutex mutex_;
  std::shared_ptr<Incarnation> incarnation_ ABSL_GUARDED_BY(mutex_);
};

// The link of one instance over all its incarnations. Deliver enters the plugin on the caller's
// thread: no hop. When the lane is taken, or the caller is itself inside a call of a plugin, it
// takes nothing and calls on_ready soon. Thread-safe.
class PluginLink final : public Link {
 public:
  PluginLink(std::string name, std::shared_ptr<CurrentIncarnation> current,
             std::shared_ptr<LinkHandlers> handlers)
      : name_(std::move(name)), current_(std::move(current)), handlers_(std::move(handlers)) {}

  std::string_view name() const override { return name_; }
  bool ready() const override;
  size_t credit() const override;
  absl::Duration confirm_timeout() const override;
  size_t Deliver(absl::Span<const OutboundMessage> batch) override;
  void SetHandlers(CompletionFn on_complete, ReadyFn on_ready) override {
    handlers_->Set(std::move(on_complete), std::move(on_ready));
  }

 private:
  const std::string name_;
  const std::shared_ptr<CurrentIncarnation> current_;
  const std::shared_ptr<LinkHandlers> handlers_;
};

}  // namespace viaduct
