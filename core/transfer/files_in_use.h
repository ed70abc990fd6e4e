// Files outside of the node's own folder that a transfer still needs, or that are being taken in:
// whatever else is confirmed, these are not removed. By device and inode, whatever their paths.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "core/transfer/file_stamp.h"
#include "core/transfer/transfer.h"

namespace viaduct {

class FilesInUse {
 public:
  // As the rows of a transaction change; either may be none. Of the queue's thread, as the next
  // three.
  void Move(const Transfer* before, const Transfer* after);
  // The transaction is in effect, or it is not.
  void Commit();
  void Rollback() { journal_.clear(); }
  // All rows are told anew. Until that is in effect, what was needed before still is: somebody may
  // be about to remove it.
  void Clear();

  // Thread-safe from here on. The file is needed as long as the result lives.
  std::shared_ptr<const void> Claim(const FileStamp& stamp);
  // Runs `remove` where nobody needs the file, and nobody can claim it meanwhile.
  bool IfUnused(const FileStamp& stamp, absl::FunctionRef<void()> remove) const;

 private:
  using Key = std::pair<uint64_t, uint64_t>;  // Device, inode.
  struct Counts {
    mutable absl::Mutex mutex;
    absl::flat_hash_map<Key, uint32_t> rows ABSL_GUARDED_BY(mutex);
    absl::flat_hash_map<Key, uint32_t> claims ABSL_GUARDED_BY(mutex);
  };

  static Key KeyOf(const FileStamp& stamp) { return {stamp.device, stamp.inode}; }

  // Claims may outlive this.
  const std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
  std::vector<std::pair<Key, bool>> journal_;  // True: added.
  bool anew_ = false;                          // The next commit has all rows.
};

}  // namespace viaduct
