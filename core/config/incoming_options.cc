#include "core/config/incoming_options.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/config/units.h"

namespace viaduct {
namespace {

using nlohmann::json;

absl::Duration TimeIn(const json& section, const char* key) {
  return ParseDuration(section.value(key, "")).value_or(absl::ZeroDuration());
}

uint64_t BytesIn(const json& section, const char* key) {
  const json value = section.value(key, json());
  if (value.is_number()) return value.get<uint64_t>();
  return value.is_string() ? ParseBytes(value.get<std::string>()).value_or(0) : 0;
}

std::string Below(const std::string& folder, const std::string& path) {
  return !path.empty() && path[0] == '/' ? path : absl::StrCat(folder, "/", path);
}

}  // namespace

std::optional<IncomingOptionsConfig> ReadIncomingOptions(const NodeConfig& config) {
  // Checked against the schema, with the defaults filled in.
  const json sections = json::parse(config.sections_json, nullptr, /*allow_exceptions=*/false);
  const json section = sections.is_object() ? sections.value("incoming", json()) : json();
  if (!section.is_object()) return std::nullopt;
  IncomingOptionsConfig options;
  options.folder = Below(config.node.data_dir, section.value("folder", "incoming"));
  options.inside = section.value("inside", "");
  options.files = Below(config.node.data_dir, section.value("files", "files"));
  options.settle = TimeIn(section, "settle");
  options.rescan = TimeIn(section, "rescan");
  options.wait = TimeIn(section, "wait");
  options.keep = TimeIn(section, "keep");
  options.keep_parts = TimeIn(section, "keep_parts");
  options.max_bytes_per_device = BytesIn(section, "max_bytes_per_device");
  options.min_free_bytes = BytesIn(section, "min_free_bytes");
  options.parallel = section.value("parallel", 1);
  return options;
}

}  // namespace viaduct
