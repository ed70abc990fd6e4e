#include "core/transfer/files_in_use.h"

namespace viaduct {
namespace {

// One that has failed may be retried.
bool Needs(const Transfer* transfer) {
  return transfer != nullptr && transfer->owner != FileOwner::kNode && transfer->stamp.inode != 0 &&
         !IsFinished(transfer->state);
}

template <typename Map, typename Key>
void CountDown(Map* counts, const Key& key) {
  const auto found = counts->find(key);
  if (found != counts->end() && --found->second == 0) counts->erase(found);
}

}  // namespace

void FilesInUse::Move(const Transfer* before, const Transfer* after) {
  if (Needs(before)) journal_.emplace_back(KeyOf(before->stamp), false);
  if (Needs(after)) journal_.emplace_back(KeyOf(after->stamp), true);
}

void FilesInUse::Commit() {
  absl::MutexLock lock(&counts_->mutex);
  if (std::exchange(anew_, false)) counts_->rows.clear();
  for (const auto& [key, added] : journal_) {
    if (added) {
      ++counts_->rows[key];
    } else {
      CountDown(&counts_->rows, key);
    }
  }
  journal_.clear();
}

void FilesInUse::Clear() {
  journal_.clear();
  anew_ = true;
}

std::shared_ptr<const void> FilesInUse::Claim(const FileStamp& stamp) {
  const Key key = KeyOf(stamp);
  {
    absl::MutexLock lock(&counts_->mutex);
    ++counts_->claims[key];
  }
  return {nullptr, [counts = counts_, key](const void*) {
            absl::MutexLock lock(&counts->mutex);
            CountDown(&counts->claims, key);
          }};
}

bool FilesInUse::IfUnused(const FileStamp& stamp, absl::FunctionRef<void()> remove) const {
  const Key key = KeyOf(stamp);
  absl::MutexLock lock(&counts_->mutex);
  if (counts_->rows.contains(key) || counts_->claims.contains(key)) return false;
  remove();
  return true;
}

}  // namespace viaduct
