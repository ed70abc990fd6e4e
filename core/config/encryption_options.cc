#include "core/config/encryption_options.h"

#include <nlohmann/json.hpp>

#include "core/config/members.h"

namespace viaduct {

std::optional<EncryptionOptionsConfig> ReadEncryptionOptions(const NodeConfig& config) {
  const nlohmann::json section = members::SectionOf(config, "encryption");
  if (!section.is_object()) return std::nullopt;
  EncryptionOptionsConfig options;
  options.keys = members::FileBelow(config.node.data_dir, section, "keys");
  options.seal = members::Flag(section, "seal");
  options.accept_unbound = members::Flag(section, "accept_unbound");
  return options;
}

}  // namespace viaduct
