#include "core/observe/health_tree.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

constexpr std::string_view kInstancePrefix = "instance/";

std::string Clip(std::string_view text, size_t max) {
  if (text.size() <= max) return std::string(text);
  size_t end = max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) --end;
  return std::string(text.substr(0, end));
}

}  // namespace

std::string_view HealthStateName(HealthState state) {
  switch (state) {
    case HealthState::kHealthy:
      return "healthy";
    case HealthState::kDegraded:
      return "degraded";
    case HealthState::kUnhealthy:
      break;
  }
  return "unhealthy";
}

// Thread-safe. Owned by the tree's list, by its handle and by a call in progress.
class HealthTree::Subscriber {
 public:
  explicit Subscriber(ChangeFn on_change) : on_change_(std::move(on_change)) {}
  void Tell(const ComponentHealth& change) {
    // Its own lock, held so that Close() can wait; changes reach one subscriber one at a time.
    absl::MutexLock lock(&mutex_);
    if (on_change_) on_change_(change);
  }
  void Close() {
    absl::MutexLock lock(&mutex_);
    on_change_ = nullptr;
  }

 private:
  absl::Mutex mutex_;
  ChangeFn on_change_ ABSL_GUARDED_BY(mutex_);
};

HealthTree::~HealthTree() = default;

void HealthTree::Set(std::string_view component, HealthState state, std::string_view reason) {
  ComponentHealth change;
  std::vector<std::shared_ptr<Subscriber>> subscribers;
  {
    absl::MutexLock lock(&mutex_);
    auto it = components_.find(component);
    if (it == components_.end()) {
      if (component.empty() || component.size() > kMaxNameBytes ||
          components_.size() >= kMaxComponents) {
        ++refused_;
        return;
      }
      it = components_.emplace(std::string(component), ComponentHealth()).first;
      it->second.component = it->first;
      it->second.since = clock_->Now();
    } else if (it->second.state == state && it->second.reason == Clip(reason, kMaxReasonBytes)) {
      return;
    } else if (it->second.state != state) {
      it->second.since = clock_->Now();
    }
    it->second.state = state;
    it->second.reason = Clip(reason, kMaxReasonBytes);
    it->second.version = ++version_;
    change = it->second;
    subscribers = subscribers_;
  }
  Tell(change, subscribers);
}

void HealthTree::Remove(std::string_view component) {
  ComponentHealth change;
  std::vector<std::shared_ptr<Subscriber>> subscribers;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = components_.find(component);
    if (it == components_.end()) return;
    change = std::move(it->second);
    components_.erase(it);
    change.removed = true;
    change.version = ++version_;
    subscribers = subscribers_;
  }
  Tell(change, subscribers);
}

void HealthTree::Tell(const ComponentHealth& change,
                      const std::vector<std::shared_ptr<Subscriber>>& to) {
  for (const auto& subscriber : to) subscriber->Tell(change);
}

std::vector<ComponentHealth> HealthTree::List() const {
  absl::MutexLock lock(&mutex_);
  std::vector<ComponentHealth> out;
  out.reserve(components_.size());
  for (const auto& [name, health] : components_) out.push_back(health);
  return out;
}

absl::StatusOr<ComponentHealth> HealthTree::Get(std::string_view component) const {
  absl::MutexLock lock(&mutex_);
  const auto it = components_.find(component);
  if (it != components_.end()) return it->second;
  return absl::NotFoundError(
      absl::StrCat("health: no such component, \"", std::string(component), "\""));
}

ComponentHealth HealthTree::Aggregate() const {
  absl::MutexLock lock(&mutex_);
  ComponentHealth node;
  node.component = "node";
  node.version = version_;
  const ComponentHealth* worst = nullptr;
  HealthState worst_state = HealthState::kHealthy;
  for (const auto& [name, health] : components_) {
    const bool instance = name.compare(0, kInstancePrefix.size(), kInstancePrefix) == 0;
    const HealthState counts =
        instance ? std::min(health.state, HealthState::kDegraded) : health.state;
    if (worst == nullptr || counts > worst_state) {
      worst = &health;
      worst_state = counts;
    }
  }
  if (worst == nullptr) return node;
  node.state = worst_state;
  node.since = worst->since;
  if (worst_state != HealthState::kHealthy) {
    node.reason = absl::StrCat(worst->component, ": ", worst->reason);
  }
  return node;
}

absl::StatusOr<std::unique_ptr<HealthSubscription>> HealthTree::Subscribe(
    ChangeFn on_change, std::vector<ComponentHealth>* snapshot) {
  class Handle final : public HealthSubscription {
   public:
    Handle(HealthTree* tree, std::shared_ptr<Subscriber> subscriber)
        : tree_(tree), subscriber_(std::move(subscriber)) {}
    ~Handle() override { tree_->Unsubscribe(subscriber_.get()); }

   private:
    HealthTree* const tree_;
    const std::shared_ptr<Subscriber> subscriber_;
  };

  auto subscriber = std::make_shared<Subscriber>(std::move(on_change));
  absl::MutexLock lock(&mutex_);
  if (subscribers_.size() >= kMaxSubscribers) {
    return absl::ResourceExhaustedError(
        absl::StrCat("health: too many subscribers, at most ", kMaxSubscribers));
  }
  if (snapshot != nullptr) {
    snapshot->clear();
    for (const auto& [name, health] : components_) snapshot->push_back(health);
  }
  subscribers_.push_back(subscriber);
  return std::make_unique<Handle>(this, std::move(subscriber));
}

void HealthTree::Unsubscribe(Subscriber* subscriber) {
  {
    absl::MutexLock lock(&mutex_);
    subscribers_.erase(std::remove_if(subscribers_.begin(), subscribers_.end(),
                                      [&](const auto& s) { return s.get() == subscriber; }),
                       subscribers_.end());
  }
  subscriber->Close();
}

uint64_t HealthTree::refused() const {
  absl::MutexLock lock(&mutex_);
  return refused_;
}

}  // namespace viaduct
