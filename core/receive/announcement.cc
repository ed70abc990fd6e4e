#include "core/receive/announcement.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/ids.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/envelope.h"
#include "core/message/identity.h"
#include "core/message/json_scanner.h"
#include "core/transfer/remote_name.h"
#include "viaduct/cpp/file_name.h"

namespace viaduct {
namespace {

constexpr size_t kMaxPayloadBytes = 16u << 10;
constexpr size_t kMaxMembers = 64;
constexpr int kMaxDepth = 8;
constexpr size_t kMaxTextBytes = 64;  // Of members without a limit of their own.

using Members = std::vector<JsonMember>;

absl::Status Bad(std::string_view member, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(AbslView(member), ": ", AbslView(what)));
}

const JsonSlice* Find(const Members& members, std::string_view name) {
  for (const JsonMember& member : members) {
    if (member.key == name && member.value.type != JsonType::kNull) return &member.value;
  }
  return nullptr;
}

// "" where it is not there.
absl::StatusOr<std::string> Text(const Members& members, std::string_view name, size_t max_bytes) {
  const JsonSlice* value = Find(members, name);
  if (value == nullptr) return std::string();
  if (value->type != JsonType::kString) {
    return Bad(name, absl::StrCat("expected a string, got ", AbslView(JsonTypeName(value->type))));
  }
  std::string text = DecodeJsonString(value->text);
  if (text.size() <= max_bytes) return text;
  return Bad(name, absl::StrCat("too long, ", text.size(), " bytes, limit ", max_bytes));
}

absl::StatusOr<uint64_t> Count(const Members& members, std::string_view name, uint64_t most,
                               std::optional<uint64_t> fallback) {
  const JsonSlice* value = Find(members, name);
  if (value == nullptr && fallback.has_value()) return *fallback;
  if (value == nullptr) return Bad(name, "missing");
  uint64_t count = 0;
  const bool read = value->type == JsonType::kNumber &&
                    absl::ascii_isdigit(static_cast<unsigned char>(value->text.front())) &&
                    absl::SimpleAtoi(AbslView(value->text), &count);
  if (read && count <= most) return count;
  return Bad(name, absl::StrCat("expected a whole number from 0 to ", most));
}

absl::StatusOr<FileKind> ReadKind(const Members& members) {
  VD_ASSIGN_OR_RETURN(const std::string kind, Text(members, "kind", kMaxTextBytes));
  if (kind.empty() || kind == "file") return FileKind::kFile;
  if (kind == "image") return FileKind::kImage;
  if (kind == "plate") return FileKind::kPlate;
  return Bad("kind", "expected image, plate or file");
}

// A file is below the folder of the device that tells of it, so that none speaks for another.
absl::Status ReadNames(const Members& members, FileAnnouncement* out) {
  const size_t max_id = ParseLimits().max_id_bytes;
  VD_ASSIGN_OR_RETURN(out->device_id, Text(members, "camera_id", max_id));
  const absl::Status device = CheckIdentifier(out->device_id, max_id);
  if (!device.ok()) return Bad("camera_id", StdView(device.message()));
  VD_ASSIGN_OR_RETURN(out->node_id, Text(members, "node_id", max_id));
  if (!out->node_id.empty()) {
    const absl::Status node = CheckIdentifier(out->node_id, max_id);
    if (!node.ok()) return Bad("node_id", StdView(node.message()));
  }
  VD_ASSIGN_OR_RETURN(out->message_id, Text(members, "message_id", max_id));
  if (!out->message_id.empty()) {
    const absl::Status message = CheckIdentifier(out->message_id, max_id);
    if (!message.ok()) return Bad("message_id", StdView(message.message()));
  }
  VD_ASSIGN_OR_RETURN(out->file.name, Text(members, "name", sdk::kMaxFileNameBytes));
  VD_RETURN_IF_ERROR(CheckRemoteName(out->file.name));
  const size_t slash = out->file.name.find('/');
  if (slash == std::string::npos || out->file.name.substr(0, slash) != out->device_id) {
    return Bad("name", "not in the folder of the device that camera_id names");
  }
  return absl::OkStatus();
}

absl::Status ReadContent(const Members& members, FileAnnouncement* out) {
  VD_ASSIGN_OR_RETURN(out->file.size,
                      Count(members, "size", FileAnnouncement::kMaxBytes, std::nullopt));
  VD_ASSIGN_OR_RETURN(out->file.sha256, Text(members, "sha256", 2 * kSha256Bytes));
  absl::AsciiStrToLower(&out->file.sha256);
  const bool hex = std::all_of(out->file.sha256.begin(), out->file.sha256.end(), [](char c) {
    return absl::ascii_isxdigit(static_cast<unsigned char>(c));
  });
  if (!hex || out->file.sha256.size() != 2 * kSha256Bytes) {
    return Bad("sha256", "expected 64 hexadecimal digits");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FileAnnouncement> ReadAnnouncement(std::string_view payload) {
  JsonScanLimits limits;
  limits.max_bytes = kMaxPayloadBytes;
  limits.max_depth = kMaxDepth;
  limits.max_members = kMaxMembers;
  Members members;
  const absl::Status scanned = JsonScanner(payload, limits).ScanObject(&members);
  if (!scanned.ok()) return Bad("file_transfer_request", StdView(scanned.message()));
  FileAnnouncement out;
  VD_ASSIGN_OR_RETURN(out.transfer_id, Text(members, "transfer_id", kMaxTextBytes));
  absl::AsciiStrToLower(&out.transfer_id);
  if (!IsUuid(out.transfer_id)) return Bad("transfer_id", "expected a UUID");
  VD_ASSIGN_OR_RETURN(out.kind, ReadKind(members));
  VD_ASSIGN_OR_RETURN(const uint64_t index,
                      Count(members, "index", FileAnnouncement::kMaxIndex, uint64_t{0}));
  out.index = static_cast<int>(index);
  VD_RETURN_IF_ERROR(ReadNames(members, &out));
  VD_RETURN_IF_ERROR(ReadContent(members, &out));
  VD_ASSIGN_OR_RETURN(const std::string at, Text(members, "timestamp", kMaxTextBytes));
  if (at.empty()) return Bad("timestamp", "missing");
  const absl::StatusOr<absl::Time> time = ParseTimestamp(at, absl::UTCTimeZone());
  if (!time.ok()) return Bad("timestamp", StdView(time.status().message()));
  out.at = *time;
  return out;
}

FileTransferRecord RecordOf(const FileAnnouncement& announcement, absl::Time at) {
  FileTransferRecord record;
  record.transfer_id = announcement.transfer_id;
  record.sha256 = announcement.file.sha256;
  record.at = at;
  record.device_id = announcement.device_id;
  record.node_id = announcement.node_id;
  record.message_id = announcement.message_id;
  if (!record.message_id.empty()) {
    record.message_key = MakeMessageKey(record.message_id, announcement.device_id, announcement.at);
  }
  if (announcement.kind == FileKind::kImage) record.kind = FileTransferRecord::Kind::kImage;
  if (announcement.kind == FileKind::kPlate) record.kind = FileTransferRecord::Kind::kPlate;
  record.place = announcement.index;
  record.name = announcement.file.name;
  record.size = announcement.file.size;
  record.captured_at = announcement.at;
  return record;
}

FileAnnouncement AnnouncementOf(const FileTransferRecord& record) {
  FileAnnouncement out;
  out.transfer_id = record.transfer_id;
  out.device_id = record.device_id;
  out.node_id = record.node_id;
  out.message_id = record.message_id;
  if (record.kind == FileTransferRecord::Kind::kImage) out.kind = FileKind::kImage;
  if (record.kind == FileTransferRecord::Kind::kPlate) out.kind = FileKind::kPlate;
  out.index = record.place;
  out.file.name = record.name;
  out.file.size = record.size;
  out.file.sha256 = record.sha256;
  out.at = record.captured_at;
  return out;
}

}  // namespace viaduct
