// A road for files as the engine sees it. host/node implements it over an instance that offers
// viaduct.file/1; tests implement it directly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/gateway/link_quality.h"
#include "core/plugin/file_road.h"

namespace viaduct {

// Thread-safe.
class TransferRoad {
 public:
  virtual ~TransferRoad() = default;
  virtual bool ready() const = 0;
  // How many more files it would take now.
  virtual size_t credit() const = 0;
  // As FileRoad::Begin and FileRoad::Cancel.
  virtual absl::StatusOr<uint64_t> Begin(FileJob job, FileProgressFn progress, FileDoneFn done) = 0;
  virtual void Cancel(uint64_t ticket) = 0;
  // As FileRoad::Discard.
  virtual absl::Status Discard(FileLeftover leftover) = 0;
};

// One road, and what is known of it.
struct RoadEntry {
  std::string name;    // Of the instance.
  std::string plugin;  // Behind it: rules may name either.
  bool metered = false;
  std::shared_ptr<TransferRoad> road;
};

struct RoadQuality {
  LinkQuality quality = LinkQuality::kUnknown;
  double score = 0;
};

}  // namespace viaduct
