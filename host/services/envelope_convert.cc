#include "host/services/envelope_convert.h"

#include <google/protobuf/util/json_util.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/ids.h"
#include "core/base/string_view.h"
#include "host/rpc/convert.h"

namespace viaduct {
namespace {

namespace pb = gateway::v1;

// What an envelope says that did not come over one of the wire protocols.
constexpr char kProtocol[] = "rest";

bool ReadType(pb::DataType type, DataType* out) {
  switch (type) {
    case pb::DATA_TYPE_DETECTION:
      *out = DataType::kDetection;
      return true;
    case pb::DATA_TYPE_HEALTH:
      *out = DataType::kHealth;
      return true;
    case pb::DATA_TYPE_CONFIG:
      *out = DataType::kConfig;
      return true;
    case pb::DATA_TYPE_CONTROL:
      *out = DataType::kControl;
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string StructToJson(const google::protobuf::Struct& value) {
  std::string json;
  auto status = google::protobuf::util::MessageToJsonString(value, &json);
  return status.ok() ? json : "";
}

bool ReadPriority(pb::Priority priority, Priority* out) {
  switch (priority) {
    case pb::PRIORITY_HIGH:
      *out = Priority::kHigh;
      return true;
    case pb::PRIORITY_UNSPECIFIED:
    case pb::PRIORITY_NORMAL:
      *out = Priority::kNormal;
      return true;
    case pb::PRIORITY_LOW:
      *out = Priority::kLow;
      return true;
    default:
      return false;
  }
}

pb::Priority ToProto(Priority priority) {
  return static_cast<pb::Priority>(static_cast<int>(priority) + 1);
}

std::string FieldOfRefusal(std::string_view text, std::string_view field) {
  constexpr std::string_view kPrefix = "envelope: /";
  if (text.substr(0, kPrefix.size()) != kPrefix) return std::string(field);
  text.remove_prefix(kPrefix.size());
  std::string path(text.substr(0, text.find_first_of(": ")));
  if (path.compare(0, 7, "payload") == 0) path.insert(7, "_json");
  for (char& c : path) {
    if (c == '/') c = '.';
  }
  return absl::StrCat(AbslView(field), ".", path);
}

absl::Status ForSender(absl::Status status) {
  constexpr std::string_view kSubject = "envelope: ";
  const std::string_view text = StdView(status.message());
  if (!absl::IsResourceExhausted(status) || text.substr(0, kSubject.size()) != kSubject) {
    return status;
  }
  return absl::InvalidArgumentError(status.message());
}

Envelope EnvelopeReader::Read(pb::Envelope* message, std::string_view field,
                              rpc::Violations* violations) const {
  auto complain = [&](const char* member, std::string text) {
    violations->Add(absl::StrCat(AbslView(field), ".", member), std::move(text));
  };
  Envelope envelope;
  envelope.protocol = kProtocol;
  envelope.message_id = std::move(*message->mutable_message_id());
  if (envelope.message_id.empty()) envelope.message_id = NewUuid(clock_->Now());
  envelope.edge_device_id = std::move(*message->mutable_edge_device_id());
  if (envelope.edge_device_id.empty()) envelope.edge_device_id = node_id_;
  envelope.timestamp = clock_->Now();
  if (message->has_timestamp() && !rpc::FromProto(message->timestamp(), &envelope.timestamp)) {
    complain("timestamp", absl::StrCat("out of range, ", message->timestamp().seconds(), "s ",
                                       message->timestamp().nanos(), "ns"));
  }
  if (!ReadType(message->data_type(), &envelope.data_type)) {
    complain("data_type",
             absl::StrCat("expected one of DETECTION, HEALTH, CONFIG and CONTROL, got ",
                          static_cast<int>(message->data_type())));
  }
  const pb::Metadata& metadata = message->metadata();
  if (!ReadPriority(metadata.priority(), &envelope.metadata.priority)) {
    complain("metadata.priority", absl::StrCat("expected one of HIGH, NORMAL and LOW, got ",
                                               static_cast<int>(metadata.priority())));
  }
  envelope.metadata.compression = metadata.compression();
  envelope.metadata.encryption = metadata.encryption();
  if (!metadata.protocol_version().empty()) {
    envelope.metadata.protocol_version = metadata.protocol_version();
  }
  if (metadata.has_extra()) envelope.metadata.extra_json = StructToJson(metadata.extra());
  switch (message->payload_form_case()) {
    case pb::Envelope::kPayloadJson:
      envelope.payload_json = std::move(*message->mutable_payload_json());
      break;
    case pb::Envelope::kPayload:
      envelope.payload_json = StructToJson(message->payload());
      break;
    default:
      complain("payload_json", "missing, payload or payload_json is required");
  }
  return envelope;
}

pb::Envelope ToProto(const Envelope& envelope) {
  pb::Envelope message;
  message.set_message_id(envelope.message_id);
  *message.mutable_timestamp() = rpc::ToProto(envelope.timestamp);
  message.set_edge_device_id(envelope.edge_device_id);
  message.set_data_type(static_cast<pb::DataType>(static_cast<int>(envelope.data_type) + 1));
  message.set_payload_json(envelope.payload_json);
  auto* metadata = message.mutable_metadata();
  metadata->set_priority(ToProto(envelope.metadata.priority));
  metadata->set_compression(envelope.metadata.compression);
  metadata->set_encryption(envelope.metadata.encryption);
  metadata->set_protocol_version(envelope.metadata.protocol_version);
  if (envelope.metadata.extra_json != "{}") {
    // What does not fit into a Struct (deeper than protobuf reads) is left out, never half there.
    auto status = google::protobuf::util::JsonStringToMessage(envelope.metadata.extra_json,
                                                              metadata->mutable_extra());
    if (!status.ok()) metadata->clear_extra();
  }
  return message;
}

}  // namespace viaduct
