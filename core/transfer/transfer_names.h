// Which transfers have a name on the server, so that no two have the same. In 16 octets each: by
// the digest of the name, who has it must be asked.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "core/transfer/transfer.h"

namespace viaduct {

// Thread-compatible.
class TransferNames {
 public:
  // As the rows of a transaction change; either may be none.
  void Move(const Transfer* before, const Transfer* after);
  // The transaction is in effect, or it is not.
  void Commit() { journal_.clear(); }
  void Rollback();
  void Clear();
  // Sequences of those that may have that name, in their order.
  std::vector<int64_t> Candidates(const std::string& name) const;

 private:
  using Entry = std::pair<uint64_t, int64_t>;  // Digest of the name, sequence.

  absl::btree_set<Entry> entries_;
  std::vector<std::pair<Entry, bool>> journal_;  // True: added.
};

}  // namespace viaduct
