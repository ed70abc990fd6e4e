// How files leave this node: the section "transfers".
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "core/config/node_config.h"

namespace viaduct {

struct WatchOptionsConfig {
  std::string path;    // Absolute.
  std::string device;  // "": this node.
  std::string priority;
  std::string kind;
  bool remove = false;  // Once it is confirmed.
  absl::Duration settle;
  absl::Duration rescan;
};

struct TransferOptionsConfig {
  std::string folder;  // Absolute.
  std::vector<std::string> roots;
  uint64_t max_files = 0;
  uint64_t max_bytes = 0;
  uint64_t max_file_bytes = 0;
  uint64_t min_free_bytes = 0;
  bool server_confirms = false;
  absl::Duration confirm_timeout;
  bool announce = true;
  std::string images;  // "inline", "file" or "auto".
  uint64_t images_from = 0;
  uint32_t parallel_files = 0;
  uint64_t parallel_bytes = 0;
  uint64_t large_from = 0;
  uint32_t parallel_large = 0;
  uint64_t bytes_per_second = 0;             // 0: no limit.
  std::vector<std::pair<int, int>> windows;  // Minutes of the day: from, to.
  std::string min_quality;
  bool unmetered_only = false;
  bool urgent = false;
  RetryOptions retry;
  uint32_t breaker_failures = 0;
  uint32_t max_attempts = 0;
  absl::Duration stall_timeout;
  absl::Duration keep;
  uint64_t history = 0;
  std::vector<WatchOptionsConfig> watch;
};

TransferOptionsConfig ReadTransferOptions(const NodeConfig& config);

}  // namespace viaduct
