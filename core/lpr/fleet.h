// Orders to devices and their answers, over whichever road leads to the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor_timer_queue.h"
#include "core/lpr/device_roads.h"
#include "core/message/exchange.h"

namespace viaduct {

struct Order {
  std::string device_id;
  std::string command;
  std::string arguments_json;  // One object; "" for none.
  std::string road;            // Name of a listener or a protocol; "" for the fastest.
  absl::Duration timeout = absl::Seconds(10);
};

// What the device made of an order.
struct OrderAnswer {
  bool success = false;
  int status = 0;           // HTTP status number in the device's words.
  std::string result_json;  // One JSON value; "" for none.
  std::string error;        // Why it was not done; "" on success.
};

struct OrderResult {
  // OK: the device has answered, be it by a refusal. Else:
  //   INVALID_ARGUMENT    the order is none
  //   UNAVAILABLE         no road took it: the device has not got it
  //   RESOURCE_EXHAUSTED  too many orders are under way: the device has not got it
  //   DEADLINE_EXCEEDED   no answer in time: the device may have carried it out
  //   UNKNOWN             the road broke or the answer was none: it may have been carried out
  //   CANCELLED           whoever gave it went away: it may have been carried out
  absl::Status status;
  OrderAnswer answer;
  std::string message_id;
  std::string road;      // The listener that took it; "" where none did.
  std::string protocol;  // Of that road.
  absl::Duration round_trip = absl::ZeroDuration();  // By that road alone.
};

struct FleetStats {
  uint64_t orders = 0;  // That a road has taken.
  uint64_t answered = 0;
  uint64_t timed_out = 0;  // Their answers may still come, late.
  uint64_t broken = 0;     // Whose road broke or whose answer was none.
  uint64_t strays = 0;     // Answers that nobody waits for: late, invented, or of another device.
  size_t in_flight = 0;
};

// Thread-safe.
class Fleet {
 public:
  static constexpr size_t kMaxOrders = 1024;               // Under way at once.
  static constexpr size_t kMaxOrdersOfDevice = 16;         // The same, of one device.
  static constexpr size_t kMaxArgumentBytes = 512u << 10;  // A whole configuration fits.
  static constexpr size_t kMaxPendingBytes = 64u << 20;    // Of all orders under way.
  static constexpr size_t kMaxAnswerBytes = 1u << 20;
  static constexpr size_t kMaxCommandBytes = 64;
  static constexpr absl::Duration kMinTimeout = absl::Milliseconds(100);
  static constexpr absl::Duration kMaxTimeout = absl::Minutes(5);

  // As Instances::Call.
  using CallFn = std::function<void(std::string_view instance, CallRequest request,
                                    absl::Duration limit, ReplyFn reply)>;
  using OrderFn = std::function<void(OrderResult)>;

  // Clock and timers outlive the fleet; `call` is used until Close has returned.
  Fleet(const Clock* clock, TimerQueue* timers, CallFn call);
  ~Fleet();
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  DeviceRoads& roads() { return roads_; }
  const DeviceRoads& roads() const { return roads_; }

  // `done` is called exactly once, on any thread, possibly before Send returns. The fastest road is
  // tried first; the next one only where it is sure that the one before has not delivered it.
  // Returns the order's message_id.
  std::string Send(Order order, OrderFn done);
  // Nobody waits for that order any more: it ends as CANCELLED. Nothing happens when it has ended.
  void Cancel(std::string_view message_id);
  // An answer that came as a message of its own through that session.
  void TakeAnswer(std::string_view instance, std::string_view session, std::string_view body);
  // The session or topic is gone, or the listener with all it had: what they took and have not
  // answered ends as UNKNOWN.
  void CloseWay(std::string_view instance, std::string_view way);
  void CloseListener(std::string_view instance);
  // Orders that are under way end as UNAVAILABLE, and so does every later one. Waits until `call`
  // has returned wherever it is being called, and so never from within it.
  void Close();

  FleetStats stats() const;

 private:
  struct Pending;
  using PendingPtr = std::shared_ptr<Pending>;

  absl::Status Check(const Order& order) const;
  absl::Status Admit(const PendingPtr& pending) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Prepare(Order order, Pending* pending) const;
  bool ArmTimer(const PendingPtr& pending);
  std::string BodyOf(const Order& order, const std::string& message_id) const;
  void TryNext(const PendingPtr& pending, std::string_view why);
  CallRequest RequestFor(const Pending& pending, const DeviceRoad& road) const;
  void OnReply(const PendingPtr& pending, size_t attempt, CallReply reply);
  void Answered(const PendingPtr& pending, std::string_view body);
  void Finish(const PendingPtr& pending, OrderResult result);
  void Break(const std::function<bool(const DeviceRoad&)>& is_gone);

  const Clock* const clock_;
  TimerQueue* const timers_;
  const CallFn call_;
  DeviceRoads roads_;

  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  size_t calling_ ABSL_GUARDED_BY(mutex_) = 0;  // Uses of call_; none begins once it is closed.
  absl::flat_hash_map<std::string, PendingPtr> pending_ ABSL_GUARDED_BY(mutex_);  // By message id.
  absl::flat_hash_map<std::string, size_t> of_device_ ABSL_GUARDED_BY(mutex_);
  size_t pending_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  FleetStats stats_ ABSL_GUARDED_BY(mutex_);
};

// The answer to the order of that name from that device. INVALID_ARGUMENT: it is none, or is the
// answer to another order or of another device.
absl::Status ReadOrderAnswer(std::string_view body, std::string_view message_id,
                             std::string_view device_id, OrderAnswer* answer);

}  // namespace viaduct
