// The road: carries messages to the server behind a broker and says of each how it ended.
//
// With Confirm::kServer a message has ended when the server has answered it by its id on
// lpr/ack/{device_id}, with kBroker when the broker has acknowledged the publication. There is no
// retry here: what could not be confirmed is given back with the reason.
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
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "plugins/common/delivery.h"
#include "plugins/mqtt/acks.h"
#include "plugins/mqtt/prober.h"
#include "plugins/mqtt/session.h"

namespace viaduct::mqtt {

inline constexpr size_t kSlowestBytes = 8u << 10;  // Per second, of a road that is not given up.

enum class Confirm { kServer, kBroker };

struct PublisherOptions {
  SessionOptions session;
  std::string device_id;  // In the topics below.
  std::string topic;      // Where messages go.
  Confirm confirm = Confirm::kServer;
  // From the broker's acknowledgement to the server's answer. Until the former a publication has
  // this and a second for each kSlowestBytes of all that is under way.
  absl::Duration ack_timeout = absl::Seconds(30);
  size_t max_batch = 128;  // Envelopes in one publication.
  size_t max_batch_bytes = 1u << 20;
  size_t window = 4096;  // Messages held at once.
  size_t window_bytes = 64u << 20;
  size_t max_publications = 32;  // Under way at once: while they are, the next one grows.
};

// A command that came in, borrowed. Its answer comes by Publisher::Answer with the same ticket.
struct Command {
  uint64_t ticket = 0;
  const Arrival* arrival = nullptr;
};

// Thread-safe.
class Publisher final : public SessionHandler {
 public:
  struct Events {
    std::function<void(absl::Span<const DeliveryResult>)> on_done;
    std::function<void()> on_ready;  // Connected: there is credit, and SayOnline is to follow.
    std::function<void(const absl::Status& why)> on_ended;   // The connection is gone for good.
    std::function<absl::Status(const Command&)> on_command;  // Not OK: there will be no answer.
    std::function<int64_t()> wall_ns;
  };
  Publisher(PublisherOptions options, Events events);
  ~Publisher() override;

  absl::Status Start() { return session_->Start(); }
  // True: nothing is held and all is told.
  bool Drain(absl::Duration timeout);
  void Stop() { session_->Stop(); }
  size_t credit() const;
  // False: no room, it was not taken.
  bool Take(Delivery delivery);
  // To be called once after a batch of Take.
  void Flush() { session_->Wake(); }
  void Cancel(absl::Span<const uint64_t> tokens);
  void Answer(uint64_t ticket, std::vector<Publication> publications);
  // Prober::Ask.
  bool Probe(absl::Duration timeout, ProbeFn done);
  // Tells the server that this node is there, and what it is.
  void SayOnline(const NodeFacts& facts);

  static constexpr size_t kMaxCommands = 64;  // Under way at once.
  // Over that, too large, or retained.
  uint64_t dropped_commands() const;

 private:
  struct Held {  // A message that was published and not yet confirmed.
    uint64_t token = 0;
    size_t bytes = 0;
    uint64_t publication = 0;
  };
  struct Sent {  // A publication with messages that are not confirmed.
    std::vector<std::string> message_ids;
    size_t left = 0;  // Of them.
    size_t bytes = 0;
    int64_t deadline_ns = 0;
  };
  struct Ended {
    DeliveryResult result;
    std::string message_id;
    size_t bytes = 0;
  };

  void OnConnected() override;
  void OnSubscribed() override;
  void OnArrival(const Arrival& arrival) override;
  void OnPublished(int id, int reason) override;
  void OnUnsubscribed(int id) override { prober_.OnAnswer(id, MonotonicNs()); }
  absl::Duration OnTurn() override;
  bool may_read() const override { return true; }
  bool may_write() const override { return true; }
  void OnFarewell() override;
  void OnEnded(const absl::Status& why) override;

  std::vector<Delivery> NextBatch();
  void PublishBatch(std::vector<Delivery> batch);
  void PutBack(std::vector<Delivery> batch);
  uint64_t Hold(std::vector<Delivery> batch);  // The number of the publication.
  void EndTooLarge(uint64_t publication);
  void OnAcks(std::string_view payload);
  void OnCommand(const Arrival& arrival);
  void SendAnswers();
  void EndMessage(const std::string& message_id, DeliveryOutcome outcome, bool duplicate,
                  const absl::Status& status, absl::Duration retry_after = absl::ZeroDuration());
  void EndPublication(uint64_t publication, DeliveryOutcome outcome, const absl::Status& status);
  // Ends what is overdue; the time until the next one is.
  absl::Duration ExpireDue();
  absl::Duration TurnProber();
  Publication Status(std::string_view word, const NodeFacts& facts) const;
  void TellDone();

  const PublisherOptions options_;
  const std::string ack_topic_;
  const Events events_;
  Prober prober_;
  std::unique_ptr<Session> session_;

  mutable absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Delivery> queue_ ABSL_GUARDED_BY(mutex_);            // Not yet published.
  absl::flat_hash_set<std::string> ids_ ABSL_GUARDED_BY(mutex_);  // Of all that is held.
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;                      // The same.
  size_t telling_ ABSL_GUARDED_BY(mutex_) = 0;                    // Calls of events under way.
  std::vector<Publication> answers_ ABSL_GUARDED_BY(mutex_);      // The status among them.
  absl::flat_hash_map<uint64_t, std::string> commands_ ABSL_GUARDED_BY(mutex_);  // Correlation.
  uint64_t next_ticket_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t dropped_commands_ ABSL_GUARDED_BY(mutex_) = 0;

  // Of the session's thread alone.
  absl::flat_hash_map<std::string, Held> held_;  // By message id.
  absl::flat_hash_map<uint64_t, Sent> sent_;     // By number of the publication.
  absl::flat_hash_map<int, uint64_t> packets_;   // Publications that await their PUBACK.
  std::vector<Ended> ended_;                     // Not yet told.
  uint64_t next_publication_ = 1;
  size_t batch_bytes_ = options_.max_batch_bytes;  // Less once the broker has refused as much.
};

}  // namespace viaduct::mqtt
