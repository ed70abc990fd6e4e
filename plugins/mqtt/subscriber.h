// The server's end: takes what peers publish, hands it over, and acknowledges it to the broker only
// when it has been answered as durable.
//
// Arrivals form groups. While one of a group is unanswered nothing is written to the broker, so
// their PUBACKs wait in the session's queue; with the last answer all of them leave together. One
// that can not be made durable now is kept and asked about again while the others go on. When it
// can not within commit_timeout, the connection ends with no PUBACK written, and the broker sends
// the whole group again: what was stored is recognised then (docs/adr/0006).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "plugins/mqtt/session.h"

namespace viaduct::mqtt {

struct SubscriberOptions {
  SessionOptions session;
  std::vector<std::string> filters;
  size_t window = 64;  // Arrivals of a group.
  size_t window_bytes = 64u << 20;
  absl::Duration commit_timeout = absl::Seconds(30);  // For the answer to an arrival.
};

// One arrival that is handed over, borrowed.
struct Question {
  uint64_t ticket = 0;
  const Arrival* arrival = nullptr;
};

enum class AskResult {
  kTaken,    // The answer comes by Subscriber::Answer.
  kFull,     // Not now: it is asked again when there is room.
  kRefused,  // Never: it is acknowledged to the broker and forgotten.
};

struct Answer {
  uint64_t ticket = 0;
  bool later = false;  // Not durable now: it is asked about again.
  std::string reason;  // With `later`.
  std::vector<Publication> publications;
};

// A publication of the host's own, or a command to a device that answers.
struct Order {
  uint64_t token = 0;
  bool wants_response = false;
  std::string message_id;  // With wants_response: recognises answers without correlation data.
  Publication publication;
};

struct SubscriberStats {
  uint64_t arrivals = 0;
  uint64_t refused = 0;  // Larger than the host takes.
  uint64_t delayed = 0;  // Answers that asked to try again.
  uint64_t dropped = 0;  // QoS 0, not stored within commit_timeout.
  uint64_t groups = 0;
  uint64_t strays = 0;  // Answers to commands that nobody waits for here.
};

// Thread-safe.
class Subscriber final : public SessionHandler {
 public:
  struct Events {
    std::function<AskResult(const Question&)> ask;
    std::function<void()> on_ready;
    std::function<void(const absl::Status& why)> on_ended;
    // How an order ended: an HTTP status number and the response, borrowed.
    std::function<void(uint64_t token, int status, std::string_view body)> on_response;
  };
  Subscriber(SubscriberOptions options, Events events);
  ~Subscriber() override;

  absl::Status Start() { return session_->Start(); }
  // Takes nothing new and waits for what is under way.
  bool Drain(absl::Duration timeout);
  void Stop() { session_->Stop(); }
  void SetAnswer(Answer answer);
  static constexpr size_t kMaxOrders = 1024;  // Under way at once.
  // RESOURCE_EXHAUSTED; UNAVAILABLE: not connected.
  absl::Status Place(Order order);
  void CancelOrder(uint64_t token);
  SubscriberStats stats() const;

 private:
  struct Kept {  // An arrival that is not stored yet.
    explicit Kept(const Arrival& arrival);
    Arrival arrival() const { return {topic, payload, qos, retain, correlation}; }
    std::string topic;
    std::string payload;
    std::string correlation;
    int qos = 0;
    bool retain = false;
    int64_t deadline_ns = 0;  // 0: the host has never taken it.
    absl::Duration pause;     // Before it was asked about last.
    std::string reason;       // Why it was not stored then.
  };
  struct Delayed {  // One whose answer was to try again.
    Kept kept;
    int64_t ask_at_ns = 0;
  };
  struct Expected {  // The answer to an order.
    std::string topic;
    std::string message_id;
  };
  struct OrderPacket {  // An order that awaits its PUBACK.
    uint64_t token = 0;
    bool wants_response = false;
  };

  void OnConnected() override;
  void OnSubscribed() override;
  void OnArrival(const Arrival& arrival) override;
  void OnPublished(int id, int reason) override;
  absl::Duration OnTurn() override;
  bool may_read() const override;
  bool may_write() const override { return !holds_any(); }
  void OnFarewell() override {}
  void OnEnded(const absl::Status& why) override;

  bool holds_any() const { return !waiting_.empty() || !postponed_.empty() || !delayed_.empty(); }
  // Takes `kept` unless the host was full.
  AskResult Ask(Kept* kept);
  void AskPostponed();
  void AskDelayed();
  void Delay(Kept kept, std::string reason);
  void TakeAnswers();
  void TakeAnswer(Answer answer);
  void SendOrders();
  void EndUndelivered(uint64_t token, std::string_view why);
  bool OnResponse(const Arrival& arrival);
  uint64_t OrderOf(const Arrival& arrival) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string CorrelationOf(uint64_t token) const;
  void CheckTimes();
  void DropOverdue(int64_t now);
  void NoteIdle();

  const SubscriberOptions options_;
  const Events events_;
  // Of this subscriber alone: tokens of other nodes and of earlier lives are numbers as small.
  const std::string correlation_prefix_;
  std::unique_ptr<Session> session_;

  mutable absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool idle_ ABSL_GUARDED_BY(mutex_) = true;  // Nothing waits for an answer or to be written.
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Answer> answers_ ABSL_GUARDED_BY(mutex_);
  std::deque<Order> orders_ ABSL_GUARDED_BY(mutex_);  // To be published.
  absl::flat_hash_map<uint64_t, Expected> responses_ ABSL_GUARDED_BY(mutex_);
  SubscriberStats stats_ ABSL_GUARDED_BY(mutex_);

  // Of the session's thread alone.
  bool closed_ = false;                          // draining_, as the thread has seen it.
  absl::flat_hash_map<uint64_t, Kept> waiting_;  // For their answers.
  std::deque<Kept> postponed_;                   // The host had no room for them.
  std::vector<Delayed> delayed_;
  size_t group_ = 0;  // Arrivals since the last time that nothing waited.
  size_t group_bytes_ = 0;
  uint64_t next_ticket_ = 1;
  size_t unacknowledged_ = 0;  // Publications of ours.
  absl::flat_hash_map<int, OrderPacket> order_packets_;
};

}  // namespace viaduct::mqtt
