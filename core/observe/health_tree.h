// How every part of the node is doing, in one place: "node", "spool", "store", "instance/<name>".
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"

namespace viaduct {

// Ordered from good to bad.
enum class HealthState : uint8_t {
  kHealthy,
  kDegraded,   // Works, but with less than it should have; an operator should look.
  kUnhealthy,  // Does not do its work now.
};
std::string_view HealthStateName(HealthState state);  // "healthy", ...

struct ComponentHealth {
  std::string component;
  HealthState state = HealthState::kHealthy;
  std::string reason;    // For people; "" when healthy.
  absl::Time since;      // When it came into this state.
  bool removed = false;  // Only in changes: the component is gone.
  uint64_t version = 0;  // Counts every change of the tree; orders changes of all components.
};

// Destroy it to unsubscribe; when the destructor returns the callback is not running any more, so
// it must not be destroyed inside that callback. The tree must outlive it.
class HealthSubscription {
 public:
  virtual ~HealthSubscription() = default;
};

// Thread-safe. Callbacks run on the thread that made the change, without a lock of the tree.
class HealthTree {
 public:
  static constexpr size_t kMaxComponents = 512;
  static constexpr size_t kMaxSubscribers = 128;
  static constexpr size_t kMaxNameBytes = 160;
  static constexpr size_t kMaxReasonBytes = 512;

  // `clock` must outlive the tree.
  explicit HealthTree(const Clock* clock) : clock_(clock) {}
  HealthTree(const HealthTree&) = delete;
  HealthTree& operator=(const HealthTree&) = delete;
  ~HealthTree();

  // Adds the component or changes it. Saying the same again costs nothing and tells nobody.
  // A component too many and a name too long are dropped and counted in `refused`.
  void Set(std::string_view component, HealthState state, std::string_view reason = "");
  void Remove(std::string_view component);

  // Ordered by name.
  std::vector<ComponentHealth> List() const;
  // NOT_FOUND: no such component.
  absl::StatusOr<ComponentHealth> Get(std::string_view component) const;

  // The node as one: unhealthy when a component outside "instance/" is; degraded when anything
  // else is not healthy. One road that is down never makes the node unhealthy. The reason names
  // the worst component.
  ComponentHealth Aggregate() const;

  // `on_change` must be quick and must not change the tree. It sees every change after the returned
  // snapshot's versions. Two changes made by two threads may arrive in either order: keep the
  // higher version per component. RESOURCE_EXHAUSTED: over kMaxSubscribers.
  using ChangeFn = std::function<void(const ComponentHealth&)>;
  absl::StatusOr<std::unique_ptr<HealthSubscription>> Subscribe(
      ChangeFn on_change, std::vector<ComponentHealth>* snapshot);

  uint64_t refused() const;

 private:
  class Subscriber;
  void Tell(const ComponentHealth& change, const std::vector<std::shared_ptr<Subscriber>>& to);
  void Unsubscribe(Subscriber* subscriber);

  const Clock* const clock_;
  mutable absl::Mutex mutex_;
  std::map<std::string, ComponentHealth, std::less<>> components_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Subscriber>> subscribers_ ABSL_GUARDED_BY(mutex_);
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t refused_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace viaduct
