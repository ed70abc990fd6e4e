#include "core/plugin/confirm_timeout.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

constexpr const char* kMark = "x-viaduct-confirm-timeout";

}  // namespace

absl::Duration ReadConfirmTimeout(std::string_view config_schema, const ConfigView& config) {
  const auto schema = nlohmann::json::parse(config_schema, nullptr, /*allow_exceptions=*/false);
  if (!schema.is_object()) return absl::ZeroDuration();
  const auto properties = schema.find("properties");
  if (properties == schema.end() || !properties->is_object()) return absl::ZeroDuration();
  for (const auto& [name, property] : properties->items()) {
    if (!property.is_object()) continue;
    const auto mark = property.find(kMark);
    if (mark == property.end() || *mark != true) continue;
    const absl::StatusOr<double> seconds = config.GetNumber(absl::StrCat("/", name));
    if (!seconds.ok()) return absl::ZeroDuration();
    return std::clamp(absl::Seconds(*seconds), absl::ZeroDuration(), kMaxConfirmTimeout);
  }
  return absl::ZeroDuration();
}

}  // namespace viaduct
