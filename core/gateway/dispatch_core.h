// The decisions of the dispatcher, without threads: the same calls in the same order at the same
// times give the same deliveries, so that a simulation can try any schedule.
// Internal to core/gateway; see dispatcher.h.
#pragma once

#include <array>
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
#include "core/gateway/backlog_pace.h"
#include "core/gateway/backlog_window.h"
#include "core/gateway/circuit_breaker.h"
#include "core/gateway/delivery_table.h"
#include "core/gateway/link.h"
#include "core/gateway/link_meter.h"
#include "core/gateway/link_model.h"
#include "core/gateway/link_stats.h"
#include "core/gateway/outbox.h"
#include "core/gateway/retry_budget.h"
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
  // So many retries in a row, with no other answer between them, and the link's breaker opens.
  uint32_t failures_to_open = 3;
  // What failed on one link goes to another at once, over so many links before it waits; false: it
  // waits for its next attempt.
  bool fallback = true;
  uint32_t max_attempts = 3;
  RetryBudget::Options retry_budget;  // Of the repetitions at once.
  double hedged_share = 0.1;          // Of the messages, at most; 0: none.
  double backlog_per_second = 0;      // Messages; 0: as fast as the links take them.
};

inline constexpr uint64_t kSlowestBytes = 8u << 10;  // A second, of a road that is not given up.

// The link that messages of a kind take has become another one.
struct LinkSwitch {
  std::string from;  // "" for the first choice.
  std::string to;
  std::string why;
  SwitchReason reason = SwitchReason::kFirst;
  absl::Time at;
  Priority priority = Priority::kNormal;
  size_t bytes = 0;  // Of the message that went first.
};

// Lives on one thread.
class DispatchCore {
 public:
  static constexpr int64_t kNever = Outbox::kNever;
  static constexpr size_t kMaxSwitches = 100;
  // A link that took nothing and says nothing is asked again after this, and a message that no link
  // took is offered again.
  static constexpr int64_t kBlockedNs = 100'000'000;
  // The same while that goes on: as long as it has done, but no longer than this.
  static constexpr int64_t kMostBlockedNs = 10'000'000'000;
  // So often in a row at most what is claimed may find no link before events are looked at.
  static constexpr int kMostInVain = 8;
  // And goes on after this, where not all was looked at.
  static constexpr int64_t kGoOnNs = 5'000'000;
  // A link that takes nothing for so long, though it has nothing under way, has no connection.
  static constexpr int64_t kUnconnectedNs = 1'000'000'000;
  // The links are looked at so often also when there is nothing to do.
  static constexpr int64_t kLookNs = 1'000'000'000;

  // All must outlive the core.
  DispatchCore(const DispatcherOptions& options, Outbox* outbox, Selector* selector, Clock* clock,
               absl::BitGenRef random, Log* log);

  // Adds a link at the end of the configured order; false when there are kMaxLinks.
  bool AddLink(LinkId id, Link* link, LinkTraits traits, std::shared_ptr<LinkCounters> counters);
  // What it has in flight goes another way at once.
  void RemoveLink(LinkId id);

  // The configured order: that of `ids`; links it does not name keep theirs, behind.
  void SetOrder(const std::vector<LinkId>& ids);

  void Complete(LinkId id, absl::Span<const Completion> completions);
  // The link may take more than when it last took less than offered.
  void LinkReady(LinkId id);

  void SetSelector(Selector* selector) { selector_ = selector; }

  // A probe of the link ended; unanswered, it was waited for so long.
  void NoteProbe(LinkId id, bool answered, absl::Duration round_trip, uint64_t bytes);

  // What would become of such a message now, and why.
  Explanation Explain(SelectorMessage message);
  // Switches since the last call, the oldest first; no more than kMaxSwitches are kept.
  std::vector<LinkSwitch> TakeSwitches();

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
    uint64_t bit = 0;  // Its own among the links that are there, wherever it stands.
    Link* link = nullptr;
    std::shared_ptr<LinkCounters> counters;
    LinkTraits traits;
    DeliveryTable table;
    CircuitBreaker breaker;
    LinkModel model;
    BacklogWindow backlog;
    double mean_bytes = 1'024;  // Of the messages it took.
    int64_t timeout_ns = 0;     // For a delivery, without its bytes.
    int64_t heard_ns = 0;       // Last completion.
    bool unanswered = false;    // Nobody answered the last probe, and nothing was heard since.
    int64_t failed_ns = 0;      // Last failure that the model was told,
    int64_t timed_ns = 0;       // and how late it is.
    size_t promised = 0;        // To what failed elsewhere, since it was last looked at.
    bool blocked = false;       // Took less than it had promised.
    int64_t blocked_until_ns = 0;
    bool connected = false;  // It takes messages, or has only just ceased to:
    int64_t refuses_ns = 0;  // takes none since then, with nothing under way; 0: it takes some.
    std::vector<OutboundMessage> batch;  // Being collected; borrows from claimed_.
    std::vector<size_t> batch_sources;   // Indexes into claimed_.

    LinkState(size_t window, uint32_t failures_to_open)
        : table(window), breaker(failures_to_open) {}
  };

  // A delivery.
  struct Sent {
    LinkId link = 0;
    uint64_t token = 0;
  };
  // The first delivery of a message that goes another way besides.
  struct Hedged {
    Sent sent;
    bool confirmed = false;  // By that one, while the message was on its way to the other.
  };

  // What ended on one link in one call.
  struct Traffic {
    uint64_t confirmed = 0;
    uint64_t failed = 0;
    uint64_t bytes = 0;  // Of the confirmed ones.
    bool alone = false;  // One of them had nothing before it.
    absl::Duration fastest = absl::InfiniteDuration();
    absl::Duration slowest = absl::ZeroDuration();
  };
  struct Room {
    size_t messages = 0;
    size_t backlog = 0;  // Of these.
  };

  LinkState* FindLink(LinkId id);
  // Started, connected, and not pausing after failures.
  static bool Works(const LinkState& state, int64_t now);
  void CompleteLate(LinkState* state, const Delivery& delivery, const Completion& completion,
                    int64_t now);
  void TellBreaker(LinkState* state, int64_t sent_ns, absl::Duration retry_after, int64_t now);
  void ConfirmHedged(LinkState* state, const Delivery& delivery);
  void ConfirmForAnother(LinkState* state, const Delivery& delivery);
  void Forget(const Delivery& delivery);
  void NoteRepeated(const Delivery& delivery, LinkId link, uint64_t token);
  void CompleteOne(LinkState* state, const Completion& completion, int64_t now);
  void GiveBack(const Delivery& delivery);
  void Settle(int64_t key, SettleKind kind, int64_t delay_ns = 0, std::string reason = "");
  void RetryDelivery(LinkState* state, const Delivery& delivery, const Completion& completion,
                     SettleKind kind, int64_t now);
  void NoteSuccess(LinkState* state);
  void NoteConfirmed(LinkState* state, const Delivery& delivery, int64_t now);
  void NoteChoice(const SelectorMessage& facts, const Choice& choice);
  void NoteFailure(LinkState* state, int64_t sent_ns, absl::Duration retry_after, int64_t now);
  int64_t DelayNanos(uint32_t failures);
  // After these have been tried, without waiting.
  bool MayTryAnother(uint64_t tried) const;
  enum class Elsewhere : uint8_t { kNowhere, kLater, kNow };
  // Whether what these links have failed may go to another, now or after its back-off.
  Elsewhere FallBack(uint64_t tried, int64_t now);
  static size_t RoomOf(const LinkState& state, size_t credit, int64_t now);
  // `tried` as selectors take it: bits by position.
  uint64_t ByPosition(uint64_t tried) const;
  uint64_t FreeBit() const;
  void TimeOutDeliveries(int64_t now);
  // Since when the link owes an answer, and when that is too long: kNever when it owes none.
  int64_t SilentSinceNs(const LinkState& state) const;
  int64_t SilentAtNs(const LinkState& state) const;
  bool Answers(const LinkState& state, int64_t now) const;
  bool OtherLinkAnswers(const LinkState& silent, uint64_t tried, int64_t now) const;
  void LeaveSilentLinks(int64_t now);
  void LeaveSilentLink(LinkState* state, int64_t now);
  int64_t NextSilenceNs(int64_t now) const;
  static int64_t LateAtNs(const LinkState& state, const Delivery& delivery);
  bool AnotherIsSooner(const LinkState& state, const Delivery& late, int64_t now) const;
  // The links that are not for what is late on this one, a bit each.
  uint64_t NotForHedges(const LinkState& state) const;
  bool Hedge(LinkState* state, int64_t now);
  void EndHedge(const LinkState& state, const Delivery& delivery);
  // Its message has, or may have, another delivery under way.
  bool GoesAnotherWay(const Delivery& delivery) const;
  // The first delivery of what is on its way to a second link has confirmed it: it is settled.
  bool WasConfirmedMeanwhile(int64_t key);
  // The links that the second delivery of a message may not take, a bit each.
  uint64_t NotForSecond(int64_t key);
  bool GoBackToFirst(const Delivery& delivery, uint64_t tried);
  bool Hedges() const;
  void HedgeLate(int64_t now);
  int64_t NextLateNs(int64_t now) const;
  void FlushSettlements();
  Room UpdateViews(int64_t now);
  size_t BacklogRoom(const LinkState& state, size_t room, int64_t now) const;
  void NoteRoad(LinkState* state, int64_t now);
  // Whether it has a connection, by what it would take.
  void NoteCredit(LinkState* state, size_t credit, int64_t now);
  void NoteTraffic(LinkState* state, int64_t now);
  enum class Pumped : uint8_t { kNothing, kInVain, kSome };
  Pumped Pump(bool put_off, int64_t now);
  void ClaimSome(const Room& room, bool put_off, int64_t now);
  void Describe(const LinkState& state, int64_t now, LinkView* view) const;
  bool Assign(size_t index, int64_t now);
  void PutOff(int64_t key, size_t kind, int64_t now);
  // True: there may be more that was not looked at yet.
  bool PumpAll(int64_t now);
  OutboundMessage Outbound(const OutboxMessage& message) const;
  size_t PartSize(const LinkState& state, size_t first) const;
  void DeliverBatch(size_t link_index, int64_t now);
  int64_t NextWake(int64_t now) const;

  const DispatcherOptions options_;
  Outbox* const outbox_;
  Selector* selector_;
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
  // Where those are that went to another link after that.
  absl::flat_hash_map<int64_t, Sent> repeated_;
  // What went another way besides, and where the first delivery is.
  absl::flat_hash_map<int64_t, Hedged> hedged_;
  RetryBudget retry_budget_;
  RetryBudget hedge_budget_;
  BacklogPace backlog_pace_;
  double backlog_share_ = 0;  // Messages of the backlog whose turn it is, whatever is live.
  Traffic traffic_;
  int64_t looked_ns_ = 0;  // At the links.
  // The link that each kind of message took last, when that was no choice of the moment.
  std::array<std::string, kMessageKinds> chosen_;
  std::vector<LinkSwitch> switches_;
  // Since when no message of the kind has found a link; 0: the last one did.
  std::array<int64_t, kMessageKinds> in_vain_ns_{};
};

}  // namespace viaduct
