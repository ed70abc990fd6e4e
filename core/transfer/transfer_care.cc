#include "core/transfer/transfer_care.h"

#include <algorithm>
#include <vector>

namespace viaduct {

size_t TransferCare::Look() {
  std::vector<Transfer> held;
  const auto collect = [&](const Transfer& transfer) {
    if (transfer.held) held.push_back(transfer);
    return held.size() < kMaxAtOnce;
  };
  // Of a cancelled one only what is in the node's own folder: a watch folder keeps what is not
  // sent.
  const auto collect_ours = [&](const Transfer& transfer) {
    return transfer.owner != FileOwner::kNode || collect(transfer);
  };
  if (!queue_->Each(TransferState::kDone, collect, after_).ok()) return 0;
  const size_t done = held.size();
  if (!queue_->Each(TransferState::kCancelled, collect_ours).ok()) return 0;
  size_t removed = 0;
  size_t refused = 0;
  uint64_t held_bytes = queue_->Counts().held_bytes;
  for (size_t i = 0; i < held.size(); ++i) {
    const int64_t free = free_bytes_();
    const bool short_of_space = free < 0 || static_cast<uint64_t>(free) < options_.min_free_bytes;
    const bool over = i >= done || clock_->Now() - held[i].changed >= options_.keep;
    const bool ours = held[i].owner == FileOwner::kNode;
    const bool crowded = ours && held_bytes > options_.max_held_bytes;
    if (!(over || short_of_space || crowded)) continue;
    if (!removal_.Remove(held[i])) {
      ++refused;
      continue;
    }
    ++removed;
    if (ours) held_bytes -= std::min(held_bytes, held[i].size);
  }
  // Those that cannot go must not stand before the others.
  const bool more = done == kMaxAtOnce;
  after_ = more && refused > 0 ? held[done - 1].sequence : 0;
  return removed;
}

}  // namespace viaduct
