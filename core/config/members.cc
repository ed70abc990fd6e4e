#include "core/config/members.h"

#include "absl/strings/str_cat.h"
#include "core/config/units.h"

namespace viaduct::members {

using nlohmann::json;

json SectionOf(const NodeConfig& config, std::string_view name) {
  const json sections = json::parse(config.sections_json, nullptr, /*allow_exceptions=*/false);
  return At(sections, name);
}

const json& At(const json& section, std::string_view key) {
  static const json kNothing = nullptr;
  if (!section.is_object()) return kNothing;
  const auto found = section.find(std::string(key));
  return found == section.end() ? kNothing : *found;
}

std::string Text(const json& section, std::string_view key) {
  const json& value = At(section, key);
  return value.is_string() ? value.get<std::string>() : "";
}

uint32_t Number(const json& section, std::string_view key) {
  const json& value = At(section, key);
  return value.is_number() ? value.get<uint32_t>() : 0;
}

double Real(const json& section, std::string_view key) {
  const json& value = At(section, key);
  return value.is_number() ? value.get<double>() : 0;
}

bool Flag(const json& section, std::string_view key) {
  const json& value = At(section, key);
  return value.is_boolean() && value.get<bool>();
}

uint64_t Bytes(const json& section, std::string_view key) {
  const json& value = At(section, key);
  if (value.is_number()) return value.get<uint64_t>();
  return value.is_string() ? ParseBytes(value.get_ref<const std::string&>()).value_or(0) : 0;
}

absl::Duration Time(const json& section, std::string_view key, absl::Duration absent) {
  const json& value = At(section, key);
  if (!value.is_string()) return absent;
  return ParseDuration(value.get_ref<const std::string&>()).value_or(absent);
}

std::string Below(const std::string& folder, const std::string& path) {
  if (!path.empty() && path[0] == '/') return path;
  return absl::StrCat(folder, folder.empty() || folder.back() != '/' ? "/" : "", path);
}

std::string FileBelow(const std::string& folder, const json& section, std::string_view key) {
  const std::string path = Text(section, key);
  return path.empty() ? path : Below(folder, path);
}

}  // namespace viaduct::members
