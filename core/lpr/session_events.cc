// The events of sessions that stay open, docs/WIRE.md "Socket.IO". A reply's attributes say what
// else the listener does: "event" is the name under which the body goes to the sender,
// "emit:<name>" carries the body of one more event, "join-room" puts the session into a room.
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/call_fields.h"
#include "core/lpr/session_reply.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

constexpr std::string_view kDashboard = "dashboard";
constexpr std::string_view kHealthRoom = "health_monitoring";
constexpr size_t kMaxShownEventBytes = 64;
constexpr std::string_view kPlainMessage = "(plain message)";
// The older production server's clients live below this path and know other answers too.
constexpr std::string_view kProductionPath = "/ws/";

// The answer to what was refused, in both forms that clients know.
CallReply Refused(int status, std::string_view message) {
  const std::string body = MessageBody(message);
  CallReply reply = EventReply("error", body, status);
  AlsoEmit("lpr_event_error", body, &reply);
  return reply;
}

CallReply Refused(const absl::Status& why) {
  return Refused(HttpStatusOf(why), StdView(why.message()));
}

}  // namespace

std::string_view SessionOf(const CallRequest& call) { return FieldOf(call, "session"); }

CallReply EventReply(std::string_view event, std::string body, int status) {
  CallReply reply = JsonReply(status, std::move(body));
  reply.attributes.emplace_back("event", event);
  return reply;
}

void AlsoEmit(std::string_view event, std::string body, CallReply* reply) {
  reply->attributes.emplace_back(absl::StrCat("emit:", AbslView(event)), std::move(body));
}

std::string MessageBody(std::string_view message) {
  JsonWriter json;
  json.BeginObject().Field("message", message).EndObject();
  return json.Take();
}

struct Application::Impl::EventRoute {
  std::string_view event;  // Its row of permissions, too.
  void (Impl::*handler)(CallRequest call, ReplyFn reply);
};

const Application::Impl::EventRoute Application::Impl::kEventRoutes[] = {
    {"camera_register", &Impl::EventRegister},
    {"lpr_data", &Impl::EventDetection},
    {"health_status", &Impl::EventHealth},
    {"ping", &Impl::EventPing},
    {"join_dashboard", &Impl::EventJoinDashboard},
    {"join_health_room", &Impl::EventJoinHealth},
    {"message", &Impl::EventMessage},
    {"image", &Impl::EventImage},
    {"envelope", &Impl::EventEnvelope},
};

// OPEN and CLOSE come from the listener itself, EVENT and MESSAGE from its peer.
void Application::Impl::HandleSession(CallRequest call, ReplyFn reply) {
  const std::string_view session = SessionOf(call);
  if (call.method == "OPEN") {
    sessions_.Open(call.peer.instance, session);
    return reply(CallReply());
  }
  if (call.method == "CLOSE") {
    NoteOffline(sessions_.Close(call.peer.instance, session));
    return reply(CallReply());
  }
  if (call.method == "MESSAGE") {
    call.permission = security::FindPermission(security::Surface::kEvent, kPlainMessage);
    return HandleRaw(std::move(call), std::move(reply));
  }
  HandleEvent(std::move(call), std::move(reply));
}

void Application::Impl::HandleEvent(CallRequest call, ReplyFn reply) {
  // An envelope has its frame already.
  const size_t limit = call.path == "envelope" ? options_.max_body_bytes : MaxFlatBytes();
  if (call.body.size() > limit) {
    return reply(
        Refused(413, absl::StrCat("body: too large, ", call.body.size(), " bytes, limit ", limit)));
  }
  for (const EventRoute& route : kEventRoutes) {
    if (route.event != call.path) continue;
    call.permission = security::FindPermission(security::Surface::kEvent, route.event);
    reply = Audited(call, SessionOf(call), std::move(reply));
    const absl::Status permitted = PermitAction(call);
    if (!permitted.ok()) return reply(Refused(permitted));
    return (this->*route.handler)(std::move(call), std::move(reply));
  }
  reply(Refused(404, absl::StrCat("no such event, ", ShownText(call.path, kMaxShownEventBytes))));
}

void Application::Impl::AcceptOne(const CallRequest& call, Arrival arrival,
                                  std::string checkpoint_id,
                                  std::function<void(const AcceptResult&)> done) {
  SessionCamera camera{arrival.envelope.edge_device_id, std::move(checkpoint_id),
                       absl::InfinitePast()};
  std::vector<Arrival> batch;
  batch.push_back(std::move(arrival));
  Accept(std::move(batch), SenderOf(call),
         [this, instance = call.peer.instance, session = std::string(SessionOf(call)),
          camera = std::move(camera),
          done = std::move(done)](std::vector<AcceptResult> results) mutable {
           if (results.front().status.ok() && !camera.camera_id.empty()) {
             camera.active = parts_.clock->Now();  // Not before what the store notes as seen.
             if (sessions_.AddCamera(instance, session, camera)) NotePresence(camera);
           }
           done(results.front());
         });
}

void Application::Impl::EventRegister(CallRequest call, ReplyFn reply) {
  std::string checkpoint;
  absl::StatusOr<Envelope> envelope = ReadRegistrationCall(call, &checkpoint);
  if (!envelope.ok()) {
    NoteRefusal(call, "register", envelope.status());
    return reply(Refused(envelope.status()));
  }
  const std::string camera = envelope->edge_device_id;
  const absl::Status permitted = Permit(call, camera);
  if (!permitted.ok()) return reply(Refused(permitted));
  const std::string room = RoomFor(call, CameraRoom(camera, checkpoint));
  const bool production = FieldOf(call, "path") == kProductionPath;
  const bool joined = sessions_.Join(call.peer.instance, SessionOf(call), room);
  AcceptOne(
      call, *std::move(envelope), checkpoint,
      [this, camera, checkpoint, room, production, joined, reply](const AcceptResult& result) {
        if (!result.status.ok()) return reply(Refused(result.status));
        JsonWriter json;
        json.BeginObject().Field("success", true);
        json.Field("message",
                   std::string_view(absl::StrCat("Camera ", camera, " registered successfully")));
        json.Field("camera_id", std::string_view(camera));
        json.Field("checkpoint_id", std::string_view(checkpoint));
        json.Field("timestamp", parts_.clock->Now()).EndObject();
        CallReply answer = EventReply("camera_register", json.Take());
        if (joined) answer.attributes.emplace_back("join-room", room);
        if (production) {
          JsonWriter more;
          more.BeginObject().Field("camera_id", std::string_view(camera));
          more.Field("id", std::string_view(result.id.empty() ? camera : result.id)).EndObject();
          AlsoEmit("camera_registered", more.Take(), &answer);
        }
        reply(std::move(answer));
      });
}

void Application::Impl::EventDetection(CallRequest call, ReplyFn reply) {
  std::string checkpoint;
  absl::StatusOr<Arrival> arrival = ReadFlat(&call, DataType::kDetection, &checkpoint);
  if (!arrival.ok()) {
    NoteRefusal(call, "detection", arrival.status());
    return reply(Refused(arrival.status()));
  }
  const std::string camera = arrival->envelope.edge_device_id;
  AcceptOne(call, *std::move(arrival), checkpoint,
            [this, camera, checkpoint, reply](const AcceptResult& result) {
              if (!result.status.ok()) return reply(Refused(result.status));
              JsonWriter json;
              json.BeginObject().Field("success", true);
              json.Field("message", "LPR data received successfully");
              json.Field("detection_id", std::string_view(result.id));
              json.Field("camera_id", std::string_view(camera));
              json.Field("checkpoint_id", std::string_view(checkpoint));
              json.Field("timestamp", parts_.clock->Now()).EndObject();
              reply(EventReply("lpr_response", json.Take()));
            });
}

void Application::Impl::EventHealth(CallRequest call, ReplyFn reply) {
  std::string checkpoint;
  absl::StatusOr<Arrival> arrival = ReadFlat(&call, DataType::kHealth, &checkpoint);
  if (!arrival.ok()) {
    NoteRefusal(call, "health", arrival.status());
    return reply(Refused(arrival.status()));
  }
  const std::string camera = arrival->envelope.edge_device_id;
  const bool production = FieldOf(call, "path") == kProductionPath;
  AcceptOne(call, *std::move(arrival), checkpoint,
            [this, camera, checkpoint, production, reply](const AcceptResult& result) {
              if (!result.status.ok()) return reply(Refused(result.status));
              JsonWriter json;
              json.BeginObject().Field("success", true);
              json.Field("message", "Health status received successfully");
              json.Field("health_id", std::string_view(result.id));
              json.Field("camera_id", std::string_view(camera));
              json.Field("checkpoint_id", std::string_view(checkpoint));
              json.Field("timestamp", parts_.clock->Now()).EndObject();
              CallReply answer = EventReply("health_response", json.Take());
              if (production) AlsoEmit("health_saved", "{\"success\":true}", &answer);
              reply(std::move(answer));
            });
}

void Application::Impl::EventPing(CallRequest call, ReplyFn reply) {
  JsonWriter json;
  json.BeginObject().Field("success", true).Field("message", "pong").Key("original_message");
  JsonSlice value;
  JsonScanLimits limits;
  limits.max_bytes = options_.max_body_bytes;
  if (call.body.empty()) {
    json.Null();
  } else {
    const absl::Status status = JsonScanner(call.body, limits).ScanDocument(&value);
    if (!status.ok()) return reply(Refused(status));
    json.Raw(value.text);
  }
  json.Field("timestamp", parts_.clock->Now()).EndObject();
  reply(EventReply("pong", json.Take()));
}

CallReply Application::Impl::Joined(const CallRequest& call, std::string_view name,
                                    std::string_view message) {
  const std::string room = RoomFor(call, name);
  if (!sessions_.Join(call.peer.instance, SessionOf(call), room)) {
    return Refused(429, "rooms: too many for one session");
  }
  JsonWriter json;
  json.BeginObject().Field("message", message);
  json.Field("timestamp", parts_.clock->Now()).EndObject();
  CallReply reply = EventReply("status", json.Take());
  reply.attributes.emplace_back("join-room", room);
  return reply;
}

void Application::Impl::EventJoinDashboard(CallRequest call, ReplyFn reply) {
  reply(Joined(call, kDashboard, "Joined dashboard room"));
}

void Application::Impl::EventJoinHealth(CallRequest call, ReplyFn reply) {
  reply(Joined(call, kHealthRoom, "Joined health monitoring room"));
}

// Answered by acknowledgement alone: our nodes ask for one.
void Application::Impl::EventEnvelope(CallRequest call, ReplyFn reply) {
  ParseOptions options;
  options.limits.max_bytes = options_.max_body_bytes;
  options.naive_zone = options_.zone;
  absl::StatusOr<Envelope> envelope = ParseEnvelope(call.body, options);
  absl::Status status = envelope.status();
  if (status.ok()) status = CheckPayload(*envelope);
  const std::string message_id = envelope.ok() ? envelope->message_id : "";
  const absl::Duration later = options_.retry_after;
  const auto answer = [message_id, later, reply](const AcceptResult& result) {
    JsonWriter json;
    WriteResult(message_id, result, later, &json);
    reply(JsonReply(HttpStatusOf(result.status), json.Take()));
  };
  if (status.ok()) return AcceptOne(call, *std::move(envelope), "", answer);
  NoteRefusal(call, "envelope", status);
  answer(AcceptResult{absl::InvalidArgumentError(status.message()), false, ""});
}

}  // namespace viaduct
