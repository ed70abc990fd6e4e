#include "core/lpr/application.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"

namespace viaduct {

// docs/API.md and openapi.cc describe the same routes; application_test.cc compares them.
const Application::Impl::Route Application::Impl::kRoutes[] = {
    {{"GET", "/"}, &Impl::GetRoot, false},
    {{"GET", "/websocket"}, &Impl::GetWebsocket, false},
    {{"GET", "/api/test"}, &Impl::GetTest, false},
    {{"POST", "/api/cameras/register"}, &Impl::PostRegistration, false},
    {{"POST", "/api/detection"}, &Impl::PostDetection, false},
    {{"GET", "/api/health"}, &Impl::GetHealth, false},
    {{"POST", "/api/health"}, &Impl::PostHealth, false},
    {{"GET", "/api/statistics"}, &Impl::GetStatistics, true},
    {{"POST", "/api/statistics"}, &Impl::PostStatistics, false},
    {{"GET", "/api/records"}, &Impl::GetRecords, true},
    {{"GET", "/api/cameras"}, &Impl::GetCameras, true},
    {{"POST", "/api/lpr/data"}, &Impl::PostEnvelopes, false},
    {{"GET", "/api/lpr/events"}, &Impl::ListEvents, true},
    {{"POST", "/api/lpr/events"}, &Impl::CreateEvent, true},
    {{"GET", "/api/lpr/events/{event_id}"}, &Impl::GetEvent, true},
    {{"PUT", "/api/lpr/events/{event_id}"}, &Impl::UpdateEvent, true},
    {{"DELETE", "/api/lpr/events/{event_id}"}, &Impl::DeleteEvent, true},
    {{"GET", "/api/devices"}, &Impl::ListDevices, true},
    {{"POST", "/api/devices"}, &Impl::CreateDevice, true},
    {{"GET", "/api/devices/{device_id}"}, &Impl::GetDevice, true},
    {{"PUT", "/api/devices/{device_id}"}, &Impl::UpdateDevice, true},
    {{"GET", "/api/communication/stats"}, &Impl::GetCommunicationStats, false},
    {{"GET", "/api/communication/logs"}, &Impl::GetCommunicationLogs, true},
    {{"GET", "/metrics"}, &Impl::GetMetrics, false},
    {{"GET", "/api/openapi.json"}, &Impl::GetOpenApi, false},
    {{"GET", "/images/{path...}"}, &Impl::GetImage, true},
};

std::vector<RoutePattern> Application::Impl::Patterns() {
  std::vector<RoutePattern> patterns;
  for (const Route& route : kRoutes) patterns.push_back(route.pattern);
  return patterns;
}

Application::Impl::Impl(ApplicationOptions options, ApplicationParts parts)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      router_(Patterns()),
      meter_(parts_.store) {}

Application::Impl::~Impl() {
  meter_.Flush([] {});
}

void Application::Impl::Handle(CallRequest request, ReplyFn reply) {
  if (request.body.size() > options_.max_body_bytes) {
    return reply(ErrorReply(413, absl::StrCat("body: too large, ", request.body.size(),
                                              " bytes, limit ", options_.max_body_bytes)));
  }
  if (request.query.size() > options_.max_query_bytes) {
    return reply(ErrorReply(414, absl::StrCat("query: too long, ", request.query.size(),
                                              " bytes, limit ", options_.max_query_bytes)));
  }
  RouteMatch match = router_.Find(request.method, request.path);
  if (!match.allow.empty()) {
    CallReply refused = ErrorReply(
        405, absl::StrCat("method not allowed, ",
                          absl::Utf8SafeCHexEscape(AbslView(request.method).substr(0, 32)),
                          ", allowed: ", match.allow));
    refused.attributes.emplace_back("allow", match.allow);
    return reply(std::move(refused));
  }
  if (match.index == RouteMatch::kNone) {
    return reply(ErrorReply(
        404, absl::StrCat("no such path, ",
                          absl::Utf8SafeCHexEscape(AbslView(request.path).substr(0, 200)))));
  }
  const Route& route = kRoutes[match.index];
  if (route.needs_store && parts_.store == nullptr) {
    return reply(ErrorReply(501, "this node has no store, ask the server it sends to"));
  }
  (this->*route.handler)(RoutedRequest{std::move(request), std::move(match.parameter)},
                         std::move(reply));
}

std::string Application::Impl::Host(const CallRequest& call) const {
  for (const auto& [name, value] : call.attributes) {
    if (name == "host" && !value.empty() && value.size() <= 255) return value;
  }
  return options_.port == 0 ? "localhost" : absl::StrCat("localhost:", options_.port);
}

std::string_view EnvelopeProtocol(std::string_view listener_protocol) {
  if (listener_protocol == "mqtt") return "mqtt";
  if (listener_protocol == "socketio" || listener_protocol == "websocket") return "websocket";
  return "rest";
}

Application::Application(ApplicationOptions options, ApplicationParts parts)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(parts))) {}

Application::~Application() = default;

void Application::Handle(CallRequest request, ReplyFn reply) {
  impl_->Handle(std::move(request), std::move(reply));
}

void Application::IngestEnvelopes(std::vector<Envelope> batch, std::string_view protocol,
                                  std::string_view source, Sink::AcceptFn done) {
  impl_->IngestEnvelopes(std::move(batch), protocol, source, std::move(done));
}

}  // namespace viaduct
