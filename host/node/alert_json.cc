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

void WriteMarkMembers(const std::optional<AlertMark>& mark, JsonWriter* json) {
  json->Key("acknowledged_at");
  mark.has_value() ? json->Time(mark->at) : json->Null();
  json->Key("acknowledged_by");
  mark.has_value() ? json->String(mark->by) : json->Null();
  json->Key("note");
  mark.has_value() && !mark->note.empty() ? json->String(mark->note) : json->Null();
}

void WriteShownAlert(std::string_view node_id, const Alert& alert,
                     const std::optional<AlertMark>& mark, JsonWriter* json) {
  json->BeginObject().Field("alert_id", std::string_view(alert.id)).Field("node_id", node_id);
  json->Field("severity", AlertSeverity(alert.kind)).Field("kind", AlertKindName(alert.kind));
  json->Field("subject", std::string_view(alert.subject));
  json->Field("message", std::string_view(alert.text)).Field("raised_at", alert.raised_at);
  json->Key("cleared_at");
  alert.cleared_at.has_value() ? json->Time(*alert.cleared_at) : json->Null();
  WriteMarkMembers(mark, json);
  json->EndObject();
}

}  // namespace viaduct
