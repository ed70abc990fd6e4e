#include "core/lpr/json_fields.h"

#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/envelope.h"
#include "core/message/identity.h"

namespace viaduct {
namespace {

constexpr int kMaxDepth = 32;

absl::Status Bad(std::string_view name, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(AbslView(name), ": ", AbslView(what)));
}

absl::Status WrongType(std::string_view name, std::string_view expected, const JsonSlice& value) {
  return Bad(name, absl::StrCat("expected ", AbslView(expected), ", got ",
                                AbslView(JsonTypeName(value.type))));
}

}  // namespace

absl::StatusOr<JsonFields> JsonFields::Parse(std::string_view json, size_t max_bytes) {
  JsonScanLimits limits;
  limits.max_bytes = max_bytes;
  limits.max_depth = kMaxDepth;
  JsonFields fields;
  VD_RETURN_IF_ERROR(JsonScanner(json, limits).ScanObject(&fields.members_));
  return fields;
}

const JsonSlice* JsonFields::Find(std::string_view name) const {
  for (const JsonMember& member : members_) {
    if (member.key == name && member.value.type != JsonType::kNull) return &member.value;
  }
  return nullptr;
}

absl::StatusOr<std::optional<std::string>> JsonFields::Text(
    std::initializer_list<std::string_view> names, size_t max_bytes) const {
  for (const std::string_view name : names) {
    const JsonSlice* value = Find(name);
    if (value == nullptr) continue;
    if (value->type != JsonType::kString) return WrongType(name, "a string", *value);
    std::string text = DecodeJsonString(value->text);
    if (text.size() > max_bytes) {
      return Bad(name, absl::StrCat("too long, ", text.size(), " bytes, limit ", max_bytes));
    }
    return std::optional<std::string>(std::move(text));
  }
  return std::optional<std::string>();
}

absl::StatusOr<std::optional<std::string>> JsonFields::Identity() const {
  const size_t max_bytes = ParseLimits().max_id_bytes;
  for (const std::string_view name : kIdentityAliases) {
    VD_ASSIGN_OR_RETURN(std::optional<std::string> id, Text({name}, max_bytes));
    if (!id.has_value() || id->empty()) continue;
    const absl::Status checked = CheckIdentifier(*id, max_bytes);
    if (!checked.ok()) return Bad(name, StdView(checked.message()));
    return id;
  }
  return std::optional<std::string>();
}

absl::StatusOr<std::optional<double>> JsonFields::Number(std::string_view name) const {
  const JsonSlice* value = Find(name);
  if (value == nullptr) return std::optional<double>();
  double number = 0;
  if (value->type != JsonType::kNumber || !absl::SimpleAtod(AbslView(value->text), &number) ||
      !std::isfinite(number)) {
    return WrongType(name, "a number", *value);
  }
  return std::optional<double>(number);
}

absl::StatusOr<std::optional<std::string>> JsonFields::Object(std::string_view name) const {
  const JsonSlice* value = Find(name);
  if (value == nullptr) return std::optional<std::string>();
  if (value->type == JsonType::kObject) return std::optional<std::string>(value->text);
  if (value->type != JsonType::kString) return WrongType(name, "an object", *value);
  std::string text = DecodeJsonString(value->text);
  JsonSlice inner;
  if (!JsonScanner(text, JsonScanLimits()).ScanDocument(&inner).ok() ||
      inner.type != JsonType::kObject) {
    return WrongType(name, "an object", *value);
  }
  return std::optional<std::string>(std::move(text));
}

absl::StatusOr<std::optional<absl::Time>> JsonFields::Time(std::string_view name,
                                                           absl::TimeZone naive_zone) const {
  VD_ASSIGN_OR_RETURN(const std::optional<std::string> text, Text({name}, 64));
  if (!text.has_value() || text->empty()) return std::optional<absl::Time>();
  absl::StatusOr<absl::Time> time = ParseTimestamp(*text, naive_zone);
  if (!time.ok()) return Bad(name, StdView(time.status().message()));
  return std::optional<absl::Time>(*time);
}

}  // namespace viaduct
