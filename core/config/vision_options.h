// Which pictures are looked at by whom: the section "vision".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/config/node_config.h"

namespace viaduct {

enum class FeedResults : uint8_t { kFound, kAll, kNone };  // What becomes a detection.

struct FeedOptions {
  std::string source;              // Instance; the feed is called after it.
  std::vector<std::string> infer;  // Instances, the first that takes a frame gets it.
  std::string options_json;        // Of each inference; "" for none.
  size_t waiting = 1;              // Frames that wait.
  absl::Duration deadline = absl::Seconds(2);
  FeedResults results = FeedResults::kFound;
  std::string device;      // edge_device_id of detections.
  std::string checkpoint;  // "": that of the result alone.
  std::string priority = "normal";

  bool operator==(const FeedOptions& other) const;
};

std::vector<FeedOptions> ReadFeeds(const NodeConfig& config);

}  // namespace viaduct
