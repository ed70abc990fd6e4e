#include "core/lpr/application.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

constexpr size_t kMaxShownMethodBytes = 32;
constexpr size_t kMaxShownPathBytes = 200;
constexpr std::string_view kTopicMethod = "PUBLISH";  // The path is a topic.

}  // namespace

// docs/API.md and openapi.cc describe the same routes; application_test.cc compares them.
const Application::Impl::Route Application::Impl::kRoutes[] = {
    {{"GET", "/"}, &Impl::GetRoot, RouteKind::kPage},
    {{"GET", "/dashboard/{path...}"}, &Impl::GetDashboard, RouteKind::kPage},
    {{"POST", "/api/login"}, &Impl::PostLogin, RouteKind::kPage},
    {{"POST", "/api/logout"}, &Impl::PostLogout, RouteKind::kPage},
    {{"GET", "/api/whoami"}, &Impl::GetWhoAmI, RouteKind::kPage},
    {{"GET", "/websocket"}, &Impl::GetWebsocket, RouteKind::kPlain},
    {{"GET", "/api/test"}, &Impl::GetTest, RouteKind::kPlain},
    {{"POST", "/api/cameras/register"}, &Impl::PostRegistration, RouteKind::kFlat},
    {{"POST", "/api/detection"}, &Impl::PostDetection, RouteKind::kFlat},
    {{"GET", "/api/health"}, &Impl::GetHealth, RouteKind::kPlain},
    {{"POST", "/api/health"}, &Impl::PostHealth, RouteKind::kFlat},
    {{"GET", "/api/statistics"}, &Impl::GetStatistics, RouteKind::kStore},
    {{"POST", "/api/statistics"}, &Impl::PostStatistics, RouteKind::kFlat},
    {{"GET", "/api/statistics/series"}, &Impl::GetSeries, RouteKind::kStore},
    {{"GET", "/api/records"}, &Impl::GetRecords, RouteKind::kStore},
    {{"GET", "/api/records/{detection_id}"}, &Impl::GetRecord, RouteKind::kStore},
    {{"GET", "/api/cameras"}, &Impl::GetCameras, RouteKind::kStore},
    {{"PUT", "/api/cameras/{camera_id}"}, &Impl::UpdateCamera, RouteKind::kStore},
    {{"GET", "/api/cameras/{camera_id}/health"}, &Impl::GetCameraHealth, RouteKind::kStore},
    {{"POST", "/api/lpr/data"}, &Impl::PostEnvelopes, RouteKind::kPlain},
    {{"GET", "/api/lpr/events"}, &Impl::ListEvents, RouteKind::kStore},
    {{"POST", "/api/lpr/events"}, &Impl::CreateEvent, RouteKind::kStore},
    {{"GET", "/api/lpr/events/{event_id}"}, &Impl::GetEvent, RouteKind::kStore},
    {{"PUT", "/api/lpr/events/{event_id}"}, &Impl::UpdateEvent, RouteKind::kStore},
    {{"DELETE", "/api/lpr/events/{event_id}"}, &Impl::DeleteEvent, RouteKind::kStore},
    {{"GET", "/api/devices"}, &Impl::ListDevices, RouteKind::kStore},
    {{"POST", "/api/devices"}, &Impl::CreateDevice, RouteKind::kStore},
    {{"GET", "/api/devices/{device_id}"}, &Impl::GetDevice, RouteKind::kStore},
    {{"PUT", "/api/devices/{device_id}"}, &Impl::UpdateDevice, RouteKind::kStore},
    {{"GET", "/api/blacklist"}, &Impl::ListBlacklist, RouteKind::kStore},
    {{"POST", "/api/blacklist"}, &Impl::AddToBlacklist, RouteKind::kStore},
    {{"DELETE", "/api/blacklist/{license_plate}"}, &Impl::RemoveFromBlacklist, RouteKind::kStore},
    {{"GET", "/api/file_transfers"}, &Impl::ListFileTransfers, RouteKind::kStore},
    {{"GET", "/api/file_transfers/unannounced"}, &Impl::ListUnannouncedFiles, RouteKind::kPlain},
    {{"GET", "/api/communication/stats"}, &Impl::GetCommunicationStats, RouteKind::kPlain},
    {{"GET", "/api/communication/logs"}, &Impl::GetCommunicationLogs, RouteKind::kStore},
    {{"GET", "/api/communication/links"}, &Impl::GetLinks, RouteKind::kDesk},
    {{"GET", "/api/communication/nodes"}, &Impl::ListNodes, RouteKind::kStore},
    {{"GET", "/api/transfers"}, &Impl::ListTransfers, RouteKind::kDesk},
    {{"GET", "/api/alerts"}, &Impl::ListAlerts, RouteKind::kDesk},
    {{"POST", "/api/alerts/{alert_id}/acknowledge"}, &Impl::AcknowledgeAlert, RouteKind::kDesk},
    {{"GET", "/api/config"}, &Impl::GetConfig, RouteKind::kDesk},
    {{"POST", "/api/config/plan"}, &Impl::PlanConfig, RouteKind::kDesk},
    {{"POST", "/api/config/apply"}, &Impl::ApplyConfig, RouteKind::kDesk},
    {{"POST", "/api/config/confirm"}, &Impl::ConfirmConfig, RouteKind::kDesk},
    {{"POST", "/api/config/rollback"}, &Impl::RollBackConfig, RouteKind::kDesk},
    {{"GET", "/metrics"}, &Impl::GetMetrics, RouteKind::kPlain},
    {{"GET", "/api/openapi.json"}, &Impl::GetOpenApi, RouteKind::kPlain},
    {{"GET", "/images/{path...}"}, &Impl::GetImage, RouteKind::kStore},
    {{"GET", "/api/images/{path...}"}, &Impl::GetImage, RouteKind::kStore},
};

std::vector<RoutePattern> Application::Impl::Patterns() {
  std::vector<RoutePattern> patterns;
  for (const Route& route : kRoutes) patterns.push_back(route.pattern);
  return patterns;
}

std::vector<const security::Permission*> Application::Impl::RoutePermissions() {
  std::vector<const security::Permission*> permissions;
  for (const Route& route : kRoutes) permissions.push_back(PermissionOf(route));
  return permissions;
}

Application::Impl::Impl(ApplicationOptions options, ApplicationParts parts)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      router_(Patterns()),
      permissions_(RoutePermissions()),
      mask_(options_.mask_plates_for),
      meter_(parts_.store),
      listening_since_ns_(parts_.clock->MonotonicNanos()),
      reads_(ThreadPool::Options{"reads", options_.read_threads, options_.max_queued_reads}) {}

Application::Impl::~Impl() {
  reads_.Stop();
  AwaitLook();
  if (parts_.audit) {
    for (security::AuditRecord& rest : refusals_.Rest()) parts_.audit(std::move(rest), [] {});
  }
  meter_.Flush([] {});
}

void Application::Impl::Handle(CallRequest request, ReplyFn reply) {
  if (request.method == kTopicMethod) return HandleTopic(std::move(request), std::move(reply));
  if (IsSessionProtocol(request.protocol)) {
    return HandleSession(std::move(request), std::move(reply));
  }
  if (request.query.size() > options_.max_query_bytes) {
    return reply(ErrorReply(414, absl::StrCat("query: too long, ", request.query.size(),
                                              " bytes, limit ", options_.max_query_bytes)));
  }
  RouteMatch match = router_.Find(request.method, request.path);
  if (!match.allow.empty()) {
    CallReply refused =
        ErrorReply(405, absl::StrCat("method not allowed, ",
                                     AbslView(CutText(request.method, kMaxShownMethodBytes)),
                                     ", allowed: ", match.allow));
    refused.attributes.emplace_back("allow", match.allow);
    return reply(std::move(refused));
  }
  if (match.index == RouteMatch::kNone) {
    return reply(ErrorReply(
        404, absl::StrCat("no such path, ", AbslView(CutText(request.path, kMaxShownPathBytes)))));
  }
  // No store keeps such text, and it would fail there beside the records of others.
  if (!IsValidUtf8(match.parameter)) return reply(ErrorReply(400, "path: not UTF-8"));
  const Route& route = kRoutes[match.index];
  const size_t max_bytes = MaxBodyBytes(route);
  if (request.body.size() > max_bytes) {
    return reply(ErrorReply(
        413, absl::StrCat("body: too large, ", request.body.size(), " bytes, limit ", max_bytes)));
  }
  if (route.kind == RouteKind::kStore && parts_.store == nullptr) {
    return reply(ErrorReply(501, "this node has no store, ask the server it sends to"));
  }
  if (route.kind == RouteKind::kDesk && parts_.desk == nullptr) {
    return reply(ErrorReply(501, "this node shows nothing of itself by HTTP"));
  }
  RoutedRequest routed{std::move(request), std::move(match.parameter)};
  routed.call.permission = permissions_[match.index];
  reply = ForScript(routed.call, std::move(reply));
  reply = Audited(routed.call, routed.parameter, std::move(reply));
  const absl::Status permitted = PermitAction(routed.call);
  if (!permitted.ok()) return reply(Failed(permitted));
  const bool shows_stored = route.kind != RouteKind::kPage && route.kind != RouteKind::kDesk;
  if (shows_stored) reply = Masked(routed.call, std::move(reply));
  // Writing goes through the store's queue, reading waits for the disk.
  if (route.kind == RouteKind::kStore && route.pattern.method == "GET") {
    return Read(route, std::move(routed), std::move(reply));
  }
  (this->*route.handler)(std::move(routed), std::move(reply));
}

// A flat body becomes the payload of an envelope, and the next node has the same limit for that.
size_t Application::Impl::MaxFlatBytes() const {
  return options_.max_body_bytes - std::min(options_.max_body_bytes, kEnvelopeFrameBytes);
}

size_t Application::Impl::MaxBodyBytes(const Route& route) const {
  return route.kind == RouteKind::kFlat ? MaxFlatBytes() : options_.max_body_bytes;
}

void Application::Impl::Read(const Route& route, RoutedRequest request, ReplyFn reply) {
  auto shared = std::make_shared<ReplyFn>(std::move(reply));
  const bool queued = reads_.Submit([this, &route, request = std::move(request), shared] {
    (this->*route.handler)(request, *shared);
  });
  if (!queued) {
    (*shared)(Failed(absl::UnavailableError("busy, too many requests wait to read the store")));
  }
}

std::string Application::Impl::Host(const CallRequest& call) const {
  for (const auto& [name, value] : call.attributes) {
    if (name == "host" && !value.empty() && value.size() <= 255) return value;
  }
  return "localhost";
}

bool IsPlainSession(std::string_view listener_protocol) { return listener_protocol == "websocket"; }

bool IsSessionProtocol(std::string_view listener_protocol) {
  return listener_protocol == "socketio" || IsPlainSession(listener_protocol);
}

std::string_view EnvelopeProtocol(std::string_view listener_protocol) {
  if (listener_protocol == "mqtt") return "mqtt";
  if (IsSessionProtocol(listener_protocol)) return "websocket";
  return "rest";
}

Application::Application(ApplicationOptions options, ApplicationParts parts)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(parts))) {}

Application::~Application() = default;

void Application::Handle(CallRequest request, ReplyFn reply) {
  impl_->Handle(std::move(request), std::move(reply));
}

void Application::IngestEnvelopes(std::vector<Envelope> batch, const Sender& sender,
                                  Sink::AcceptFn done) {
  impl_->IngestEnvelopes(std::move(batch), sender, std::move(done));
}

void Application::PublishElsewhere(const ElsewhereMessage& message) {
  impl_->PublishElsewhere(message);
}
void Application::FindSilent() { impl_->FindSilent(); }
void Application::NoteElsewhere(const std::vector<CameraPresence>& changes) {
  impl_->NoteElsewhere(changes);
}
bool Application::HasRoom(std::string_view room) const { return impl_->HasRoom(room); }
bool Application::HasAnyRoom() const { return impl_->HasAnyRoom(); }

void Application::ForgetThumbnails() { impl_->ForgetThumbnails(); }

void Application::OnListenerGone(std::string_view instance) { impl_->ForgetSessions(instance); }

}  // namespace viaduct
