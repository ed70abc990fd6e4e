#include "json_config.h"

#include <cmath>
#include <limits>
#include <string_view>

#include "viaduct/cpp/text.h"

namespace viaduct::check {
namespace {

using nlohmann::json;

// One reference token of RFC 6901.
std::string Unescape(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); ++i) {
    const bool escaped = token[i] == '~' && i + 1 < token.size();
    if (!escaped) {
      out.push_back(token[i]);
    } else {
      out.push_back(token[++i] == '1' ? '/' : '~');
    }
  }
  return out;
}

const json* Step(const json* at, const std::string& name) {
  if (at->is_object()) {
    const auto found = at->find(name);
    return found == at->end() ? nullptr : &*found;
  }
  if (!at->is_array() || name.empty() || name.size() > 9 ||
      name.find_first_not_of("0123456789") != std::string::npos) {
    return nullptr;
  }
  const size_t index = std::stoul(name);
  return index < at->size() ? &(*at)[index] : nullptr;
}

}  // namespace

const vd_host_config_1* JsonConfig::Table() {
  static constexpr vd_host_config_1 kTable = {&Type,       &GetString, &GetInteger, &GetNumber,
                                              &GetBoolean, &GetSize,   &GetJson};
  return &kTable;
}

const json* JsonConfig::Find(const vd_config* config, vd_str pointer) {
  const json* at = &Of(config).document_;
  std::string_view rest = sdk::Text(pointer);
  while (at != nullptr && !rest.empty()) {
    if (rest.front() != '/') return nullptr;
    rest.remove_prefix(1);
    const size_t end = std::min(rest.find('/'), rest.size());
    at = Step(at, Unescape(rest.substr(0, end)));
    rest.remove_prefix(end);
  }
  return at;
}

uint32_t JsonConfig::Type(const vd_config* config, vd_str pointer) {
  const json* value = Find(config, pointer);
  if (value == nullptr) return VD_CONFIG_MISSING;
  switch (value->type()) {
    case json::value_t::boolean:
      return VD_CONFIG_BOOLEAN;
    case json::value_t::number_integer:
    case json::value_t::number_unsigned:
      return VD_CONFIG_INTEGER;
    case json::value_t::number_float:
      return VD_CONFIG_NUMBER;
    case json::value_t::string:
      return VD_CONFIG_STRING;
    case json::value_t::array:
      return VD_CONFIG_LIST;
    case json::value_t::object:
      return VD_CONFIG_OBJECT;
    default:
      return VD_CONFIG_NULL;
  }
}

int32_t JsonConfig::GetString(const vd_config* config, vd_str pointer, vd_str* out) {
  const json* value = Find(config, pointer);
  if (value == nullptr) return VD_NOT_FOUND;
  if (!value->is_string()) return VD_INVALID_ARGUMENT;
  // A copy that is exactly as large as its text: who reads beyond reads outside of the block.
  Of(config).lent_.push_back(value->get<std::string>());
  *out = sdk::Str(Of(config).lent_.back());
  return VD_OK;
}

int32_t JsonConfig::GetInteger(const vd_config* config, vd_str pointer, int64_t* out) {
  const json* value = Find(config, pointer);
  if (value == nullptr) return VD_NOT_FOUND;
  if (!value->is_number()) return VD_INVALID_ARGUMENT;
  if (value->is_number_unsigned() &&
      value->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return VD_OUT_OF_RANGE;
  }
  if (value->is_number_float()) {
    const double number = value->get<double>();
    if (std::floor(number) != number) return VD_INVALID_ARGUMENT;
    if (number < -0x1p63 || number >= 0x1p63) return VD_OUT_OF_RANGE;
  }
  *out = value->get<int64_t>();
  return VD_OK;
}

int32_t JsonConfig::GetNumber(const vd_config* config, vd_str pointer, double* out) {
  const json* value = Find(config, pointer);
  if (value == nullptr) return VD_NOT_FOUND;
  if (!value->is_number()) return VD_INVALID_ARGUMENT;
  *out = value->get<double>();
  return VD_OK;
}

int32_t JsonConfig::GetBoolean(const vd_config* config, vd_str pointer, uint32_t* out) {
  const json* value = Find(config, pointer);
  if (value == nullptr) return VD_NOT_FOUND;
  if (!value->is_boolean()) return VD_INVALID_ARGUMENT;
  *out = value->get<bool>() ? 1 : 0;
  return VD_OK;
}

int32_t JsonConfig::GetSize(const vd_config* config, vd_str pointer, uint64_t* out) {
  const json* value = Find(config, pointer);
  if (value == nullptr) return VD_NOT_FOUND;
  if (!value->is_structured()) return VD_INVALID_ARGUMENT;
  *out = value->size();
  return VD_OK;
}

int32_t JsonConfig::GetJson(const vd_config* config, vd_str pointer, vd_str* out) {
  const json* value = Find(config, pointer);
  if (value == nullptr) return VD_NOT_FOUND;
  Of(config).lent_.push_back(value->dump());
  *out = sdk::Str(Of(config).lent_.back());
  return VD_OK;
}

}  // namespace viaduct::check
