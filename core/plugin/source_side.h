// The host side of viaduct.source/1.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "core/plugin/frames.h"
#include "viaduct/abi/abi.h"

namespace viaduct {

// Takes frames while there is room and a consumer, and tells the source how each ended.
// Thread-safe.
class SourceSide {
 public:
  SourceSide(Incarnation* owner, std::shared_ptr<FrameConsumer> consumer);

  // Tells the plugin how many frames it may push: none without a consumer.
  void OfferRoom();
  // Forgets what is under way: the instance stops.
  void Drop();

  static const vd_host_source_1* Table();

 private:
  int32_t Push(const vd_frame& frame);
  int32_t Check(const vd_frame& frame) const;
  int32_t Admit(const vd_frame& frame, uint64_t* ticket);
  bool Forget(uint64_t token, uint64_t ticket);
  void Finish(uint64_t token, uint64_t ticket, Outcome outcome);
  static int32_t OnPush(const vd_host* host, const vd_frame* frame);

  Incarnation* const owner_;
  const std::shared_ptr<FrameConsumer> consumer_;
  absl::Mutex mutex_;
  absl::flat_hash_map<uint64_t, uint64_t> under_way_ ABSL_GUARDED_BY(mutex_);  // Token to ticket.
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace viaduct
