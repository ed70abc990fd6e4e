// The deliveries that one link has in flight, by token. Tokens are checked, not trusted: a plugin
// may complete twice, late, or something it never got. Internal to core/gateway.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/message/envelope.h"

namespace viaduct {

struct Delivery {
  int64_t key = 0;
  uint32_t attempts = 0;  // Before this one.
  uint32_t bytes = 0;
  uint64_t bytes_ahead = 0;  // Under way on the link when it was sent.
  uint64_t end = 0;          // Among all bytes that the link was given; Add sets it.
  int64_t sent_ns = 0;
  int64_t deadline_ns = 0;          // When the link has had its time; Add may make it later.
  int64_t message_deadline_ns = 0;  // 0: none.
  uint64_t tried = 0;               // Links that failed it before, a bit each.
  bool backlog = false;
  // Its message has gone another way besides: this one tells of its link, and confirms the message
  // if it is the first to do so.
  bool hedged = false;
};

// Thread-compatible. Capacity is the link's window.
class DeliveryTable {
 public:
  enum class Found : uint8_t { kActive, kLate, kUnknown };

  explicit DeliveryTable(size_t capacity);

  size_t capacity() const { return slots_.size(); }
  size_t active() const { return active_; }
  // Timed out, but the link still has them; they go on counting against the window.
  size_t abandoned() const { return abandoned_; }
  uint64_t active_bytes() const { return active_bytes_; }
  size_t active_backlog() const { return active_backlog_; }
  size_t active_hedged() const { return active_hedged_; }
  size_t room() const { return free_.size(); }

  // There must be room. A road is gone through in order: no deadline is before that of one that was
  // sent earlier and is still active.
  uint64_t Add(Delivery delivery);
  // As if it had not been added.
  void TakeBack(uint64_t token);
  // Ends a delivery; kLate: it was abandoned before.
  Found Finish(uint64_t token, Delivery* delivery);
  // The oldest active delivery; null when there is none.
  const Delivery* Oldest() const;
  // Calls `look` with the token of each of the oldest active ones, so many at most, until it says
  // false.
  void LookAtOldest(size_t most, absl::FunctionRef<bool(uint64_t, const Delivery&)> look) const;
  // The message of that one, if it is active, goes another way besides,
  void Hedge(uint64_t token);
  // or goes this way alone again; so many links have failed it. False: it is not active.
  bool Unhedge(uint64_t token, uint64_t tried);
  // What has to go through until the oldest is there: itself, and what is before it and behind
  // everything that has been answered; what was abandoned may still be on its way.
  uint64_t BytesToOldest() const;
  // Abandons it. There must be one.
  void AbandonOldest(Delivery* delivery);
  // The same if its deadline has come.
  bool AbandonDue(int64_t now_ns, Delivery* delivery);
  // The next deadline; -1 when there is none.
  int64_t NextDeadlineNs() const;
  // Forgets abandoned deliveries after ten times their time: a link that loses some now and
  // then must not lose its whole window in the end.
  void Reclaim(int64_t now_ns);
  // When there is something to reclaim; -1 when there will be nothing.
  int64_t NextReclaimNs() const;
  // Of all deliveries: those links have failed nothing.
  void ForgetTried(uint64_t links);
  // Takes out any active delivery, for a link that goes away.
  bool TakeAny(Delivery* delivery);

 private:
  enum class State : uint8_t { kFree, kActive, kAbandoned };
  static constexpr uint32_t kNoSlot = 0xffffffff;
  struct Slot {
    State state = State::kFree;
    uint32_t generation = 0;
    uint32_t older = kNoSlot;  // Among the active ones, in the order of sending.
    uint32_t newer = kNoSlot;
    Delivery delivery;
  };

  Slot* Lookup(uint64_t token);
  void Free(uint32_t index);
  void Unlink(Slot* slot);

  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::deque<std::pair<int64_t, uint64_t>> abandoned_order_;  // (when, token), some finished.
  uint32_t oldest_ = kNoSlot;
  uint32_t newest_ = kNoSlot;
  size_t active_ = 0;
  size_t abandoned_ = 0;
  uint64_t active_bytes_ = 0;
  uint64_t added_bytes_ = 0;   // Ever,
  uint64_t answered_end_ = 0;  // and of them up to the last that was finished.
  size_t active_backlog_ = 0;
  size_t active_hedged_ = 0;
};

}  // namespace viaduct
