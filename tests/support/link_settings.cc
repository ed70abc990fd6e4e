#include "tests/support/link_settings.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace viaduct::support {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxShownBytes = 80;  // Of a wrong value in an error.

absl::Status Wrong(const char* key, const Json& value, const std::string& wanted) {
  const std::string text = value.dump(-1, ' ', true);
  return absl::InvalidArgumentError(
      absl::StrCat(key, ": must be ", wanted, ", not ", text.substr(0, kMaxShownBytes)));
}

absl::Status ReadFlag(const Json& object, const char* key, bool* out) {
  if (!object.contains(key)) return absl::OkStatus();
  if (!object[key].is_boolean()) return Wrong(key, object[key], "true or false");
  *out = object[key].get<bool>();
  return absl::OkStatus();
}

absl::Status ReadFields(const Json& object, ShaperSettings* settings) {
  VD_RETURN_IF_ERROR(ReadNumber(object, "delay_ms", 0, kMaxDelayMs, &settings->delay_ms));
  VD_RETURN_IF_ERROR(ReadNumber(object, "jitter_ms", 0, kMaxDelayMs, &settings->jitter_ms));
  VD_RETURN_IF_ERROR(ReadFlag(object, "reorder", &settings->reorder));
  VD_RETURN_IF_ERROR(ReadNumber(object, "rate_kbit", 0, kMaxRateKbit, &settings->rate_kbit));
  if (settings->rate_kbit > 0 && settings->rate_kbit < 1) {
    return Wrong("rate_kbit", object["rate_kbit"], "0 or at least 1");
  }
  double queue = static_cast<double>(settings->queue_bytes);
  VD_RETURN_IF_ERROR(ReadNumber(object, "queue_bytes", static_cast<double>(kMinQueueBytes),
                                static_cast<double>(kMaxQueueBytes), &queue));
  settings->queue_bytes = static_cast<int64_t>(queue);
  return ReadNumber(object, "loss_percent", 0, 100, &settings->loss_percent);
}

}  // namespace

absl::Status CheckKeys(const Json& object, std::initializer_list<std::string_view> keys,
                       const std::string& what) {
  if (!object.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": must be a JSON object"));
  }
  for (const auto& item : object.items()) {
    if (std::find(keys.begin(), keys.end(), item.key()) == keys.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": unknown key, ", item.key().substr(0, kMaxShownBytes)));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadNumber(const Json& object, const char* key, double min, double max, double* out) {
  if (!object.contains(key)) return absl::OkStatus();
  const Json& value = object[key];
  const double number = value.is_number() ? value.get<double>() : std::nan("");
  if (!(number >= min && number <= max)) {
    return Wrong(key, value,
                 absl::StrCat("a number from ", static_cast<int64_t>(min), " to ",
                              static_cast<int64_t>(max)));
  }
  *out = number;
  return absl::OkStatus();
}

absl::Status ReadText(const Json& object, const char* key, std::string* out) {
  if (!object.contains(key)) return absl::OkStatus();
  if (!object[key].is_string()) return Wrong(key, object[key], "text");
  *out = object[key].get<std::string>();
  return absl::OkStatus();
}

absl::Status ApplySettings(const Json& fields, LinkSettings* settings) {
  VD_RETURN_IF_ERROR(CheckKeys(fields,
                               {"delay_ms", "jitter_ms", "reorder", "rate_kbit", "queue_bytes",
                                "loss_percent", "up", "down"},
                               "settings"));
  LinkSettings next = *settings;
  for (const Direction direction : {kUp, kDown}) {
    ShaperSettings& one = next.directions[direction];
    const char* name = kDirectionNames[direction];
    VD_RETURN_IF_ERROR(ReadFields(fields, &one));
    if (!fields.contains(name)) continue;
    VD_RETURN_IF_ERROR(CheckKeys(
        fields[name],
        {"delay_ms", "jitter_ms", "reorder", "rate_kbit", "queue_bytes", "loss_percent"}, name));
    VD_RETURN_IF_ERROR(ReadFields(fields[name], &one));
  }
  *settings = next;
  return absl::OkStatus();
}

Json SettingsJson(const ShaperSettings& settings) {
  return {{"delay_ms", settings.delay_ms},       {"jitter_ms", settings.jitter_ms},
          {"reorder", settings.reorder},         {"rate_kbit", settings.rate_kbit},
          {"queue_bytes", settings.queue_bytes}, {"loss_percent", settings.loss_percent}};
}

}  // namespace viaduct::support
