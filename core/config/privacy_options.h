// How long what is stored is kept and who sees plates: the section "privacy".
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/config/node_config.h"

namespace viaduct {

struct PrivacyOptionsConfig {
  std::vector<std::string> mask_plates_for;  // Names of roles.
  // Infinite: kept.
  struct Retention {
    absl::Duration detections = absl::InfiniteDuration();
    absl::Duration images = absl::InfiniteDuration();
    absl::Duration health = absl::InfiniteDuration();
    absl::Duration messages = absl::InfiniteDuration();
    absl::Duration communication_logs = absl::InfiniteDuration();
    absl::Duration file_transfers = absl::InfiniteDuration();
  } retention;
};

PrivacyOptionsConfig ReadPrivacyOptions(const NodeConfig& config);

}  // namespace viaduct
