#include "host/node/alert_json.h"

namespace viaduct {

std::string_view AlertStateName(const Alert& alert) {
  return alert.cleared_at.has_value() ? "cleared" : "raised";
}

void WriteAlertMembers(const Alert& alert, JsonWriter* json) {
  json->Field("alert_id", std::string_view(alert.id)).Field("kind", AlertKindName(alert.kind));
  json->Field("subject", std::string_view(alert.subject)).Field("state", AlertStateName(alert));
  json->Key("value").Real(alert.value).Key("threshold").Real(alert.threshold);
  json->Field("raised_at", alert.raised_at);
  if (alert.cleared_at.has_value()) json->Field("cleared_at", *alert.cleared_at);
}

}  // namespace viaduct
