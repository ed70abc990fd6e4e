#include "core/lpr/ingest.h"

#include <utility>

#include "core/base/status_macros.h"
#include "core/receive/announcement.h"
#include "core/security/payload_cipher.h"

namespace viaduct {
namespace {

// Members that all kinds of records share.
template <typename Record>
void FillCommon(Envelope* envelope, PayloadHeader* header, absl::Time arrived, Record* record) {
  record->key = KeyOf(*envelope);
  record->message_id = std::move(envelope->message_id);
  record->camera_id = header->camera_id.empty() ? std::move(envelope->edge_device_id)
                                                : std::move(header->camera_id);
  record->protocol = std::move(envelope->protocol);
  record->captured_at = envelope->timestamp;
  record->arrived_at = arrived;
}

absl::StatusOr<IngestedMessage> Detection(Arrival message, absl::Time arrived,
                                          const PayloadOptions& options) {
  Envelope& envelope = message.envelope;
  if (!message.detection.has_value()) {
    VD_RETURN_IF_ERROR(ReadDetection(envelope.payload_json, options, &message.detection.emplace()));
  }
  DetectionPayload& payload = *message.detection;
  DetectionRecord record;
  FillCommon(&envelope, &payload.header, arrived, &record);
  record.checkpoint_id = std::move(payload.header.checkpoint_id);
  record.vehicles_count = payload.vehicles();
  record.plates_count = payload.plate_count();
  record.plates = std::move(payload.plates);
  record.payload_json = std::move(payload.payload_json);
  record.metadata_json = std::move(envelope.metadata.extra_json);
  IngestedMessage out;
  out.record = std::move(record);
  out.annotated_image = std::move(payload.annotated_image);
  out.cropped_plates = std::move(payload.cropped_plates);
  out.has_images = payload.has_images;
  return out;
}

absl::StatusOr<IngestedMessage> Health(Envelope envelope, absl::Time arrived,
                                       const PayloadOptions& options) {
  HealthPayload payload;
  VD_RETURN_IF_ERROR(ReadHealth(envelope.payload_json, options, &payload));
  HealthRecord record;
  FillCommon(&envelope, &payload.header, arrived, &record);
  record.checkpoint_id = std::move(payload.header.checkpoint_id);
  record.component = payload.component.empty() ? "device" : std::move(payload.component);
  record.status = payload.status.empty() ? "unknown" : std::move(payload.status);
  record.message = std::move(payload.message);
  record.payload_json = std::move(envelope.payload_json);
  IngestedMessage out;
  out.record = std::move(record);
  return out;
}

absl::StatusOr<IngestedMessage> Registration(const Envelope& envelope, absl::Time arrived,
                                             const PayloadOptions& options) {
  RegistrationPayload payload;
  VD_RETURN_IF_ERROR(ReadRegistration(envelope.payload_json, options, &payload));
  DeviceRecord record;
  record.device_id =
      payload.header.camera_id.empty() ? envelope.edge_device_id : payload.header.camera_id;
  record.at = arrived;
  record.registers = true;
  record.status = "online";
  if (!payload.header.checkpoint_id.empty()) record.checkpoint_id = payload.header.checkpoint_id;
  record.name = std::move(payload.camera_name);
  record.hostname = std::move(payload.hostname);
  record.ip_address = std::move(payload.ip_address);
  record.latitude = payload.latitude;
  record.longitude = payload.longitude;
  IngestedMessage out;
  out.record = std::move(record);
  return out;
}

bool Registers(const Envelope& envelope, const PayloadHeader& header) {
  return envelope.data_type == DataType::kConfig && header.type == kRegistrationType;
}

bool TellsOfFile(const Envelope& envelope, const PayloadHeader& header) {
  return envelope.data_type == DataType::kControl && header.type == kFileRequestType;
}

absl::StatusOr<FileAnnouncement> ReadFileRequest(const Envelope& envelope) {
  VD_ASSIGN_OR_RETURN(FileAnnouncement announcement, ReadAnnouncement(envelope.payload_json));
  if (announcement.device_id == envelope.edge_device_id) return announcement;
  return absl::InvalidArgumentError("camera_id: not the device of the message");
}

absl::StatusOr<IngestedMessage> FileRequest(const Envelope& envelope, absl::Time arrived) {
  VD_ASSIGN_OR_RETURN(const FileAnnouncement announcement, ReadFileRequest(envelope));
  IngestedMessage out;
  out.record = RecordOf(announcement, arrived);
  return out;
}

absl::StatusOr<IngestedMessage> Other(Envelope envelope, absl::Time arrived,
                                      const PayloadOptions& options) {
  PayloadHeader header;
  VD_RETURN_IF_ERROR(ReadHeader(envelope.payload_json, options, &header));
  if (Registers(envelope, header)) return Registration(envelope, arrived, options);
  if (TellsOfFile(envelope, header)) return FileRequest(envelope, arrived);
  MessageRecord record;
  record.data_type = std::string(DataTypeName(envelope.data_type));
  FillCommon(&envelope, &header, arrived, &record);
  record.payload_json = std::move(envelope.payload_json);
  IngestedMessage out;
  out.record = std::move(record);
  return out;
}

}  // namespace

MessageKey KeyOf(const Envelope& envelope) {
  return MakeMessageKey(envelope.message_id, envelope.edge_device_id, envelope.timestamp);
}

absl::StatusOr<IngestedMessage> IngestMessage(Arrival message, absl::Time arrived,
                                              PayloadOptions options) {
  options.keep_images = true;
  if (message.envelope.metadata.encryption) {
    return absl::InvalidArgumentError("payload: encrypted, and this node has no key for it");
  }
  switch (message.envelope.data_type) {
    case DataType::kDetection:
      return Detection(std::move(message), arrived, options);
    case DataType::kHealth:
      return Health(std::move(message.envelope), arrived, options);
    case DataType::kConfig:
    case DataType::kControl:
      return Other(std::move(message.envelope), arrived, options);
  }
  return absl::InvalidArgumentError("data_type: unknown");
}

absl::Status CheckMessage(const Envelope& envelope, const PayloadOptions& options) {
  if (envelope.metadata.encryption) return security::PayloadCipher::CheckForm(envelope);
  if (envelope.data_type == DataType::kDetection) {
    DetectionPayload payload;
    return ReadDetection(envelope.payload_json, options, &payload);
  }
  if (envelope.data_type == DataType::kHealth) {
    HealthPayload payload;
    return ReadHealth(envelope.payload_json, options, &payload);
  }
  PayloadHeader header;
  VD_RETURN_IF_ERROR(ReadHeader(envelope.payload_json, options, &header));
  if (TellsOfFile(envelope, header)) return ReadFileRequest(envelope).status();
  if (!Registers(envelope, header)) return absl::OkStatus();
  RegistrationPayload payload;
  return ReadRegistration(envelope.payload_json, options, &payload);
}

}  // namespace viaduct
