#include "core/transfer/transfer_names.h"

#include "absl/hash/hash.h"

namespace viaduct {
namespace {

uint64_t DigestOfName(const std::string& name) { return absl::Hash<std::string>()(name); }

// What was cancelled has nothing there.
bool HasName(const Transfer* transfer) {
  return transfer != nullptr && transfer->state != TransferState::kCancelled;
}

}  // namespace

void TransferNames::Move(const Transfer* before, const Transfer* after) {
  const bool same = HasName(before) && HasName(after) && before->sequence == after->sequence &&
                    before->remote_name == after->remote_name;
  if (same) return;
  if (HasName(before)) {
    const Entry entry(DigestOfName(before->remote_name), before->sequence);
    if (entries_.erase(entry) > 0) journal_.emplace_back(entry, false);
  }
  if (HasName(after)) {
    const Entry entry(DigestOfName(after->remote_name), after->sequence);
    if (entries_.insert(entry).second) journal_.emplace_back(entry, true);
  }
}

void TransferNames::Rollback() {
  for (auto it = journal_.rbegin(); it != journal_.rend(); ++it) {
    if (it->second) {
      entries_.erase(it->first);
    } else {
      entries_.insert(it->first);
    }
  }
  journal_.clear();
}

void TransferNames::Clear() {
  entries_.clear();
  journal_.clear();
}

std::vector<int64_t> TransferNames::Candidates(const std::string& name) const {
  std::vector<int64_t> sequences;
  const uint64_t digest = DigestOfName(name);
  for (auto it = entries_.lower_bound({digest, 0}); it != entries_.end() && it->first == digest;
       ++it) {
    sequences.push_back(it->second);
  }
  return sequences;
}

}  // namespace viaduct
