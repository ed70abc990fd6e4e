// The decisions of the dispatcher, without threads: the same calls in the same order at the same
// times give the same deliveries, so that a simulation can try any schedule.
// Internal to core/gateway; see dispatcher.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/random/random.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/base/clock.h"
#include "core/gateway/delivery_table.h"
#include "core/gateway/link.h"
#include "core/gateway/link_stats.h"
#include "core/gateway/outbox.h"
#include "core/gateway/retry_policy.h"
#include "core/gateway/selector.h"
#include "core/observe/log.h"

namespace viaduct {

struct DispatcherOptions {
  size_t window = 4096;  // Unacknowledged messages per link.
  size_t batch = 128;    // Messages per Deliver.
  RetryPolicy::Options retry;
  // A delivery without completion for so long has failed; the message goes another way. It is
  // twice the link's own confirm_timeout where that is longer, so that the link gives up first, and
  // a second more for each kSlowestBytes under way.
  absl::Duration delivery_timeout = absl::Seconds(60);
  size_t max_claim_bytes = 16u << 20;  // Held in memory at once between outbox and links.
  // So many retries in a row, with no other answer between them, and the link pauses.
  uint32_t failures_before_pause = 3;
};

inline constexpr uint64_t kSlowestBytes = 8u << 10;  // A second, of a road that is not given up.

using LinkId = uint32_t;

// Lives on one thread.
class DispatchCore {
 public:
  static constexpr int64_t kNever = Outbox::kNever;

  // All must outlive the core.
  DispatchCore(const DispatcherOptions& options, Outbox* outbox, Selector* selector, Clock* clock,
               absl::BitGenRef random, Log* log);

  // Adds a link at the end of the configured order; false when there are kMaxLinks.
  bool AddLink(LinkId id, Link* link, std::shared_ptr<LinkCounters> counters);
  // What it has in flight goes another way at once.
  void RemoveLink(LinkId id);

  // The configured order: that of `ids`; links it does not name keep theirs, behind.
  void SetOrder(const std::vector<LinkId>& ids);

  void Complete(LinkId id, absl::Span<const Completion> completions);
  // The link may take more than when it last took less than offered.
  void LinkReady(LinkId id);

  // Does everything that can be done now. Returns when it must be called again though nothing
  // happens until then, monotonic; kNever when only an event can change anything.
  int64_t Step();

  // Delivers nothing new from now on.
  void StopClaiming() { claiming_ = false; }
  // Gives everything in flight back to the outbox; completions that come later are ignored.
  void GiveBackAll();
  size_t in_flight() const;

 private:
  struct LinkState {
    LinkId id = 0;
    Link* link = nullptr;
    std::shared_ptr<LinkCounters> counters;
    DeliveryTable table;
    uint32_t failures_in_a_row = 0;
    uint32_t pauses_in_a_row = 0;
    int64_t timeout_ns = 0;  // For a delivery, without its bytes.
    int64_t paused_until_ns = 0;
    int64_t pause_began_ns = -1;
    bool pause_asked = false;  // By the peer: a success meanwhile does not end it.
    bool probing = false;      // After a pause: one message decides.
    bool blocked = false;      // Took less than it had promised.
    int64_t blocked_until_ns = 0;
    std::vector<OutboundMessage> batch;  // Being collected; borrows from claimed_.
    std::vector<size_t> batch_sources;   // Indexes into claimed_.

    explicit LinkState(size_t window) : table(window) {}
  };

  LinkState* FindLink(LinkId id);
  void CompleteOne(LinkState* state, const Completion& completion, int64_t now);
  void Settle(int64_t key, SettleKind kind, int64_t delay_ns = 0, std::string reason = "");
  void RetryDelivery(LinkState* state, const Delivery& delivery, const Completion& completion,
                     SettleKind kind, int64_t now);
  void NoteSuccess(LinkState* state);
  void NoteFailure(LinkState* state, int64_t sent_ns, absl::Duration retry_after, int64_t now);
  int64_t DelayNanos(uint32_t failures);
  bool OtherLinkUntried(uint64_t tried, int64_t now) const;
  void TimeOutDeliveries(int64_t now);
  void FlushSettlements();
  size_t UpdateViews(int64_t now);
  bool Pump(int64_t now);
  void Assign(size_t index);
  void DeliverBatch(size_t link_index, int64_t now);
  int64_t NextWake(int64_t now) const;

  const DispatcherOptions options_;
  Outbox* const outbox_;
  Selector* const selector_;
  Clock* const clock_;
  absl::BitGenRef random_;
  Log* const log_;
  bool claiming_ = true;
  std::vector<std::unique_ptr<LinkState>> links_;  // In configured order.
  std::vector<LinkView> views_;                    // Parallel to links_, during a pump.
  std::vector<OutboxMessage> claimed_;
  std::vector<Settlement> settlements_;
  // Links that failed a message which waits for its next attempt.
  absl::flat_hash_map<int64_t, uint64_t> tried_;
};

}  // namespace viaduct
