#include "core/config/incoming_options.h"

#include <nlohmann/json.hpp>

#include "core/config/members.h"

namespace viaduct {

using members::Below;
using members::Bytes;
using members::Time;
using nlohmann::json;

std::optional<IncomingOptionsConfig> ReadIncomingOptions(const NodeConfig& config) {
  const json section = members::SectionOf(config, "incoming");
  if (!section.is_object()) return std::nullopt;
  IncomingOptionsConfig options;
  options.folder = Below(config.node.data_dir, section.value("folder", "incoming"));
  options.inside = section.value("inside", "");
  options.files = Below(config.node.data_dir, section.value("files", "files"));
  options.settle = Time(section, "settle");
  options.rescan = Time(section, "rescan");
  options.wait = Time(section, "wait");
  options.keep = Time(section, "keep");
  options.keep_parts = Time(section, "keep_parts");
  options.max_bytes_per_device = Bytes(section, "max_bytes_per_device");
  options.min_free_bytes = Bytes(section, "min_free_bytes");
  options.parallel = section.value("parallel", 1);
  return options;
}

}  // namespace viaduct
