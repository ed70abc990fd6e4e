// What a node says about itself.
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"

namespace viaduct {
namespace {

constexpr int kDefaultLogs = 50;
constexpr absl::Duration kFlushDeadline = absl::Seconds(2);
constexpr std::string_view kEvents[] = {
    "camera_register",  "lpr_data", "health_status", "ping",    "join_dashboard",
    "join_health_room", "message",  "image",         "envelope"};

// The port under which the peer has found us: that of its Host field.
int PortOf(std::string_view host) {
  constexpr int kHttpPort = 80;
  const size_t colon = host.rfind(':');
  int port = 0;
  const bool given = colon != std::string_view::npos && host.back() != ']' &&
                     absl::SimpleAtoi(AbslView(host.substr(colon + 1)), &port);
  return given && port > 0 && port <= 65535 ? port : kHttpPort;
}

}  // namespace

void Application::Impl::GetRoot(RoutedRequest request, ReplyFn reply) {
  if (AnswerFirstPage(request.call, &reply)) return;
  const std::string host = Host(request.call);
  JsonWriter json;
  json.BeginObject().Field("message", "Viaduct LPR server").Field("status", "running");
  json.Field("port", int64_t{PortOf(host)});
  json.Field("websocket_endpoint", std::string_view(absl::StrCat("ws://", host, "/ws/")));
  json.Field("node_id", std::string_view(options_.node_id));
  json.Field("version", std::string_view(options_.version));
  json.Key("api_endpoints").BeginObject();
  json.Field("register_camera", "/api/cameras/register").Field("detection", "/api/detection");
  json.Field("health", "/api/health").Field("statistics", "/api/statistics");
  json.Field("records", "/api/records").Field("cameras", "/api/cameras");
  json.Field("lpr_data", "/api/lpr/data").Field("lpr_events", "/api/lpr/events");
  json.Field("devices", "/api/devices").Field("metrics", "/metrics");
  json.Field("communication_stats", "/api/communication/stats");
  json.Field("communication_logs", "/api/communication/logs");
  json.Field("test", "/api/test").Field("openapi", "/api/openapi.json");
  json.EndObject().EndObject();
  reply(JsonReply(200, json.Take()));
}

void Application::Impl::GetWebsocket(RoutedRequest request, ReplyFn reply) {
  JsonWriter json;
  json.BeginObject().Field("message", "Connect with Socket.IO");
  json.Field("connection_url", std::string_view(absl::StrCat("ws://", Host(request.call), "/ws/")));
  json.Key("events").BeginArray();
  for (const std::string_view event : kEvents) json.String(event);
  json.EndArray().EndObject();
  reply(JsonReply(200, json.Take()));
}

void Application::Impl::GetTest(RoutedRequest /*request*/, ReplyFn reply) {
  JsonWriter json;
  json.BeginObject().Field("success", true).Field("message", "Server is running");
  json.Field("timestamp", parts_.clock->Now()).EndObject();
  reply(JsonReply(200, json.Take()));
}

void Application::Impl::GetHealth(RoutedRequest /*request*/, ReplyFn reply) {
  HealthReport report;
  if (parts_.health) report = parts_.health();
  if (report.status.empty()) report.status = "healthy";
  JsonWriter json;
  json.BeginObject().Field("status", std::string_view(report.status));
  json.Key("components").BeginArray();
  for (const HealthReport::Component& component : report.components) {
    json.BeginObject().Field("name", std::string_view(component.name));
    json.Field("status", std::string_view(component.status));
    json.Field("message", std::string_view(component.message)).EndObject();
  }
  json.EndArray().Field("timestamp", parts_.clock->Now()).EndObject();
  reply(JsonReply(200, json.Take()));
}

void Application::Impl::GetMetrics(RoutedRequest /*request*/, ReplyFn reply) {
  CallReply metrics;
  metrics.attributes.emplace_back("content-type", "text/plain; version=0.0.4; charset=utf-8");
  if (parts_.metrics_text) metrics.body = parts_.metrics_text();
  reply(std::move(metrics));
}

void Application::Impl::GetOpenApi(RoutedRequest /*request*/, ReplyFn reply) {
  reply(JsonReply(200, std::string(OpenApiDocument())));
}

void Application::Impl::GetCommunicationStats(RoutedRequest /*request*/, ReplyFn reply) {
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("protocols").BeginObject();
  for (const CommunicationFigures& figures : meter_.Figures()) {
    json.Key(figures.protocol).BeginObject().Key("success_rate");
    figures.attempts == 0
        ? json.Null()
        : json.Real(static_cast<double>(figures.successes) / static_cast<double>(figures.attempts));
    json.Field("total_attempts", figures.attempts);
    json.Key("average_latency").Real(figures.average_ms);
    json.Key("p50").Real(figures.p50_ms).Key("p99").Real(figures.p99_ms);
    json.Field("bytes", figures.bytes).EndObject();
  }
  json.EndObject().Field("timestamp", parts_.clock->Now()).EndObject();
  reply(JsonReply(200, json.Take()));
}

void Application::Impl::GetCommunicationLogs(RoutedRequest request, ReplyFn reply) {
  CommunicationQuery query;
  const auto read = [&]() -> absl::Status {
    VD_ASSIGN_OR_RETURN(const QueryParams params, QueryParams::Parse(request.call.query));
    query.protocol = params.Text({"protocol"});
    query.cursor = params.Text({"cursor"});
    VD_ASSIGN_OR_RETURN(query.success, params.Bool("success"));
    VD_ASSIGN_OR_RETURN(query.from, params.Time("from", options_.zone));
    VD_ASSIGN_OR_RETURN(query.to, params.Time("to", options_.zone));
    VD_ASSIGN_OR_RETURN(query.limit, params.Int("limit", kDefaultLogs, 1, kMaxPageRows));
    return absl::OkStatus();
  };
  const absl::Status status = read();
  if (!status.ok()) return reply(Failed(status));
  // Lines that are still bundled belong to the answer; they are written before anything is read.
  auto written = std::make_shared<absl::Notification>();
  meter_.Flush([written] { written->Notify(); });
  written->WaitForNotificationWithTimeout(kFlushDeadline);
  const absl::StatusOr<CommunicationPage> page = parts_.store->ListCommunication(query);
  if (!page.ok()) return reply(Failed(page.status()));
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("logs").BeginArray();
  for (const CommunicationRecord& r : page->rows) {
    json.BeginObject().Field("protocol", std::string_view(r.protocol));
    json.Field("source", std::string_view(r.source));
    json.Field("destination", std::string_view(r.destination));
    json.Field("message_type", std::string_view(r.message_type)).Field("success", r.success);
    json.Key("latency_ms").Real(r.latency_ms).Key("error_message");
    r.error_message.empty() ? json.Null() : json.String(r.error_message);
    json.Field("created_at", r.at).EndObject();
  }
  json.EndArray().Field("returned_count", static_cast<int64_t>(page->rows.size()));
  json.Key("next_cursor");
  page->next_cursor.empty() ? json.Null() : json.String(page->next_cursor);
  json.EndObject();
  reply(JsonReply(200, json.Take()));
}

}  // namespace viaduct
