// What is published beside the message itself: alerts, and what other nodes have stored.
#include <utility>

#include "core/lpr/application_impl.h"

namespace viaduct {
namespace {

constexpr std::string_view kDashboard = "dashboard";

template <typename Record>
Envelope EnvelopeOf(const Record& record, DataType type) {
  Envelope envelope;
  envelope.message_id = record.message_id;
  envelope.timestamp = record.captured_at;
  envelope.protocol = record.protocol;
  envelope.edge_device_id = record.camera_id;
  envelope.data_type = type;
  envelope.payload_json = record.payload_json;
  return envelope;
}

}  // namespace

ElsewhereMessage MessageOf(const StoredElsewhere& stored) {
  ElsewhereMessage message;
  message.id = stored.id;
  message.alerts = stored.alerts;
  if (const auto* detection = std::get_if<DetectionRecord>(&stored.record)) {
    message.envelope = EnvelopeOf(*detection, DataType::kDetection);
    message.envelope.metadata.extra_json = detection->metadata_json;
  } else if (const auto* health = std::get_if<HealthRecord>(&stored.record)) {
    message.envelope = EnvelopeOf(*health, DataType::kHealth);
  }
  return message;
}

void Application::Impl::PublishElsewhere(const ElsewhereMessage& message) {
  if (parts_.publisher == nullptr) return;
  if (message.envelope.data_type == DataType::kHealth) {
    return PublishHealth(message.envelope, message.id);
  }
  PublishDetection(message.envelope, message.id);
  PublishAlerts(message.envelope, message.id, message.alerts);
}

void Application::Impl::PublishAlerts(const Envelope& envelope, const std::string& id,
                                      const std::vector<PlateAlert>& alerts) {
  if (alerts.empty()) return;
  PayloadHeader header;
  if (!ReadHeader(envelope.payload_json, payload_options(), &header).ok()) return;
  const std::string& camera = header.camera_id.empty() ? envelope.edge_device_id : header.camera_id;
  for (const PlateAlert& alert : alerts) {
    JsonWriter json;
    json.BeginObject().Field("plate", std::string_view(alert.plate));
    json.Field("camera_id", std::string_view(camera));
    json.Field("checkpoint_id", std::string_view(header.checkpoint_id));
    json.Field("detection_id", std::string_view(id));
    json.Field("reason", std::string_view(alert.reason));
    json.Field("timestamp", envelope.timestamp).EndObject();
    parts_.publisher->Publish(Publication{"blacklist_alert", kDashboard, json.text()});
  }
}

}  // namespace viaduct
