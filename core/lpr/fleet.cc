#include "core/lpr/fleet.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/ids.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/json_fields.h"
#include "core/lpr/json_writer.h"
#include "core/message/identity.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

constexpr size_t kMaxErrorBytes = 1024;  // Of a device's words.
constexpr size_t kMaxShownBytes = 200;
// A road's own limit is a little longer: the fleet's decides, and on_cancel still tells the plugin.
constexpr absl::Duration kRoadGrace = absl::Milliseconds(50);
constexpr std::string_view kControlEvent = "control";

// The road has not delivered it, whatever else it says.
bool IsUndelivered(int status) { return status == 404 || status == 501 || status == 503; }

constexpr int kSentOnly = 202;  // The answer comes as a message of its own.
constexpr int kAnswered = 200;
constexpr int kTimedOut = 504;

bool Fits(const DeviceRoad& road, const std::string& wanted) {
  return wanted.empty() || road.instance == wanted || road.protocol == wanted;
}

absl::Status NoRoad(const Order& order, const std::vector<DeviceRoad>& roads) {
  if (roads.empty()) {
    return absl::UnavailableError(absl::StrCat("device ", ShownText(order.device_id),
                                               ": no live road leads to it from this server node"));
  }
  const std::string others = absl::StrJoin(roads, ", ", [](std::string* out, const DeviceRoad& it) {
    absl::StrAppend(out, it.instance, " (", it.protocol, ")");
  });
  return absl::UnavailableError(absl::StrCat("device ", ShownText(order.device_id),
                                             ": no live road ", ShownText(order.road),
                                             " leads to it, there is ", others));
}

absl::Status BrokenRoad(const Order& order, std::string_view why) {
  return absl::UnknownError(
      absl::StrCat("device ", ShownText(order.device_id),
                   ": the road broke before the answer, whether it was done is not known, ",
                   AbslView(CutText(why, kMaxShownBytes))));
}

std::string TextOf(const JsonSlice& value) {
  return value.type == JsonType::kString ? DecodeJsonString(value.text) : "";
}

// {"message": ...} and {"error": ...} of a result are what people read.
std::string MessageIn(const JsonSlice& result) {
  std::vector<JsonMember> members;
  if (result.type != JsonType::kObject) return "";
  if (!JsonScanner(result.text, JsonScanLimits()).ScanObject(&members).ok()) return "";
  for (const JsonMember& member : members) {
    if (member.key == "message" || member.key == "error") return TextOf(member.value);
  }
  return "";
}

// `body` is an object that is not empty.
std::string WithExpiry(const std::string& body, absl::Time expires) {
  JsonWriter json;
  json.BeginObject().Field("expires", expires).EndObject();
  std::string out = json.Take();
  out.back() = ',';
  return out.append(body, 1);
}

}  // namespace

struct Fleet::Pending {
  Order order;
  std::string message_id;
  std::string body;
  std::vector<DeviceRoad> ways;  // Not yet tried.
  int64_t deadline_ns = 0;
  OrderFn done;
  // Guarded by the fleet's mutex:
  DeviceRoad way;        // The one it went by.
  int64_t given_ns = 0;  // When `way` got it.
  size_t attempt = 0;    // Counts ways, so that a late reply of the one before finds nothing.
  uint64_t timer = 0;
  bool sent = false;  // `way` has it.
};

Fleet::Fleet(const Clock* clock, TimerQueue* timers, CallFn call)
    : clock_(clock), timers_(timers), call_(std::move(call)) {}

Fleet::~Fleet() { Close(); }

absl::Status Fleet::Check(const Order& order) const {
  const absl::Status device = CheckIdentifier(order.device_id, ParseLimits().max_id_bytes);
  if (!device.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("device_id: ", device.message()));
  }
  const absl::Status command = CheckIdentifier(order.command, kMaxCommandBytes);
  if (!command.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("command: ", command.message()));
  }
  if (order.timeout < kMinTimeout || order.timeout > kMaxTimeout) {
    return absl::InvalidArgumentError(absl::StrCat("timeout: expected ",
                                                   absl::FormatDuration(kMinTimeout), " to ",
                                                   absl::FormatDuration(kMaxTimeout)));
  }
  if (order.arguments_json.empty()) return absl::OkStatus();
  const auto fields = JsonFields::Parse(order.arguments_json, kMaxArgumentBytes);
  if (fields.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("arguments: ", fields.status().message()));
}

std::string Fleet::BodyOf(const Order& order, const std::string& message_id) const {
  JsonWriter json;
  json.BeginObject().Field("type", kControlEvent);
  json.Field("message_id", std::string_view(message_id));
  json.Field("device_id", std::string_view(order.device_id));
  json.Field("command", std::string_view(order.command));
  json.Key("arguments").Raw(order.arguments_json.empty() ? "{}" : order.arguments_json);
  json.Field("timestamp", clock_->Now()).EndObject();
  return json.Take();
}

absl::Status Fleet::Admit(const PendingPtr& pending) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return absl::UnavailableError("fleet: the node is stopping");
  if (pending_.size() >= kMaxOrders || pending_bytes_ + pending->body.size() > kMaxPendingBytes) {
    return absl::ResourceExhaustedError("fleet: too many orders are under way");
  }
  size_t& of_device = of_device_[pending->order.device_id];
  if (of_device >= kMaxOrdersOfDevice) {
    return absl::ResourceExhaustedError(absl::StrCat("device ", ShownText(pending->order.device_id),
                                                     ": ", kMaxOrdersOfDevice,
                                                     " orders are under way already"));
  }
  ++of_device;
  pending_bytes_ += pending->body.size();
  pending_[pending->message_id] = pending;
  return absl::OkStatus();
}

// Before anything is under way.
absl::Status Fleet::Prepare(Order order, Pending* pending) const {
  VD_RETURN_IF_ERROR(Check(order));
  const std::optional<DeviceState> device = roads_.Find(order.device_id, clock_->Now());
  if (device.has_value()) pending->ways = device->roads;
  auto& ways = pending->ways;
  ways.erase(std::remove_if(ways.begin(), ways.end(),
                            [&](const DeviceRoad& road) { return !Fits(road, order.road); }),
             ways.end());
  if (ways.empty()) {
    return NoRoad(order, device.has_value() ? device->roads : std::vector<DeviceRoad>());
  }
  pending->body = BodyOf(order, pending->message_id);
  pending->deadline_ns = clock_->MonotonicNanos() + absl::ToInt64Nanoseconds(order.timeout);
  pending->order = std::move(order);
  pending->order.arguments_json.clear();  // They are in the body.
  return absl::OkStatus();
}

std::string Fleet::Send(Order order, OrderFn done) {
  auto pending = std::make_shared<Pending>();
  pending->message_id = NewUuid(clock_->Now());
  pending->done = std::move(done);  // Once admitted it may be ended by any thread.
  absl::Status status = Prepare(std::move(order), pending.get());
  if (status.ok()) status = Admit(pending);
  if (!status.ok()) {
    OrderResult refused;
    refused.message_id = pending->message_id;
    refused.status = std::move(status);
    pending->done(std::move(refused));
  } else if (ArmTimer(pending)) {
    TryNext(pending, "");
  }
  return pending->message_id;
}

// False: it has ended.
bool Fleet::ArmTimer(const PendingPtr& pending) {
  const uint64_t timer = timers_->ArmAt(pending->deadline_ns, [this, pending] {
    OrderResult late;
    late.status = absl::DeadlineExceededError(
        absl::StrCat("device ", ShownText(pending->order.device_id), ": no answer within ",
                     absl::FormatDuration(pending->order.timeout)));
    Finish(pending, std::move(late));
  });
  if (timer == 0) {
    OrderResult refused;
    refused.status = absl::ResourceExhaustedError("fleet: too many timers are under way");
    Finish(pending, std::move(refused));
    return false;
  }
  {
    absl::MutexLock lock(&mutex_);
    pending->timer = timer;
    if (pending_.count(pending->message_id) != 0) return true;
  }
  timers_->Cancel(timer);  // Whoever ended it did not know of it.
  return false;
}

// `why` is what the way before said.
void Fleet::TryNext(const PendingPtr& pending, std::string_view why) {
  size_t attempt = 0;
  DeviceRoad way;
  {
    absl::MutexLock lock(&mutex_);
    if (pending_.count(pending->message_id) == 0) return;
    if (!pending->ways.empty()) {
      pending->way = pending->ways.front();
      pending->ways.erase(pending->ways.begin());
      pending->sent = true;
      pending->given_ns = clock_->MonotonicNanos();
      attempt = ++pending->attempt;
      way = pending->way;
      ++calling_;
    } else {
      pending->sent = false;
    }
  }
  if (attempt == 0) {
    OrderResult none;
    none.status = absl::UnavailableError(
        absl::StrCat("device ", ShownText(pending->order.device_id), ": no road took the order, ",
                     AbslView(CutText(why, kMaxShownBytes))));
    return Finish(pending, std::move(none));
  }
  const absl::Duration left =
      absl::Nanoseconds(pending->deadline_ns - clock_->MonotonicNanos()) + kRoadGrace;
  call_(way.instance, RequestFor(*pending, way), left,
        [this, pending, attempt](CallReply reply) { OnReply(pending, attempt, std::move(reply)); });
  absl::MutexLock lock(&mutex_);
  --calling_;
}

CallRequest Fleet::RequestFor(const Pending& pending, const DeviceRoad& road) const {
  CallRequest request;
  request.protocol = road.protocol;
  request.method = "CONTROL";
  request.path = road.session.empty() ? road.topic : std::string(kControlEvent);
  request.body = pending.body;
  request.peer.address = pending.order.device_id;
  if (!road.session.empty()) request.attributes.emplace_back("session", road.session);
  if (road.topic.empty()) return request;
  request.attributes.emplace_back("qos", absl::StrCat(road.qos));
  // A broker may keep it for a device that is away.
  const int64_t left = pending.deadline_ns - clock_->MonotonicNanos();
  request.body = WithExpiry(pending.body, clock_->Now() + absl::Nanoseconds(left));
  return request;
}

void Fleet::OnReply(const PendingPtr& pending, size_t attempt, CallReply reply) {
  {
    absl::MutexLock lock(&mutex_);
    // It has ended, or this is the way before.
    if (pending_.count(pending->message_id) == 0 || pending->attempt != attempt) {
      if (reply.status == kAnswered) ++stats_.strays;
      return;
    }
  }
  if (reply.status == kSentOnly) return;
  if (IsUndelivered(reply.status)) return TryNext(pending, reply.body);
  if (reply.status == kAnswered) return Answered(pending, reply.body);
  OrderResult broken;
  if (reply.status == kTimedOut) {
    broken.status = absl::DeadlineExceededError(
        absl::StrCat("device ", ShownText(pending->order.device_id), ": no answer in time"));
  } else {
    broken.status = BrokenRoad(pending->order, reply.body);
  }
  Finish(pending, std::move(broken));
}

void Fleet::Answered(const PendingPtr& pending, std::string_view body) {
  OrderResult result;
  result.status =
      ReadOrderAnswer(body, pending->message_id, pending->order.device_id, &result.answer);
  if (!result.status.ok()) {
    result.status =
        absl::UnknownError(absl::StrCat("device ", ShownText(pending->order.device_id),
                                        ": its answer cannot be used, ", result.status.message()));
  }
  Finish(pending, std::move(result));
}

void Fleet::TakeAnswer(std::string_view instance, std::string_view session, std::string_view body) {
  std::string message_id;
  const auto fields = JsonFields::Parse(body, kMaxAnswerBytes);
  if (fields.ok()) {
    const auto named = fields->Text({"message_id"}, ParseLimits().max_id_bytes);
    if (named.ok()) message_id = named->value_or("");
  }
  PendingPtr pending;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = pending_.find(message_id);
    const bool wanted = found != pending_.end() && found->second->sent &&
                        found->second->way.instance == instance &&
                        found->second->way.session == session;
    if (!wanted) {
      ++stats_.strays;
      return;
    }
    pending = found->second;
  }
  Answered(pending, body);
}

void Fleet::Finish(const PendingPtr& pending, OrderResult result) {
  uint64_t timer = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (pending_.erase(pending->message_id) == 0) return;  // Somebody else was first.
    pending_bytes_ -= pending->body.size();
    const auto count = of_device_.find(pending->order.device_id);
    if (count != of_device_.end() && --count->second == 0) of_device_.erase(count);
    timer = pending->timer;
    if (pending->sent) {
      ++stats_.orders;
      result.road = pending->way.instance;
      result.protocol = pending->way.protocol;
      result.round_trip = absl::Nanoseconds(clock_->MonotonicNanos() - pending->given_ns);
    }
    if (result.status.ok()) ++stats_.answered;
    if (absl::IsDeadlineExceeded(result.status)) ++stats_.timed_out;
    if (absl::IsUnknown(result.status)) ++stats_.broken;
  }
  timers_->Cancel(timer);
  result.message_id = pending->message_id;
  if (result.status.ok()) {
    const DeviceRoad& way = pending->way;
    roads_.NoteRoundTrip(way.instance, way.session.empty() ? way.topic : way.session,
                         result.round_trip, clock_->Now());
  }
  pending->done(std::move(result));
}

void Fleet::Cancel(std::string_view message_id) {
  PendingPtr pending;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = pending_.find(AbslView(message_id));
    if (found == pending_.end()) return;
    pending = found->second;
  }
  OrderResult cancelled;
  cancelled.status = absl::CancelledError(absl::StrCat(
      "device ", ShownText(pending->order.device_id), ": whoever gave the order went away"));
  Finish(pending, std::move(cancelled));
}

void Fleet::Break(const std::function<bool(const DeviceRoad&)>& is_gone) {
  std::vector<PendingPtr> broken;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, pending] : pending_) {
      if (pending->sent && is_gone(pending->way)) broken.push_back(pending);
    }
  }
  for (const PendingPtr& pending : broken) {
    OrderResult result;
    result.status = BrokenRoad(pending->order, "the peer has gone");
    Finish(pending, std::move(result));
  }
}

void Fleet::CloseWay(std::string_view instance, std::string_view way) {
  roads_.Close(instance, way);
  Break([&](const DeviceRoad& road) {
    return road.instance == instance && (road.session.empty() ? road.topic : road.session) == way;
  });
}

void Fleet::CloseListener(std::string_view instance) {
  roads_.CloseAll(instance);
  Break([&](const DeviceRoad& road) { return road.instance == instance; });
}

void Fleet::Close() {
  std::vector<PendingPtr> rest;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    for (const auto& [id, pending] : pending_) rest.push_back(pending);
  }
  for (const PendingPtr& pending : rest) {
    OrderResult stopped;
    stopped.status = absl::UnavailableError("fleet: the node is stopping");
    Finish(pending, std::move(stopped));
  }
  absl::MutexLock lock(&mutex_);
  const auto uncalled = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return calling_ == 0; };
  mutex_.Await(absl::Condition(&uncalled));
}

FleetStats Fleet::stats() const {
  absl::MutexLock lock(&mutex_);
  FleetStats stats = stats_;
  stats.in_flight = pending_.size();
  return stats;
}

absl::Status ReadOrderAnswer(std::string_view body, std::string_view message_id,
                             std::string_view device_id, OrderAnswer* answer) {
  JsonScanLimits limits;
  limits.max_bytes = Fleet::kMaxAnswerBytes;
  std::vector<JsonMember> members;
  VD_RETURN_IF_ERROR(JsonScanner(body, limits).ScanObject(&members));
  bool named = false;
  bool said = false;
  for (const JsonMember& member : members) {
    const JsonSlice& value = member.value;
    if (member.key == "message_id") named = TextOf(value) == message_id;
    if (member.key == "device_id" && TextOf(value) != device_id) {
      return absl::InvalidArgumentError(
          absl::StrCat("device_id: of another device, ", ShownText(TextOf(value))));
    }
    if (member.key == "success") {
      said = value.type == JsonType::kTrue || value.type == JsonType::kFalse;
      answer->success = value.type == JsonType::kTrue;
    }
    if (member.key == "status" && value.type == JsonType::kNumber &&
        !absl::SimpleAtoi(AbslView(value.text), &answer->status)) {
      answer->status = 0;
    }
    if (member.key == "result") {
      answer->result_json = std::string(value.text);
      if (answer->error.empty()) answer->error = MessageIn(value);
    }
    if (member.key == "error" && value.type == JsonType::kString) answer->error = TextOf(value);
  }
  if (!named) return absl::InvalidArgumentError("message_id: not that of the order");
  if (!said) return absl::InvalidArgumentError("success: missing, or neither true nor false");
  answer->error = answer->success ? "" : std::string(CutText(answer->error, kMaxErrorBytes));
  return absl::OkStatus();
}

}  // namespace viaduct
