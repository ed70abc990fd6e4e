#include "core/plugin/link.h"

#include "core/plugin/deliver_side.h"
#include "core/plugin/incarnation.h"

namespace viaduct {

LinkHandlers::LinkHandlers() { Set(nullptr, nullptr); }

void LinkHandlers::Set(Link::CompletionFn on_complete, Link::ReadyFn on_ready) {
  auto next = std::make_shared<Pair>();
  next->on_complete = std::move(on_complete);
  next->on_ready = std::move(on_ready);
  next->gate.Open();
  std::shared_ptr<Pair> old;
  {
    absl::MutexLock lock(&mutex_);
    old = std::exchange(pair_, std::move(next));
  }
  if (old != nullptr) old->gate.Close(absl::InfiniteDuration());
}

std::shared_ptr<LinkHandlers::Pair> LinkHandlers::pair() {
  absl::MutexLock lock(&mutex_);
  return pair_;
}

void LinkHandlers::Complete(absl::Span<const Completion> completions) {
  if (completions.empty()) return;
  const std::shared_ptr<Pair> now = pair();
  GatePass pass(&now->gate);
  if (pass && now->on_complete) now->on_complete(completions);
}

void LinkHandlers::Ready() {
  const std::shared_ptr<Pair> now = pair();
  GatePass pass(&now->gate);
  if (pass && now->on_ready) now->on_ready();
}

bool PluginLink::ready() const {
  const std::shared_ptr<Incarnation> now = current_->get();
  return now != nullptr && now->delivering() && now->tables().deliver != nullptr;
}

size_t PluginLink::credit() const {
  const std::shared_ptr<Incarnation> now = current_->get();
  return now == nullptr ? 0 : now->deliver_side().Credit();
}

absl::Duration PluginLink::confirm_timeout() const {
  const std::shared_ptr<Incarnation> now = current_->get();
  return now == nullptr ? absl::ZeroDuration() : now->confirm_timeout();
}

size_t PluginLink::Deliver(absl::Span<const OutboundMessage> batch) {
  const std::shared_ptr<Incarnation> now = current_->get();
  return now == nullptr ? 0 : now->deliver_side().Deliver(batch);
}

}  // namespace viaduct
