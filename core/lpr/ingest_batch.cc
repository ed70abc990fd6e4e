// The one way into the sink: every message of every protocol passes here.
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/ingest.h"
#include "core/lpr/partial_batch.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

constexpr std::string_view kDashboard = "dashboard";
constexpr std::string_view kHealthRoom = "health_monitoring";
constexpr size_t kMaxLoggedBytes = 256;  // Of a peer's name or an error in the communication log.
constexpr double kNanosPerMs = 1e6;

std::string Cut(std::string_view text) { return std::string(CutText(text, kMaxLoggedBytes)); }

}  // namespace

Sender Application::Impl::SenderOf(const CallRequest& call) {
  return {std::string(EnvelopeProtocol(call.protocol)), call.peer.address, call.principal,
          call.permission};
}

struct Application::Impl::Exchange {
  struct Message {
    DataType type = DataType::kDetection;
    size_t bytes = 0;
    std::string camera_id;
  };
  std::string protocol;
  std::string source;
  int64_t begun_ns = 0;
  std::vector<Message> messages;
  std::vector<Envelope> copies;  // Only when somebody listens.

  void Add(const Envelope& envelope) {
    messages.push_back(
        Message{envelope.data_type, envelope.payload_json.size(), envelope.edge_device_id});
  }
};

absl::Status Application::Impl::Admit(const Sender& sender, Arrival* arrival) const {
  const bool opens = parts_.open && arrival->envelope.metadata.encryption;
  if (opens) VD_RETURN_IF_ERROR(parts_.open(arrival));
  return PermitMessage(sender, *arrival, opens);
}

// Before anybody looks at it.
void Application::Impl::Accept(std::vector<Arrival> batch, const Sender& sender,
                               Sink::AcceptFn done) {
  std::vector<absl::Status> admitted(batch.size());
  bool all = true;
  for (size_t i = 0; i < batch.size(); ++i) {
    admitted[i] = Admit(sender, &batch[i]);
    all = all && admitted[i].ok();
  }
  if (all) return AcceptAdmitted(std::move(batch), sender, std::move(done));
  Exchange refused = BeginExchange(sender);
  std::vector<AcceptResult> refusals;
  PartialBatch parts(batch.size());
  for (size_t i = 0; i < batch.size(); ++i) {
    if (admitted[i].ok()) {
      parts.Pass(i, std::move(batch[i]));
      continue;
    }
    refused.Add(batch[i].envelope);
    refusals.push_back(AcceptResult{admitted[i], false, "", {}});
    parts.Refuse(i, admitted[i]);
  }
  NoteExchange(refused, refusals);
  std::vector<Arrival> passed = parts.Take();
  AcceptAdmitted(std::move(passed), sender, parts.Joined(std::move(done)));
}

void Application::Impl::AcceptAdmitted(std::vector<Arrival> batch, const Sender& sender,
                                       Sink::AcceptFn done) {
  if (batch.empty()) return done({});
  auto exchange = std::make_shared<Exchange>(BeginExchange(sender));
  exchange->messages.reserve(batch.size());
  bool wanted = AnyWanted();
  for (const Arrival& arrival : batch) {
    const Envelope& envelope = arrival.envelope;
    exchange->Add(envelope);
    wanted = wanted || envelope.data_type == DataType::kConfig ||  // It may be a registration.
             IsSilent(envelope.edge_device_id);
  }
  if (wanted) {
    exchange->copies.reserve(batch.size());
    for (const Arrival& arrival : batch) exchange->copies.push_back(arrival.envelope);
  }
  parts_.sink->Accept(std::move(batch),
                      [this, exchange, done = std::move(done)](std::vector<AcceptResult> results) {
                        NoteExchange(*exchange, results);
                        if (!exchange->copies.empty()) PublishAll(*exchange, results);
                        done(std::move(results));
                      });
}

Application::Impl::Exchange Application::Impl::BeginExchange(const Sender& sender) const {
  Exchange exchange;
  exchange.protocol = sender.protocol;
  exchange.source = Cut(sender.source);
  exchange.begun_ns = parts_.clock->MonotonicNanos();
  return exchange;
}

void Application::Impl::IngestEnvelopes(std::vector<Envelope> batch, const Sender& sender,
                                        Sink::AcceptFn done) {
  ParseOptions options;
  options.limits.max_bytes = options_.max_body_bytes;
  options.naive_zone = options_.zone;
  PartialBatch parts(batch.size());
  for (size_t i = 0; i < batch.size(); ++i) {
    absl::Status status = ValidateEnvelope(batch[i], options);
    if (status.ok()) status = CheckPayload(batch[i]);
    if (status.ok()) {
      parts.Pass(i, std::move(batch[i]));
    } else {
      parts.Refuse(i, absl::InvalidArgumentError(status.message()));
    }
  }
  std::vector<Arrival> valid = parts.Take();
  Accept(std::move(valid), sender, parts.Joined(std::move(done)));
}

// A node that only stores reads the payload anyway; one that forwards refuses here what the server
// would refuse later, when nobody is left to be told.
absl::Status Application::Impl::CheckPayload(const Envelope& envelope) const {
  if (!options_.forwards) return absl::OkStatus();
  VD_RETURN_IF_ERROR(CheckWrittenSize(envelope, options_.max_body_bytes));
  return CheckMessage(envelope, payload_options());
}

void Application::Impl::NoteExchange(const Exchange& exchange,
                                     const std::vector<AcceptResult>& results) {
  const double elapsed_ms =
      static_cast<double>(parts_.clock->MonotonicNanos() - exchange.begun_ns) / kNanosPerMs;
  const absl::Time now = parts_.clock->Now();
  for (size_t i = 0; i < results.size(); ++i) {
    CommunicationRecord record;
    record.protocol = exchange.protocol;
    const std::string& camera = exchange.messages[i].camera_id;
    record.source = camera.empty() ? exchange.source : camera;
    record.destination = options_.node_id;
    record.message_type = std::string(DataTypeName(exchange.messages[i].type));
    record.success = results[i].status.ok();
    record.latency_ms = elapsed_ms;
    if (!record.success) record.error_message = Cut(StdView(results[i].status.message()));
    record.at = now;
    meter_.Record(std::move(record), exchange.messages[i].bytes);
  }
}

void Application::Impl::NoteRefusal(const CallRequest& call, std::string_view type,
                                    const absl::Status& status) {
  CommunicationRecord record;
  record.protocol = std::string(EnvelopeProtocol(call.protocol));
  record.source = Cut(call.peer.address);
  record.destination = options_.node_id;
  record.message_type = std::string(type);
  record.success = false;
  record.error_message = Cut(StdView(status.message()));
  record.at = parts_.clock->Now();
  meter_.Record(std::move(record), call.body.size());
}

void Application::Impl::PublishAll(const Exchange& exchange,
                                   const std::vector<AcceptResult>& results) {
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].status.ok() || results[i].duplicate) continue;
    const Envelope& envelope = exchange.copies[i];
    // There is nothing to tell of it but that its device is there.
    if (envelope.metadata.encryption) {
      NoteHeard(envelope.edge_device_id, "");
      continue;
    }
    if (envelope.data_type == DataType::kConfig) PublishRegistration(envelope);
    if (parts_.publisher == nullptr) continue;
    if (envelope.data_type == DataType::kDetection) {
      PublishDetection(envelope, results[i].id);
      PublishAlerts(envelope, results[i].id, results[i].alerts);
    } else if (envelope.data_type == DataType::kHealth) {
      PublishHealth(envelope, results[i].id);
    }
  }
}

void Application::Impl::PublishDetection(const Envelope& envelope, const std::string& id) {
  DetectionPayload payload;
  if (!ReadDetection(envelope.payload_json, payload_options(), &payload).ok()) return;
  const std::string& camera =
      payload.header.camera_id.empty() ? envelope.edge_device_id : payload.header.camera_id;
  NoteHeard(camera, payload.header.checkpoint_id);
  JsonWriter json;
  json.BeginObject().Field("detection_id", std::string_view(id));
  json.Field("camera_id", std::string_view(camera));
  json.Field("checkpoint_id", std::string_view(payload.header.checkpoint_id));
  json.Field("vehicles_count", int64_t{payload.vehicles()});
  json.Field("plates_count", int64_t{payload.plate_count()});
  json.Key("ocr_results").BeginArray();
  for (const PlateRead& plate : payload.plates) json.String(plate.text);
  json.EndArray().Field("timestamp", envelope.timestamp).EndObject();
  const std::string room = CameraRoom(camera, payload.header.checkpoint_id);
  parts_.publisher->Publish(Publication{"new_detection", kDashboard, json.text()});
  parts_.publisher->Publish(Publication{"lpr_event_received", kDashboard, json.text()});
  parts_.publisher->Publish(Publication{"lpr_event_processed", kDashboard, json.text()});
  parts_.publisher->Publish(Publication{"new_detection", room, json.text()});
}

void Application::Impl::PublishHealth(const Envelope& envelope, const std::string& id) {
  HealthPayload payload;
  if (!ReadHealth(envelope.payload_json, payload_options(), &payload).ok()) return;
  const std::string& camera =
      payload.header.camera_id.empty() ? envelope.edge_device_id : payload.header.camera_id;
  const bool of_camera = payload.component != kGatewayComponent;
  NoteHeard(camera, of_camera ? std::string_view(payload.header.checkpoint_id) : "");
  JsonWriter json;
  json.BeginObject().Field("health_id", std::string_view(id));
  json.Field("camera_id", std::string_view(camera));
  json.Field("checkpoint_id", std::string_view(payload.header.checkpoint_id));
  json.Field("component", std::string_view(payload.component));
  json.Field("status", std::string_view(payload.status));
  json.Field("message", std::string_view(payload.message));
  json.Field("timestamp", envelope.timestamp).EndObject();
  parts_.publisher->Publish(Publication{"health_update", kHealthRoom, json.text()});
}

void Application::Impl::PublishRegistration(const Envelope& envelope) {
  PayloadHeader header;
  if (!ReadHeader(envelope.payload_json, payload_options(), &header).ok()) return;
  if (header.type != kRegistrationType) return;
  if (EndSilence(envelope.edge_device_id) && parts_.renew) parts_.renew(envelope.edge_device_id);
  PublishStatus(envelope.edge_device_id, header.checkpoint_id, "online");
  if (parts_.store == nullptr) return;
  CameraPresence presence;
  presence.camera_id = envelope.edge_device_id;
  presence.checkpoint_id = header.checkpoint_id;
  presence.online = presence.announced = true;
  presence.at = parts_.clock->Now();
  parts_.store->NotePresence(presence);
}

}  // namespace viaduct
