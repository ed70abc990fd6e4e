#include "core/config/privacy_options.h"

#include <nlohmann/json.hpp>

#include "core/config/members.h"

namespace viaduct {

using nlohmann::json;

PrivacyOptionsConfig ReadPrivacyOptions(const NodeConfig& config) {
  const json section = members::SectionOf(config, "privacy");
  PrivacyOptionsConfig options;
  for (const json& role : members::At(section, "mask_plates_for")) {
    if (role.is_string()) options.mask_plates_for.push_back(role.get<std::string>());
  }
  const json& retention = members::At(section, "retention");
  const auto kept = [&retention](const char* table) {
    return members::Time(retention, table, absl::InfiniteDuration());
  };
  options.retention = {
      kept("detections"),         kept("images"),        kept("health"), kept("messages"),
      kept("communication_logs"), kept("file_transfers")};
  return options;
}

}  // namespace viaduct
