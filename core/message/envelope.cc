#include "core/message/envelope.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/envelope_reader.h"
#include "core/message/identity.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

constexpr size_t kMaxProtocolVersionBytes = 32;

// A JSON string may hold newlines only escaped, so a raw one is white space; an envelope is one
// line.
void AppendOneLine(std::string_view json, std::string* out) {
  const size_t start = out->size();
  out->append(json);
  if (json.find_first_of("\r\n") == std::string_view::npos) return;
  std::replace_if(
      out->begin() + static_cast<std::ptrdiff_t>(start), out->end(),
      [](char c) { return c == '\n' || c == '\r'; }, ' ');
}

std::string_view KnownProtocol(std::string_view name) {
  if (name == "rest" || name == "rest_api") return "rest";
  if (name == "websocket" || name == "mqtt") return name;
  return {};
}

bool IsMetadataField(std::string_view key) {
  return key == "protocol_version" || key == "compression" || key == "encryption" ||
         key == "priority";
}

}  // namespace

std::string_view DataTypeName(DataType type) {
  switch (type) {
    case DataType::kDetection:
      return "detection";
    case DataType::kHealth:
      return "health";
    case DataType::kConfig:
      return "config";
    case DataType::kControl:
      return "control";
  }
  return "unknown";
}

std::string_view PriorityName(Priority priority) {
  switch (priority) {
    case Priority::kHigh:
      return "high";
    case Priority::kNormal:
      return "normal";
    case Priority::kLow:
      return "low";
  }
  return "unknown";
}

absl::StatusOr<DataType> ParseDataType(std::string_view name) {
  for (const DataType type :
       {DataType::kDetection, DataType::kHealth, DataType::kConfig, DataType::kControl}) {
    if (DataTypeName(type) == name) return type;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("expected detection, health, config or control, got ", ShownText(name)));
}

absl::StatusOr<Priority> ParsePriority(std::string_view name) {
  for (const Priority priority : {Priority::kHigh, Priority::kNormal, Priority::kLow}) {
    if (PriorityName(priority) == name) return priority;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("expected high, normal or low, got ", ShownText(name)));
}

EnvelopeReader::EnvelopeReader(const ParseOptions& options, std::string_view pointer)
    : options_(options), pointer_(pointer) {}

absl::Status EnvelopeReader::Prefix(std::string_view field, const absl::Status& status) const {
  const absl::string_view colon = pointer_.empty() && field.empty() ? "" : ": ";
  return absl::Status(status.code(), absl::StrCat("envelope: ", pointer_, AbslView(field), colon,
                                                  status.message()));
}

absl::Status EnvelopeReader::WrongType(std::string_view field, std::string_view expected,
                                       JsonType got) const {
  return Prefix(field,
                absl::InvalidArgumentError(absl::StrCat("expected ", AbslView(expected), ", got ",
                                                        AbslView(JsonTypeName(got)))));
}

absl::Status EnvelopeReader::ReadText(std::string_view field, const JsonSlice& value,
                                      std::string* out) const {
  if (value.type != JsonType::kString) return WrongType(field, "a string", value.type);
  *out = DecodeJsonString(value.text);
  return absl::OkStatus();
}

absl::Status EnvelopeReader::ReadBool(std::string_view field, const JsonSlice& value,
                                      bool* out) const {
  if (value.type != JsonType::kTrue && value.type != JsonType::kFalse) {
    return WrongType(field, "a boolean", value.type);
  }
  *out = value.type == JsonType::kTrue;
  return absl::OkStatus();
}

// Objects may arrive as JSON text in a string: devices encode twice.
absl::Status EnvelopeReader::ReadObjectText(std::string_view field, const JsonSlice& value,
                                            std::string* out) const {
  if (value.type == JsonType::kObject) {
    out->assign(value.text);
    return absl::OkStatus();
  }
  if (value.type != JsonType::kString) return WrongType(field, "an object", value.type);
  const std::string decoded = DecodeJsonString(value.text);
  JsonSlice inner;
  const absl::Status status = JsonScanner(decoded, InnerLimits()).ScanDocument(&inner);
  if (!status.ok()) {
    return Prefix(field,
                  absl::Status(status.code(), absl::StrCat("expected an object, got a string "
                                                           "that is no JSON, ",
                                                           status.message())));
  }
  if (inner.type != JsonType::kObject) return WrongType(field, "an object", inner.type);
  out->assign(inner.text);
  return absl::OkStatus();
}

JsonScanLimits EnvelopeReader::InnerLimits() const {
  JsonScanLimits limits;
  limits.max_bytes = options_.limits.max_bytes;
  limits.max_depth = options_.limits.max_depth - 1;
  return limits;
}

absl::Status EnvelopeReader::ReadIdentity(int rank, std::string_view field, const JsonSlice& value,
                                          Envelope* out) {
  if (value.type == JsonType::kNull) return absl::OkStatus();
  std::string id;
  VD_RETURN_IF_ERROR(ReadText(field, value, &id));
  const absl::Status checked = CheckIdentifier(id, options_.limits.max_id_bytes);
  if (!checked.ok()) return Prefix(field, checked);
  if (identity_rank_ < 0 || rank < identity_rank_) {
    identity_rank_ = rank;
    out->edge_device_id = std::move(id);
  }
  return absl::OkStatus();
}

absl::Status EnvelopeReader::ReadMessageId(const JsonSlice& value, Envelope* out) {
  VD_RETURN_IF_ERROR(ReadText("/message_id", value, &out->message_id));
  const absl::Status checked = CheckIdentifier(out->message_id, options_.limits.max_id_bytes);
  if (checked.ok() && out->message_id != kNilUuid) return absl::OkStatus();
  out->message_id.clear();
  if (checked.ok()) return absl::OkStatus();
  return Prefix("/message_id", checked);
}

absl::Status EnvelopeReader::ReadTimestamp(const JsonSlice& value, Envelope* out) {
  std::string text;
  VD_RETURN_IF_ERROR(ReadText("/timestamp", value, &text));
  absl::StatusOr<absl::Time> time = ParseTimestamp(text, options_.naive_zone);
  if (!time.ok()) return Prefix("/timestamp", time.status());
  out->timestamp = *time;
  return absl::OkStatus();
}

absl::Status EnvelopeReader::ReadProtocol(const JsonSlice& value, Envelope* out) {
  std::string text;
  VD_RETURN_IF_ERROR(ReadText("/protocol", value, &text));
  out->protocol = std::string(KnownProtocol(text));
  if (!out->protocol.empty()) return absl::OkStatus();
  return Prefix("/protocol", absl::InvalidArgumentError(absl::StrCat(
                                 "expected websocket, rest or mqtt, got ", ShownText(text))));
}

absl::Status EnvelopeReader::ReadDataType(const JsonSlice& value, Envelope* out) {
  std::string text;
  VD_RETURN_IF_ERROR(ReadText("/data_type", value, &text));
  absl::StatusOr<DataType> type = ParseDataType(text);
  if (!type.ok()) return Prefix("/data_type", type.status());
  out->data_type = *type;
  return absl::OkStatus();
}

absl::Status EnvelopeReader::ReadMetadata(const JsonSlice& value, Metadata* out) const {
  if (value.type == JsonType::kNull) return absl::OkStatus();
  std::string text;
  VD_RETURN_IF_ERROR(ReadObjectText("/metadata", value, &text));
  return ReadMetadataText(text, out);
}

absl::Status EnvelopeReader::ReadMetadataText(std::string_view text, Metadata* out) const {
  std::vector<JsonMember> members;
  const absl::Status scanned = JsonScanner(text, InnerLimits()).ScanObject(&members);
  if (!scanned.ok()) return Prefix("/metadata", scanned);
  std::string extra;
  for (const JsonMember& member : members) {
    if (IsMetadataField(member.key)) {
      VD_RETURN_IF_ERROR(ReadMetadataField(member, out));
      continue;
    }
    extra.push_back(extra.empty() ? '{' : ',');
    AppendJsonString(member.key, &extra);
    extra.push_back(':');
    extra.append(member.value.text);
  }
  if (!extra.empty()) out->extra_json = extra + "}";
  return absl::OkStatus();
}

absl::Status EnvelopeReader::ReadMetadataField(const JsonMember& member, Metadata* out) const {
  const JsonSlice& value = member.value;
  if (value.type == JsonType::kNull) return absl::OkStatus();
  if (member.key == "compression")
    return ReadBool("/metadata/compression", value, &out->compression);
  if (member.key == "encryption") return ReadBool("/metadata/encryption", value, &out->encryption);
  std::string text;
  if (member.key == "protocol_version") {
    VD_RETURN_IF_ERROR(ReadText("/metadata/protocol_version", value, &text));
    const absl::Status checked = CheckIdentifier(text, kMaxProtocolVersionBytes);
    if (!checked.ok()) return Prefix("/metadata/protocol_version", checked);
    out->protocol_version = std::move(text);
    return absl::OkStatus();
  }
  VD_RETURN_IF_ERROR(ReadText("/metadata/priority", value, &text));
  absl::StatusOr<Priority> priority = ParsePriority(text);
  if (!priority.ok()) return Prefix("/metadata/priority", priority.status());
  out->priority = *priority;
  return absl::OkStatus();
}

absl::Status EnvelopeReader::ReadMember(const JsonMember& member, Envelope* out) {
  const std::string& key = member.key;
  const int rank = IdentityRank(key);
  if (rank >= 0) return ReadIdentity(rank, "/" + key, member.value, out);
  if (key == "message_id") {
    return member.value.type == JsonType::kNull ? absl::OkStatus()
                                                : ReadMessageId(member.value, out);
  }
  if (key == "timestamp") {
    seen_ |= kTimestamp;
    return ReadTimestamp(member.value, out);
  }
  if (key == "protocol") return ReadProtocol(member.value, out);
  if (key == "data_type") {
    seen_ |= kDataType;
    return ReadDataType(member.value, out);
  }
  if (key == "payload") {
    seen_ |= kPayload;
    return ReadObjectText("/payload", member.value, &out->payload_json);
  }
  if (key == "metadata") return ReadMetadata(member.value, &out->metadata);
  return absl::OkStatus();  // Members of a later protocol version are not ours to refuse.
}

absl::Status EnvelopeReader::CheckComplete(Envelope* out) const {
  const auto missing = [this](std::string_view field) {
    return Prefix(field, absl::InvalidArgumentError("required, missing"));
  };
  if ((seen_ & kTimestamp) == 0) return missing("/timestamp");
  if (out->protocol.empty()) return missing("/protocol");
  if (out->edge_device_id.empty()) return missing("/edge_device_id");
  if ((seen_ & kDataType) == 0) return missing("/data_type");
  if ((seen_ & kPayload) == 0) return missing("/payload");
  if (!out->message_id.empty()) return absl::OkStatus();
  MessageKeyParts parts;
  parts.camera_id = out->edge_device_id;
  parts.captured = out->timestamp;
  parts.data_type = out->data_type;
  parts.content = out->payload_json;  // Holds the checkpoint.
  out->message_id = DeriveMessageId(parts);
  return absl::OkStatus();
}

absl::Status EnvelopeReader::Read(const std::vector<JsonMember>& members, Envelope* out) {
  absl::Status first;  // All members are read, so that the message id is known for the answer.
  for (const JsonMember& member : members) first.Update(ReadMember(member, out));
  return first.ok() ? CheckComplete(out) : first;
}

absl::StatusOr<Envelope> ParseEnvelope(std::string_view json, const ParseOptions& options) {
  JsonScanLimits limits;
  limits.max_bytes = options.limits.max_bytes;
  limits.max_depth = options.limits.max_depth;
  EnvelopeReader reader(options, "");
  std::vector<JsonMember> members;
  members.reserve(8);
  const absl::Status scanned = JsonScanner(json, limits).ScanObject(&members);
  if (!scanned.ok()) return reader.Prefix("", scanned);
  Envelope envelope;
  VD_RETURN_IF_ERROR(reader.Read(members, &envelope));
  return envelope;
}

absl::Status ValidateEnvelope(const Envelope& envelope, const ParseOptions& options) {
  const EnvelopeReader reader(options, "");
  const size_t max_id = options.limits.max_id_bytes;
  const auto check = [&](std::string_view field, const absl::Status& status) {
    return status.ok() ? status : reader.Prefix(field, status);
  };
  VD_RETURN_IF_ERROR(check("/message_id", CheckIdentifier(envelope.message_id, max_id)));
  VD_RETURN_IF_ERROR(check("/edge_device_id", CheckIdentifier(envelope.edge_device_id, max_id)));
  VD_RETURN_IF_ERROR(check("/timestamp", CheckTimestampRange(envelope.timestamp)));
  if (KnownProtocol(envelope.protocol).empty()) {
    return reader.Prefix(
        "/protocol", absl::InvalidArgumentError(absl::StrCat(
                         "expected websocket, rest or mqtt, got ", ShownText(envelope.protocol))));
  }
  VD_RETURN_IF_ERROR(
      check("/metadata/protocol_version",
            CheckIdentifier(envelope.metadata.protocol_version, kMaxProtocolVersionBytes)));
  VD_RETURN_IF_ERROR(CheckWrittenSize(envelope, options.limits.max_bytes));
  JsonSlice payload;
  VD_RETURN_IF_ERROR(check(
      "/payload", JsonScanner(envelope.payload_json, reader.InnerLimits()).ScanDocument(&payload)));
  if (payload.type != JsonType::kObject) {
    return reader.WrongType("/payload", "an object", payload.type);
  }
  if (envelope.metadata.extra_json == "{}") return absl::OkStatus();
  return reader.CheckExtra(envelope.metadata.extra_json);
}

absl::Status CheckWrittenSize(const Envelope& envelope, size_t max_bytes) {
  const size_t size =
      envelope.payload_json.size() + envelope.metadata.extra_json.size() + kEnvelopeFrameBytes;
  if (size <= max_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("envelope: too large, ", size, " bytes, limit ", max_bytes));
}

absl::Status EnvelopeReader::CheckExtra(std::string_view extra_json) const {
  std::vector<JsonMember> members;
  const absl::Status scanned = JsonScanner(extra_json, InnerLimits()).ScanObject(&members);
  if (!scanned.ok()) return Prefix("/metadata", scanned);
  for (const JsonMember& member : members) {
    if (IsMetadataField(member.key)) {
      return Prefix("/metadata/" + member.key, absl::InvalidArgumentError("given twice"));
    }
  }
  return absl::OkStatus();
}

std::string WriteEnvelope(const Envelope& envelope) {
  const Metadata& metadata = envelope.metadata;
  std::string out;
  out.reserve(envelope.payload_json.size() + metadata.extra_json.size() + 384);
  out.append("{\"message_id\":");
  AppendJsonString(envelope.message_id, &out);
  out.append(",\"timestamp\":\"").append(FormatTimestamp(envelope.timestamp));
  out.append("\",\"protocol\":\"").append(KnownProtocol(envelope.protocol));
  out.append("\",\"edge_device_id\":");
  AppendJsonString(envelope.edge_device_id, &out);
  out.append(",\"data_type\":\"").append(DataTypeName(envelope.data_type));
  out.append("\",\"payload\":");
  AppendOneLine(envelope.payload_json, &out);
  out.append(",\"metadata\":{\"protocol_version\":");
  AppendJsonString(metadata.protocol_version, &out);
  out.append(metadata.compression ? ",\"compression\":true" : ",\"compression\":false");
  out.append(metadata.encryption ? ",\"encryption\":true" : ",\"encryption\":false");
  out.append(",\"priority\":\"").append(PriorityName(metadata.priority)).append("\"");
  // The extra members follow as "{...}" without its opening brace; an empty object has none.
  const size_t open = metadata.extra_json.find('{');
  const size_t first = metadata.extra_json.find_first_not_of(" \t\r\n", open + 1);
  if (open != std::string::npos && metadata.extra_json[first] != '}') {
    out.push_back(',');
    AppendOneLine(std::string_view(metadata.extra_json).substr(open + 1), &out);
    out.push_back('}');
  } else {
    out.append("}}");
  }
  return out;
}

}  // namespace viaduct
