#include "core/store/kept_rows.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/base/string_view.h"
#include "core/message/envelope.h"
#include "core/message/json_scanner.h"
#include "core/store/image_folder.h"
#include "core/store/plate_key.h"

namespace viaduct {
namespace {

// Members of a document whose texts are no plates, with all that end in "_id".
constexpr std::string_view kNameMembers[] = {"id",     "sha256",   "name",     "type",
                                             "status", "protocol", "hostname", "ip_address"};
// Part of a longer text (a message for people) a plate is only found from so many letters on.
constexpr size_t kMinPartBytes = 4;

constexpr KeptColumn kDetectionColumns[] = {
    {"message_id", "d.message_id", KeptType::kText},
    {"checkpoint_id", "s.checkpoint_id", KeptType::kText},
    {"protocol", "d.protocol", KeptType::kText},
    {"timestamp", "d.captured_at", KeptType::kTime},
    {"vehicles_count", "d.vehicles_count", KeptType::kInt},
    {"plates_count", "d.plates_count", KeptType::kInt},
    {"note", "d.note", KeptType::kProse},
    {"metadata", "d.metadata", KeptType::kJson},
    {"payload", "d.payload", KeptType::kJson},
};
constexpr KeptColumn kEventColumns[] = {
    {"event_id", "v.event_id", KeptType::kText},
    {"license_plate", "v.license_plate", KeptType::kPlate},
    {"confidence", "v.confidence", KeptType::kReal},
    {"timestamp", "v.captured_at", KeptType::kTime},
    {"updated_at", "v.updated_at", KeptType::kTime},
    {"metadata", "CAST(v.metadata AS text)", KeptType::kJson},
};
constexpr KeptColumn kHealthColumns[] = {
    {"message_id", "h.message_id", KeptType::kText},
    {"checkpoint_id", "h.checkpoint_id", KeptType::kText},
    {"protocol", "h.protocol", KeptType::kText},
    {"timestamp", "h.captured_at", KeptType::kTime},
    {"component", "h.component", KeptType::kText},
    {"status", "h.status", KeptType::kText},
    {"message", "h.message", KeptType::kProse},
    {"payload", "h.payload", KeptType::kJson},
};
constexpr KeptColumn kMessageColumns[] = {
    {"message_id", "m.message_id", KeptType::kText},
    {"data_type", "m.data_type", KeptType::kText},
    {"protocol", "m.protocol", KeptType::kText},
    {"timestamp", "m.captured_at", KeptType::kTime},
    {"payload", "m.payload", KeptType::kJson},
};
constexpr KeptColumn kCommunicationColumns[] = {
    {"protocol", "c.protocol", KeptType::kText},
    {"destination", "c.destination", KeptType::kText},
    {"message_type", "c.message_type", KeptType::kText},
    {"error_message", "c.error_message", KeptType::kProse},
};
constexpr KeptColumn kFileColumns[] = {
    {"transfer_id", "f.transfer_id", KeptType::kText},
    {"node_id", "f.node_id", KeptType::kText},
    {"message_id", "f.message_id", KeptType::kText},
    {"kind", "f.kind", KeptType::kText},
    {"name", "f.name", KeptType::kText},
    {"size", "f.size", KeptType::kInt},
    {"sha256", "f.sha256", KeptType::kText},
    {"status", "f.status", KeptType::kText},
    {"detail", "f.detail", KeptType::kProse},
    {"timestamp", "f.captured_at", KeptType::kTime},
};
constexpr KeptColumn kDeviceColumns[] = {
    {"hostname", "e.hostname", KeptType::kText},
    {"ip_address", "e.ip_address", KeptType::kText},
    {"name", "e.name", KeptType::kText},
    {"checkpoint_id", "e.checkpoint_id", KeptType::kText},
    {"latitude", "e.latitude", KeptType::kReal},
    {"longitude", "e.longitude", KeptType::kReal},
    {"registered_at", "e.registered_at", KeptType::kTime},
    {"last_seen", "e.last_seen", KeptType::kTime},
};

// Lines, as both stores write them: LINES is the function that makes one text of many.
#define VD_FILES_OF_DETECTION(column, kinds)                                          \
  "(SELECT LINES(f." column                                                           \
  ", '\n') FROM file_transfers f WHERE f.message_key = d.message_key AND f.status = " \
  "'stored' AND f.kind " kinds " 'file')"

const std::array<KeptTableShape, 7> kShapes = {{
    {KeptTable::kDetections,
     "d.id, e.device_id, d.arrived_at, d.image_path, coalesce(d.plate_images, '') || '\n' || "
     "coalesce(" VD_FILES_OF_DETECTION("path", "<>") ", ''), NULL, " VD_FILES_OF_DETECTION(
         "transfer_id", "=") ", 0, d.id",
     "detections d", "JOIN sources s ON s.id = d.source JOIN edge_devices e ON e.id = s.device",
     "d.id", "payload", false, kDetectionColumns},
    {KeptTable::kEvents,
     "v.id, v.edge_device_id, v.created_at, v.image_path, NULL, v.detection, NULL, 0, v.event_id",
     "lpr_events v", "", "v.event_id", "", true, kEventColumns},
    {KeptTable::kHealth, "h.id, e.device_id, h.arrived_at, NULL, NULL, NULL, NULL, 0, h.id",
     "health_reports h", "JOIN edge_devices e ON e.id = h.device", "h.id", "payload", false,
     kHealthColumns},
    {KeptTable::kMessages, "m.id, e.device_id, m.arrived_at, NULL, NULL, NULL, NULL, 0, m.id",
     "device_messages m", "JOIN edge_devices e ON e.id = m.device", "m.id", "payload", false,
     kMessageColumns},
    {KeptTable::kCommunication, "c.id, c.source, c.created_at, NULL, NULL, NULL, NULL, 0, c.id",
     "communication_logs c", "", "c.id", "", false, kCommunicationColumns},
    {KeptTable::kFileTransfers,
     "f.id, f.device_id, coalesce(f.settled_at, f.announced_at), f.path, NULL, NULL, CASE WHEN "
     "f.kind = 'file' AND f.status = 'stored' THEN f.transfer_id END, CASE f.status WHEN 'waiting' "
     "THEN 1 ELSE 0 END, f.id",
     "file_transfers f", "", "f.id", "", false, kFileColumns},
    {KeptTable::kDevices, "e.id, e.device_id, e.created_at, NULL, NULL, NULL, NULL, 0, e.id",
     "edge_devices e", "", "e.id", "", false, kDeviceColumns},
}};
#undef VD_FILES_OF_DETECTION

bool ProseNamesPlate(std::string_view text, std::string_view plate_key) {
  const std::string key = PlateKey(text);
  if (key == plate_key) return true;
  return plate_key.size() >= kMinPartBytes && key.find(plate_key) != std::string::npos;
}

bool NamesPlate(const KeptTableShape& shape, const KeptRowSource& row, std::string_view plate_key) {
  const auto names = [&](KeptType type, int column) {
    if (type == KeptType::kPlate) return PlateKey(row.View(column)) == plate_key;
    if (type == KeptType::kProse) return ProseNamesPlate(row.View(column), plate_key);
    return type == KeptType::kJson && JsonNamesPlate(row.View(column), plate_key);
  };
  for (size_t i = 0; i < shape.columns.size(); ++i) {
    const int column = kKeptHeadColumns + static_cast<int>(i);
    if (!row.IsNull(column) && names(shape.columns[i].type, column)) return true;
  }
  return false;
}

// A device or message that is called like a plate is none.
bool HoldsIds(std::string_view member) {
  return absl::EndsWith(AbslView(member), "_id") ||
         std::find(std::begin(kNameMembers), std::end(kNameMembers), member) !=
             std::end(kNameMembers);
}

// Behind the string that begins at `at`; npos when it does not end.
size_t BehindString(std::string_view json, size_t at) {
  size_t end = at + 1;
  while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
  return end < json.size() ? end + 1 : std::string_view::npos;
}

bool IsMember(std::string_view json, size_t behind) {
  while (behind < json.size() && absl::ascii_isspace(static_cast<unsigned char>(json[behind]))) {
    ++behind;
  }
  return behind < json.size() && json[behind] == ':';
}

void AppendValue(KeptType type, const KeptRowSource& row, int column, std::string* out) {
  if (row.IsNull(column)) {
    out->append("null");
    return;
  }
  switch (type) {
    case KeptType::kText:
    case KeptType::kPlate:
    case KeptType::kProse:
      return AppendJsonString(row.View(column), out);
    case KeptType::kInt:
      return absl::StrAppend(out, row.Int(column));
    case KeptType::kReal:
      return absl::StrAppend(out, row.Real(column).value_or(0));
    case KeptType::kTime:
      return AppendJsonString(FormatTimestamp(row.Time(column)), out);
    case KeptType::kJson:
      break;
  }
  JsonSlice value;  // Salvaged from a damaged file it may be anything.
  const std::string_view text = row.View(column);
  if (JsonScanner(text, {}).ScanDocument(&value).ok()) {
    out->append(text);
  } else {
    AppendJsonString(text, out);
  }
}

// Each once: a file that came by itself stands in its detection, too.
std::vector<std::string> Lines(const KeptRowSource& row, std::initializer_list<int> columns) {
  std::vector<std::string> lines;
  for (const int column : columns) {
    if (row.IsNull(column)) continue;
    for (const absl::string_view line : absl::StrSplit(AbslView(row.View(column)), '\n')) {
      const bool known = std::find(lines.begin(), lines.end(), line) != lines.end();
      if (!line.empty() && !known) lines.emplace_back(line);
    }
  }
  return lines;
}

KeptRow HeadOf(const KeptTableShape& shape, const KeptRowSource& row) {
  KeptRow kept;
  kept.id = row.Int(0);
  kept.device_id = std::string(row.View(1));
  kept.arrived_at = row.Time(2);
  kept.images = Lines(row, {3, 4});
  kept.detection = row.Int(5);
  if (!row.IsNull(6)) kept.file_id = std::string(row.View(6));
  if (shape.table != KeptTable::kEvents || kept.detection != 0) return kept;
  // Whoever makes an event by hand may name any image; those of others are not its own.
  const std::string own = absl::StrCat(SafePathName(kept.device_id), "/");
  kept.images.erase(
      std::remove_if(kept.images.begin(), kept.images.end(),
                     [&own](const std::string& path) { return !absl::StartsWith(path, own); }),
      kept.images.end());
  return kept;
}

std::string JsonOf(const KeptTableShape& shape, const KeptRow& kept, const KeptRowSource& row) {
  std::string out = "{\"device_id\":";
  AppendJsonString(kept.device_id, &out);
  out.append(",\"arrived_at\":");
  AppendJsonString(FormatTimestamp(kept.arrived_at), &out);
  for (size_t i = 0; i < shape.columns.size(); ++i) {
    absl::StrAppend(&out, ",\"", shape.columns[i].name, "\":");
    AppendValue(shape.columns[i].type, row, kKeptHeadColumns + static_cast<int>(i), &out);
  }
  out.append(",\"images\":[");
  for (size_t i = 0; i < kept.images.size(); ++i) {
    if (i > 0) out.push_back(',');
    AppendJsonString(kept.images[i], &out);
  }
  return out + "]}";
}

}  // namespace

std::string_view KeptTableName(KeptTable table) {
  static constexpr std::string_view kNames[] = {
      "detections",         "events",         "health_reports", "device_messages",
      "communication_logs", "file_transfers", "edge_devices"};
  return kNames[static_cast<size_t>(table)];
}

const KeptTableShape& ShapeOf(KeptTable table) { return kShapes[static_cast<size_t>(table)]; }

// No parser: what was salvaged from a damaged file is looked through, too.
bool JsonNamesPlate(std::string_view json, std::string_view plate_key) {
  std::string member;
  size_t at = 0;
  while (at < json.size()) {
    if (json[at] != '"') {
      const size_t end = std::min(json.find_first_of("\",:[]{} \t\r\n", at), json.size());
      if (json.substr(at, end - at) == plate_key && HoldsPlates(member)) return true;
      at = std::max(end, at + 1);
      continue;
    }
    const size_t behind = BehindString(json, at);
    if (behind == std::string_view::npos) return false;
    const std::string_view quoted = json.substr(at, behind - at);
    at = behind;
    const bool is_member = IsMember(json, behind);
    if (!is_member && HoldsIds(member)) continue;
    // Escapes and blanks only make it longer.
    if (quoted.size() < plate_key.size() + 2 && !is_member) continue;
    std::string text = DecodeJsonString(quoted);
    if (PlateKey(text) == plate_key) return true;
    if (is_member) member = std::move(text);
  }
  return false;
}

std::string KeptSelect(const KeptTableShape& shape, const KeptQuery& query,
                       std::string_view lines) {
  std::string sql = absl::StrCat(
      "SELECT ", absl::StrReplaceAll(shape.head, {{"LINES(", absl::StrCat(AbslView(lines), "(")}}));
  const bool own = query.with_json || !query.plate_key.empty();
  for (size_t i = 0; own && i < shape.columns.size(); ++i) {
    absl::StrAppend(&sql, ", ", shape.columns[i].sql);
  }
  return sql;
}

size_t AddKeptRow(const KeptTableShape& shape, const KeptQuery& query, const KeptRowSource& row,
                  KeptPage* page) {
  constexpr int kCursor = kKeptHeadColumns - 1;
  const bool own = query.with_json || !query.plate_key.empty();
  size_t bytes = 0;
  for (size_t i = 0; own && i < shape.columns.size(); ++i) {
    const KeptType type = shape.columns[i].type;
    const bool text = type != KeptType::kInt && type != KeptType::kReal && type != KeptType::kTime;
    if (text) bytes += row.View(kKeptHeadColumns + static_cast<int>(i)).size();
  }
  page->next =
      shape.order_is_text ? std::string(row.View(kCursor)) : absl::StrCat(row.Int(kCursor));
  page->newest = row.Time(2);
  KeptRow kept = HeadOf(shape, row);
  if (shape.order_is_text) kept.event_id = page->next;
  // What still waits for its file has not arrived.
  const bool waits = row.Int(7) != 0 && query.before != absl::InfiniteFuture();
  if (waits || kept.arrived_at >= query.before) return bytes;
  if (query.with_images && kept.images.empty()) return bytes;
  if (!query.device_id.empty() && kept.device_id != query.device_id) return bytes;
  if (!query.plate_key.empty() && !NamesPlate(shape, row, query.plate_key)) return bytes;
  if (query.with_json) kept.json = JsonOf(shape, kept, row);
  page->rows.push_back(std::move(kept));
  return bytes;
}

}  // namespace viaduct
