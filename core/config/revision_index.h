// What the revision store knows, as one value that is on disk or is not. Internal to the room.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/config/revision_store.h"

namespace viaduct {

inline constexpr size_t kMaxIndexBytes = 4u << 20;

struct RevisionIndex {
  uint64_t next = 1;
  uint64_t head = 0;
  uint64_t last_good = 0;
  std::string file_sha256;  // Of the text last taken over from --config.
  uint64_t starting = 0;    // The revision whose start has begun and not yet proved good.
  int attempts = 0;         // How often in a row.
  std::map<uint64_t, Revision> revisions;

  const Revision* Find(uint64_t number) const;
};

std::string WriteIndex(const RevisionIndex& index);
// DATA_LOSS: not an index.
absl::StatusOr<RevisionIndex> ReadIndex(std::string_view text);

}  // namespace viaduct
