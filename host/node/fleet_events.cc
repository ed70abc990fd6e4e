#include "host/node/fleet_events.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/lpr/json_writer.h"
#include "core/security/principal.h"
#include "host/node/add_metric.h"
#include "host/node/alert_json.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

constexpr std::string_view kDashboard = "dashboard";
constexpr std::string_view kHealthRoom = "health_monitoring";

struct Total {
  const char* name;
  const char* help;
  uint64_t FleetStats::*total;
};
constexpr Total kTotals[] = {
    {"viaduct_fleet_orders_total", "Orders to devices that a road has taken.", &FleetStats::orders},
    {"viaduct_fleet_answers_total", "Orders that the device has answered.", &FleetStats::answered},
    {"viaduct_fleet_timeouts_total", "Orders without an answer in time.", &FleetStats::timed_out},
    {"viaduct_fleet_broken_total", "Orders whose road broke or whose answer was none.",
     &FleetStats::broken},
    {"viaduct_fleet_stray_answers_total", "Answers that nobody waited for: late or invented.",
     &FleetStats::strays},
};

}  // namespace

FleetEvents::FleetEvents(Parts parts) : parts_(std::move(parts)) {
  for (const Total& t : kTotals) {
    totals_.push_back(
        {AddMetric(parts_.metrics, MetricKind::kCounter, t.name, t.help), t.total, 0});
  }
  in_flight_ = AddMetric(parts_.metrics, MetricKind::kGauge, "viaduct_fleet_orders_in_flight",
                         "Orders that wait for their answer.");
}

void FleetEvents::Start() { Arm(); }

void FleetEvents::Arm() {
  parts_.timers->ArmAfter(kInterval, [this] {
    // Busy: there is no look this time.
    if (!parts_.executor->Submit([this] { Look(); })) Arm();
  });
}

void FleetEvents::Look() {
  parts_.fleet->roads().Sweep(parts_.clock->Now());
  parts_.look();
  parts_.silence();
  parts_.calls->TellGone();
  if (++looks_ % kSeenLooks == 0 || seeing_) seeing_ = parts_.calls->KeepSeen();
  if (looks_ % kKnockLooks == 0) parts_.knock();
  LookAtCommunication();
  const FleetStats stats = parts_.fleet->stats();
  for (Counted& counted : totals_) {
    const uint64_t now = stats.*counted.total;
    parts_.metrics->Increase(counted.number,
                             static_cast<double>(now - std::exchange(counted.seen, now)));
  }
  parts_.metrics->Set(in_flight_, static_cast<double>(stats.in_flight));
  Arm();
}

// What anybody gets who asks for GET /api/communication/stats.
void FleetEvents::LookAtCommunication() {
  if (!parts_.publisher->Wanted(kDashboard)) return;
  CallRequest request;
  request.method = "GET";
  request.path = "/api/communication/stats";
  request.principal = security::NodeItself();
  std::string body;
  parts_.calls->Handle(std::move(request), [&body](CallReply reply) {
    if (reply.status == 200) body = std::move(reply.body);
  });
  std::string figures = body.substr(0, body.rfind("\"timestamp\""));
  if (body.empty() || figures == told_communication_) return;
  told_communication_ = std::move(figures);
  Publish("communication_status", kDashboard, body);
}

void FleetEvents::Publish(std::string_view event, std::string_view room, std::string_view body) {
  if (parts_.publisher->Wanted(room)) parts_.publisher->Publish(Publication{event, room, body});
}

void FleetEvents::OnNode(const pb::FleetNode& node) {
  if (!parts_.publisher->Wanted(kDashboard)) return;
  JsonWriter json;
  json.BeginObject().Field("device_id", std::string_view(node.id()));
  json.Field("status", node.status() == pb::NODE_STATUS_ONLINE ? "online" : "offline");
  json.Key("last_seen");
  node.has_last_seen() ? json.Time(absl::FromUnixSeconds(node.last_seen().seconds()) +
                                   absl::Nanoseconds(node.last_seen().nanos()))
                       : json.Null();
  json.Key("roads").BeginArray();
  for (const pb::DeviceRoad& road : node.roads()) json.String(road.name());
  json.EndArray().Field("timestamp", parts_.clock->Now()).EndObject();
  Publish("device_status", kDashboard, json.text());
}

void FleetEvents::OnHealth(const ComponentHealth& overall) {
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(told_, overall.state) == overall.state) return;
  }
  JsonWriter json;
  json.BeginObject().Field("node_id", std::string_view(parts_.node_id));
  json.Field("status", HealthStateName(overall.state));
  json.Field("message", std::string_view(overall.reason));
  json.Field("timestamp", parts_.clock->Now()).EndObject();
  Publish("system_status", kDashboard, json.text());
  Publish("system_status", kHealthRoom, json.text());
}

// A member beside those of a change of the health: who knows none of it reads on.
void FleetEvents::OnAlert(const Alert& alert, const std::optional<AlertMark>& mark,
                          const ComponentHealth& overall) {
  JsonWriter json;
  json.BeginObject().Field("node_id", std::string_view(parts_.node_id));
  json.Field("status", HealthStateName(overall.state));
  json.Field("message", std::string_view(alert.text)).Key("alert").BeginObject();
  WriteAlertMembers(alert, &json);
  if (mark.has_value()) WriteMarkMembers(mark, &json);
  json.EndObject().Field("timestamp", parts_.clock->Now()).EndObject();
  Publish("system_status", kDashboard, json.text());
  Publish("system_status", kHealthRoom, json.text());
}

}  // namespace viaduct
