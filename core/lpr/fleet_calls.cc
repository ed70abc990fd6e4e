#include "core/lpr/fleet_calls.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/device_status.h"
#include "core/lpr/json_fields.h"
#include "core/lpr/session_reply.h"
#include "core/lpr/topic_names.h"
#include "core/message/identity.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

constexpr std::string_view kPublish = "PUBLISH";
constexpr std::string_view kRegister = "node_register";
constexpr std::string_view kRegistered = "node_registered";
constexpr std::string_view kResponse = "control_response";
constexpr std::string_view kCameraRegister = "camera_register";
constexpr absl::string_view kSystemStatus = "system/status/";
constexpr absl::string_view kSystemControl = "system/control/";
constexpr absl::string_view kCameraTopics = "lprserver/cameras/";
constexpr std::string_view kErrorTopic = "lpr/data/error";
constexpr std::string_view kUp = "UP";
constexpr size_t kMaxTypeBytes = 4096;
constexpr int kSystemQos = 1;
constexpr int kCameraQos = 2;

std::string SessionIn(const CallRequest& request) {
  for (const auto& [name, value] : request.attributes) {
    if (name == "session") return value;
  }
  return "";
}

bool IsRetained(const CallRequest& request) {
  return std::any_of(request.attributes.begin(), request.attributes.end(),
                     [](const auto& attribute) { return attribute.first == "retain"; });
}

// What the application refuses by topic is told there, for its sender cannot be answered.
bool IsTaken(const CallReply& reply) {
  const bool refused =
      std::any_of(reply.attributes.begin(), reply.attributes.end(), [](const auto& attribute) {
        return attribute.first == "publish" && attribute.second == kErrorTopic;
      });
  return !refused && reply.status >= 200 && reply.status < 300;
}

// The address of a peer without its port.
std::string HostOf(std::string_view peer) {
  const size_t colon = peer.rfind(':');
  return std::string(peer.substr(0, colon == std::string_view::npos ? peer.size() : colon));
}

// Messages are many and long; only what may be one of these is read twice.
std::string NodeMessageType(const std::string& body) {
  const bool likely =
      body.size() <= Fleet::kMaxAnswerBytes &&
      (body.find(kRegister) != std::string::npos || body.find(kResponse) != std::string::npos);
  if (!likely) return "";
  const auto fields = JsonFields::Parse(body, Fleet::kMaxAnswerBytes);
  if (!fields.ok()) return "";
  const auto type = fields->Text({"type"}, kMaxTypeBytes);
  return type.ok() ? type->value_or("") : "";
}

CallReply RegisterReply(bool plain, std::string_view device, const absl::Status& status,
                        absl::Time now) {
  const bool ok = status.ok();
  JsonWriter json;
  json.BeginObject();
  plain ? json.Field("status", ok ? "success" : "error") : json.Field("success", ok);
  json.Field("type", kRegistered);
  ok ? json.Field("device_id", device) : json.Field("message", StdView(status.message()));
  if (IsTransient(status)) {
    json.Field("retry_after", absl::ToInt64Seconds(FleetCalls::kRegisterAgain));
  }
  json.Field("timestamp", now).EndObject();
  if (plain) return JsonReply(HttpStatusOf(status), json.Take());
  return EventReply(ok ? kRegistered : "error", json.Take(), HttpStatusOf(status));
}

}  // namespace

void FleetCalls::Handle(CallRequest request, ReplyFn reply) {
  const bool of_peer = request.protocol == "http";  // Its methods; else a listener's or road's.
  if (request.method == kUp && !of_peer) return reply(Introduce());
  if (IsSessionProtocol(request.protocol)) {
    return HandleSession(std::move(request), std::move(reply));
  }
  if (request.method == kPublish) {
    if (of_peer) return reply(ErrorReply(405, "method not allowed"));
    return HandleTopic(std::move(request), std::move(reply));
  }
  parts_.application->Handle(std::move(request), std::move(reply));
}

absl::Status FleetCalls::Permit(const CallRequest& request, std::string_view event,
                                std::string_view device) const {
  if (!parts_.guarded) return absl::OkStatus();
  return security::CheckAllowed(request.principal.get(), security::Surface::kEvent, event, device,
                                parts_.clock->Now());
}

// ---- sessions

// COMMAND comes from a road, whose peer is the server; the rest from a listener.
void FleetCalls::HandleSession(CallRequest request, ReplyFn reply) {
  if (request.method == "COMMAND") return RunCommand(std::move(request), std::move(reply));
  if (request.method == "EVENT" && request.path == kRegister) {
    return Register(request, std::move(reply));
  }
  if (request.method == "MESSAGE" && HandleMessage(request, &reply)) return;
  if (request.method == "EVENT" && request.path == kCameraRegister) NoteCamera(request);
  const bool closes = request.method == "CLOSE";
  const CallRequest closed = closes ? request : CallRequest();
  parts_.application->Handle(std::move(request), std::move(reply));
  if (closes) CloseSession(closed);  // The store hears of its camera first.
}

// False: it is for the application.
bool FleetCalls::HandleMessage(const CallRequest& request, ReplyFn* reply) {
  const std::string type = NodeMessageType(request.body);
  if (type == kRegister) {
    Register(request, std::move(*reply));
    return true;
  }
  if (type != kResponse) return false;
  const std::string session = SessionIn(request);
  const std::string device = parts_.fleet->roads().DeviceOf(request.peer.instance, session);
  if (Permit(request, kResponse, device).ok()) {
    parts_.fleet->TakeAnswer(request.peer.instance, session, request.body);
  }
  (*reply)(CallReply());  // An answer is not answered.
  return true;
}

absl::StatusOr<FleetCalls::Introduction> FleetCalls::ReadIntroduction(std::string_view body) {
  VD_ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Parse(body, kMaxIntroductionBytes));
  Introduction node;
  VD_ASSIGN_OR_RETURN(const std::optional<std::string> id, fields.Identity());
  if (!id.has_value()) return absl::InvalidArgumentError("Missing required field: device_id");
  node.device_id = *id;
  VD_ASSIGN_OR_RETURN(const auto hostname, fields.Text({"hostname"}, kMaxFactBytes));
  VD_ASSIGN_OR_RETURN(const auto version, fields.Text({"version"}, kMaxFactBytes));
  node.facts = {hostname.value_or(""), version.value_or("")};
  return node;
}

bool FleetCalls::OpenSession(const CallRequest& request, const Introduction& device, bool is_node) {
  DeviceRoad road;
  road.instance = request.peer.instance;
  road.protocol = request.protocol;
  road.session = SessionIn(request);
  road.address = request.peer.address;
  road.since = parts_.clock->Now();
  if (road.session.empty()) return true;  // There is no way back into it.
  const Key key(road.instance, road.session);
  const absl::Time now = road.since;
  if (!parts_.fleet->roads().Open(device.device_id, device.facts, std::move(road))) return false;
  absl::MutexLock lock(&mutex_);
  connected_[key] = {device.device_id, now, is_node};
  return true;
}

// Whoever registers is opened at once, on the listener's own thread, so that the end of the session
// comes after it; the answer waits for the store.
void FleetCalls::Register(const CallRequest& request, ReplyFn reply) {
  const bool plain = request.method == "MESSAGE";
  const absl::StatusOr<Introduction> node = ReadIntroduction(request.body);
  if (!node.ok()) {
    return reply(RegisterReply(plain, "", node.status(), parts_.clock->Now()));
  }
  const absl::Status permitted = Permit(request, kRegister, node->device_id);
  if (!permitted.ok()) return reply(RegisterReply(plain, "", permitted, parts_.clock->Now()));
  if (!OpenSession(request, *node, /*is_node=*/true)) {
    const absl::Status full = absl::UnavailableError("fleet: too many devices are connected");
    return reply(RegisterReply(plain, "", full, parts_.clock->Now()));
  }
  const std::string device = node->device_id;
  auto done = [fleet = parts_.fleet, plain, device, reply = std::move(reply),
               now = parts_.clock->Now()](const absl::Status& status) {
    fleet->roads().Renew(device);
    reply(RegisterReply(plain, device, status, now));
  };
  if (parts_.store == nullptr) return done(absl::OkStatus());
  DeviceRecord record;
  record.device_id = device;
  record.at = parts_.clock->Now();
  record.status = "online";
  record.ip_address = HostOf(request.peer.address);
  if (!node->facts.hostname.empty()) record.hostname = node->facts.hostname;
  std::vector<StoreRecord> records;
  records.emplace_back(std::move(record));
  parts_.store->Append(std::move(records),
                       [done = std::move(done)](const std::vector<AppendResult>& results) {
                         done(results.front().status);
                       });
}

// A node speaks for its cameras: its session stays the way to the node.
void FleetCalls::NoteCamera(const CallRequest& request) {
  const std::string session = SessionIn(request);
  if (!parts_.fleet->roads().DeviceOf(request.peer.instance, session).empty()) return;
  const absl::StatusOr<Introduction> camera = ReadIntroduction(request.body);
  if (!camera.ok() || !Permit(request, kCameraRegister, camera->device_id).ok()) return;
  OpenSession(request, *camera, /*is_node=*/false);
}

void FleetCalls::CloseSession(const CallRequest& request) {
  const std::string session = SessionIn(request);
  std::vector<Connected> gone;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = connected_.find(Key(request.peer.instance, session));
    if (found != connected_.end()) {
      gone.push_back(found->second);
      connected_.erase(found);
    }
  }
  parts_.fleet->CloseWay(request.peer.instance, session);
  NoteGone(std::move(gone));
}

void FleetCalls::OnListenerGone(std::string_view instance) {
  lives_->End(std::string(instance));
  std::vector<Connected> gone;
  {
    absl::MutexLock lock(&mutex_);
    auto at = connected_.lower_bound(Key(instance, ""));
    while (at != connected_.end() && at->first.first == instance) {
      gone.push_back(at->second);
      at = connected_.erase(at);
    }
  }
  parts_.application->OnListenerGone(instance);
  parts_.fleet->CloseListener(instance);
  NoteGone(std::move(gone));
}

// Of more than can wait, and of what a busy store does not take, their silence tells.
void FleetCalls::NoteGone(std::vector<Connected> gone) {
  if (parts_.store == nullptr) return;
  bool behind = false;
  {
    absl::MutexLock lock(&mutex_);
    behind = !gone_.empty();
    for (Connected& one : gone) {
      if (gone_.size() < kMaxGone) gone_.push_back(std::move(one));
    }
  }
  if (!behind) TellGone();
}

std::vector<FleetCalls::Connected> FleetCalls::TakeGone() {
  absl::MutexLock lock(&mutex_);
  const auto end =
      gone_.begin() + static_cast<std::ptrdiff_t>(std::min(gone_.size(), kMaxToldAtOnce));
  std::vector<Connected> some(std::make_move_iterator(gone_.begin()), std::make_move_iterator(end));
  gone_.erase(gone_.begin(), end);
  return some;
}

void FleetCalls::TellGone() {
  std::vector<StoreRecord> records;
  std::vector<std::string> devices;
  for (const Connected& one : TakeGone()) {
    if (parts_.fleet->roads().IsReachable(one.device_id, parts_.clock->Now())) continue;
    DeviceRecord record;
    record.mode = DeviceRecord::Mode::kUpdate;
    record.device_id = one.device_id;
    record.at = parts_.clock->Now();
    record.seen = false;
    // Of a camera the application says so: it may have sessions at other nodes. The record that
    // changes nothing is answered after what the application has told the store.
    if (one.is_node) record.status = "offline";
    record.silent_since = one.seen;  // It may speak to another node by now.
    records.emplace_back(std::move(record));
    devices.push_back(one.device_id);
  }
  if (records.empty()) return;
  // The store may answer when this is gone.
  parts_.store->Append(std::move(records), [fleet = parts_.fleet, devices = std::move(devices)](
                                               const std::vector<AppendResult>&) {
    for (const std::string& device : devices) fleet->roads().Renew(device);
  });
}

// Who was taken for offline is online again: another node may have found the end of a session that
// this one has followed.
bool FleetCalls::KeepSeen() {
  if (parts_.store == nullptr) return false;
  const absl::Time now = parts_.clock->Now();
  std::vector<StoreRecord> records;
  bool more = false;
  {
    absl::MutexLock lock(&mutex_);
    auto at = connected_.upper_bound(kept_);
    for (size_t looked = 0; at != connected_.end() && looked < kMaxToldAtOnce; ++at, ++looked) {
      Connected& one = at->second;
      kept_ = at->first;
      if (!one.is_node) continue;
      one.seen = now;
      DeviceRecord record;
      record.mode = DeviceRecord::Mode::kUpdate;
      record.device_id = one.device_id;
      record.at = now;
      records.emplace_back(std::move(record));
    }
    more = at != connected_.end();
    if (!more) kept_ = Key();
  }
  // A store that is busy hears of them the next time.
  if (!records.empty()) {
    parts_.store->Append(std::move(records), [](const std::vector<AppendResult>&) {});
  }
  return more;
}

// ---- this node and its server

// What a road says to its server when it has found it: the event in the reply.
CallReply FleetCalls::Introduce() const {
  JsonWriter json;
  json.BeginObject().Field("type", kRegister);
  json.Field("device_id", std::string_view(parts_.node_id));
  json.Field("hostname", std::string_view(parts_.facts.hostname));
  json.Field("version", std::string_view(parts_.facts.version)).EndObject();
  return EventReply(kRegister, json.Take());
}

// The same way as a command that comes by topic; the answer goes back where it came from.
void FleetCalls::RunCommand(CallRequest request, ReplyFn reply) {
  request.method = std::string(kPublish);
  request.path = absl::StrCat(kSystemControl, parts_.node_id);
  request.principal = security::OwnServer();
  parts_.application->Handle(std::move(request), [reply = std::move(reply)](CallReply answer) {
    answer.attributes.clear();
    reply(std::move(answer));
  });
}

// ---- topics

// What is no status is refused by the application.
void FleetCalls::ReadStatus(const std::string& body, TopicNews* news) {
  absl::StatusOr<DeviceStatus> status = ReadDeviceStatus(body, body.size());
  if (!status.ok()) return;
  news->closes = status->word == kOfflineWord;
  news->facts = std::move(status->facts);
}

// What a topic says of the way to its device; false: nothing.
bool FleetCalls::ReadTopic(const CallRequest& request, TopicNews* news) const {
  const TopicMatch match = MatchTopic(request.path);
  DeviceRoad& road = news->road;
  news->device_id = std::string(match.device);
  news->system = absl::StartsWith(request.path, kSystemStatus);
  const bool camera = absl::StartsWith(request.path, kCameraTopics) && !IsRetained(request) &&
                      (match.kind == TopicKind::kDetection || match.kind == TopicKind::kHealth);
  if (request.body.empty() || (!news->system && !camera)) return false;
  if (news->system) ReadStatus(request.body, news);
  road.instance = request.peer.instance;
  road.protocol = request.protocol;
  road.address = request.peer.address;
  road.since = parts_.clock->Now();
  if (news->system) {
    road.topic = absl::StrCat(kSystemControl, news->device_id);
    road.qos = kSystemQos;
  } else {
    road.topic = absl::StrCat(kCameraTopics, news->device_id, "/control");
    road.qos = kCameraQos;
    road.until = road.since + kHeardWindow;
  }
  return true;
}

// The broker tells a device's last will when that goes, so "online" lasts until something else
// comes or the listener goes. Of a camera that only sends, its silence must tell. What the
// application refuses opens nothing: anybody can invent names.
void FleetCalls::HandleTopic(CallRequest request, ReplyFn reply) {
  TopicNews news;
  if (!ReadTopic(request, &news)) {
    return parts_.application->Handle(std::move(request), std::move(reply));
  }
  news.life = lives_->Of(news.road.instance);
  news.untold = news.system && parts_.store == nullptr;
  // The store may answer when this is gone.
  parts_.application->Handle(std::move(request),
                             [fleet = parts_.fleet, lives = lives_, news = std::move(news),
                              reply = std::move(reply)](CallReply answer) {
                               if (IsTaken(answer) || (news.untold && answer.status == 501)) {
                                 TakeTopic(fleet, *lives, news);
                               }
                               reply(std::move(answer));
                             });
}

void FleetCalls::TakeTopic(Fleet* fleet, const ListenerLives& lives, const TopicNews& news) {
  const std::string& instance = news.road.instance;
  if (lives.Of(instance) == news.life) {
    if (!news.closes) fleet->roads().Open(news.device_id, news.facts, news.road);
    // The listener may have gone while it was opened.
    if (news.closes || lives.Of(instance) != news.life) fleet->CloseWay(instance, news.road.topic);
  }
  if (news.system) fleet->roads().Renew(news.device_id);  // Its status is stored by now.
}

// ---- listeners

uint64_t FleetCalls::ListenerLives::Of(const std::string& instance) const {
  absl::MutexLock lock(&mutex_);
  const auto found = ended_.find(instance);
  return found == ended_.end() ? 0 : found->second;
}

void FleetCalls::ListenerLives::End(const std::string& instance) {
  absl::MutexLock lock(&mutex_);
  ++ended_[instance];
}

}  // namespace viaduct
