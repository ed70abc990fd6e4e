// How files of devices come in: the section "incoming".
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "core/config/node_config.h"

namespace viaduct {

struct IncomingOptionsConfig {
  std::string folder;  // Absolute, as `files`.
  std::string inside;
  std::string files;
  absl::Duration settle;
  absl::Duration rescan;
  absl::Duration wait;
  absl::Duration keep;
  absl::Duration keep_parts;
  uint64_t max_bytes_per_device = 0;
  uint64_t min_free_bytes = 0;
  int parallel = 1;
};

// None: no files are taken in.
std::optional<IncomingOptionsConfig> ReadIncomingOptions(const NodeConfig& config);

}  // namespace viaduct
