// By which keys a node encrypts: the section "encryption".
#pragma once

#include <optional>
#include <string>

#include "core/config/node_config.h"

namespace viaduct {

struct EncryptionOptionsConfig {
  std::string keys;  // Absolute path.
  bool seal = false;
  bool accept_unbound = false;
};

// None: the node has no keys.
std::optional<EncryptionOptionsConfig> ReadEncryptionOptions(const NodeConfig& config);

}  // namespace viaduct
