// The host side of viaduct.deliver/1.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/gateway/link.h"
#include "viaduct/abi/abi.h"

namespace viaduct {

class Incarnation;
class LinkHandlers;

// Hands batches to the plugin and sees to it that each taken message ends exactly once, whatever
// the plugin does. Thread-safe.
class DeliverSide {
 public:
  static constexpr size_t kMaxBatch = 256;  // Messages of one call; the rest is not taken.

  DeliverSide(Incarnation* owner, std::shared_ptr<LinkHandlers> handlers);

  size_t Credit();
  size_t Deliver(absl::Span<const OutboundMessage> batch);
  // Ends whatever is still held as cancelled and takes nothing any more.
  void CancelAll();
  size_t in_flight() const;

  static const vd_host_deliver_1* Table();

 private:
  // A place for one message. The plugin's token is its index and how often it was used, so that an
  // old token never hits a new message.
  struct Slot {
    enum class State : uint8_t { kFree, kOffered, kEarly, kHeld };
    uint64_t host_token = 0;
    uint32_t use = 0;
    State state = State::kFree;
    uint16_t lane = 0;      // While offered: by which lane's call,
    uint16_t position = 0;  // and where in its batch.
  };
  struct LaneScratch {  // Belongs to whoever is on the lane's strand.
    std::vector<vd_message> messages;
    std::vector<uint32_t> slots;
  };
  // Completions that came while the plugin was still inside deliver of one lane.
  struct Early {
    std::vector<Completion> completions;
    std::vector<uint16_t> positions;  // In the batch.
  };
  using Completions = std::vector<Completion>;

  size_t Offer(absl::Span<const OutboundMessage> batch, uint32_t lane, Completions* early);
  size_t Reserve(absl::Span<const OutboundMessage> batch, uint32_t lane);
  uint64_t Call(uint32_t lane, const LaneScratch& scratch, size_t count);
  size_t Settle(uint32_t lane, size_t count, size_t taken, Completions* early);
  void Complete(const vd_completion_list* list);
  bool TakeLocked(const vd_completion& theirs, Completions* done)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FreeLocked(uint32_t slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Finish(const Completions& done);
  void TellReadySoon();

  static void FilterEarly(size_t taken, Early* early);
  static void OnComplete(const vd_host* host, const vd_completion_list* completions);
  static void OnRoom(const vd_host* host, uint32_t lane);

  Incarnation* const owner_;
  const std::shared_ptr<LinkHandlers> handlers_;
  std::atomic<uint32_t> next_lane_{0};
  std::vector<LaneScratch> scratch_;  // One per lane.
  mutable absl::Mutex mutex_;
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint32_t> free_ ABSL_GUARDED_BY(mutex_);
  std::vector<Early> early_ ABSL_GUARDED_BY(mutex_);
  size_t in_flight_ ABSL_GUARDED_BY(mutex_) = 0;  // Held and offered.
  size_t offered_ ABSL_GUARDED_BY(mutex_) = 0;  // Given to a call of deliver that has not returned.
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace viaduct
