#include "core/store/kept_rows.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/string_view.h"
#include "core/message/envelope.h"
#include "core/message/json_scanner.h"
#include "core/store/plate_key.h"

namespace viaduct {
namespace {

// Part of a longer text (a message for people) a plate is only found from so many letters on.
constexpr size_t kMinPartBytes = 4;

constexpr KeptColumn kDetectionColumns[] = {
    {"message_id", "d.message_id", KeptType::kText},
    {"checkpoint_id", "s.checkpoint_id", KeptType::kText},
    {"protocol", "d.protocol", KeptType::kText},
    {"timestamp", "d.captured_at", KeptType::kTime},
    {"vehicles_count", "d.vehicles_count", KeptType::kInt},
    {"plates_count", "d.plates_count", KeptType::kInt},
    {"note", "d.note", KeptType::kText},
    {"metadata", "d.metadata", KeptType::kJson},
    {"payload", "d.payload", KeptType::kJson},
};
constexpr KeptColumn kEventColumns[] = {
    {"event_id", "v.event_id", KeptType::kText},
    {"license_plate", "v.license_plate", KeptType::kText},
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
    {"message", "h.message", KeptType::kText},
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
    {"error_message", "c.error_message", KeptType::kText},
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
    {"detail", "f.detail", KeptType::kText},
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

const std::array<KeptTableShape, 7> kShapes = {{
    {KeptTable::kDetections,
     "d.id, e.device_id, d.arrived_at, d.image_path, d.plate_images, NULL, NULL, d.id",
     "detections d", "JOIN sources s ON s.id = d.source JOIN edge_devices e ON e.id = s.device",
     "d.id", "payload", false, kDetectionColumns},
    {KeptTable::kEvents,
     "v.id, v.edge_device_id, v.created_at, v.image_path, NULL, v.detection, NULL, v.event_id",
     "lpr_events v", "", "v.event_id", "", true, kEventColumns},
    {KeptTable::kHealth, "h.id, e.device_id, h.arrived_at, NULL, NULL, NULL, NULL, h.id",
     "health_reports h", "JOIN edge_devices e ON e.id = h.device", "h.id", "payload", false,
     kHealthColumns},
    {KeptTable::kMessages, "m.id, e.device_id, m.arrived_at, NULL, NULL, NULL, NULL, m.id",
     "device_messages m", "JOIN edge_devices e ON e.id = m.device", "m.id", "payload", false,
     kMessageColumns},
    {KeptTable::kCommunication, "c.id, c.source, c.created_at, NULL, NULL, NULL, NULL, c.id",
     "communication_logs c", "", "c.id", "", false, kCommunicationColumns},
    {KeptTable::kFileTransfers,
     "f.id, f.device_id, coalesce(f.settled_at, f.announced_at), f.path, NULL, NULL, CASE WHEN "
     "f.kind = 'file' AND f.status = 'stored' THEN f.transfer_id END, f.id",
     "file_transfers f", "", "f.id", "", false, kFileColumns},
    {KeptTable::kDevices, "e.id, e.device_id, e.created_at, NULL, NULL, NULL, NULL, e.id",
     "edge_devices e", "", "e.id", "", false, kDeviceColumns},
}};

// A text of its own, or a part of what is written for people.
bool TextNamesPlate(std::string_view text, std::string_view plate_key) {
  const std::string key = PlateKey(text);
  if (key == plate_key) return true;
  return plate_key.size() >= kMinPartBytes && key.find(plate_key) != std::string::npos;
}

bool NamesPlate(const KeptTableShape& shape, const KeptRowSource& row, std::string_view plate_key) {
  for (size_t i = 0; i < shape.columns.size(); ++i) {
    const int column = kKeptHeadColumns + static_cast<int>(i);
    if (row.IsNull(column)) continue;
    const KeptType type = shape.columns[i].type;
    if (type == KeptType::kText && TextNamesPlate(row.View(column), plate_key)) return true;
    if (type == KeptType::kJson && JsonNamesPlate(row.View(column), plate_key)) return true;
  }
  return false;
}

void AppendValue(KeptType type, const KeptRowSource& row, int column, std::string* out) {
  if (row.IsNull(column)) {
    out->append("null");
    return;
  }
  switch (type) {
    case KeptType::kText:
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

KeptRow HeadOf(const KeptRowSource& row) {
  KeptRow kept;
  kept.id = row.Int(0);
  kept.device_id = std::string(row.View(1));
  kept.arrived_at = row.Time(2);
  if (!row.IsNull(3)) kept.images.emplace_back(row.View(3));
  if (!row.IsNull(4)) {
    for (const absl::string_view path : absl::StrSplit(AbslView(row.View(4)), '\n')) {
      if (!path.empty()) kept.images.emplace_back(path);
    }
  }
  kept.detection = row.Int(5);
  if (!row.IsNull(6)) kept.file_id = std::string(row.View(6));
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

bool JsonNamesPlate(std::string_view json, std::string_view plate_key) {
  size_t at = 0;
  while ((at = json.find('"', at)) != std::string_view::npos) {
    size_t end = at + 1;
    while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
    if (end >= json.size()) return false;
    // Escapes and blanks only make it longer.
    if (end - at - 1 >= plate_key.size() &&
        PlateKey(DecodeJsonString(json.substr(at, end - at + 1))) == plate_key) {
      return true;
    }
    at = end + 1;
  }
  return false;
}

std::string KeptSelect(const KeptTableShape& shape, const KeptQuery& query) {
  std::string sql = absl::StrCat("SELECT ", shape.head);
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
    const bool text = type == KeptType::kText || type == KeptType::kJson;
    if (text) bytes += row.View(kKeptHeadColumns + static_cast<int>(i)).size();
  }
  page->next =
      shape.order_is_text ? std::string(row.View(kCursor)) : absl::StrCat(row.Int(kCursor));
  page->newest = row.Time(2);
  KeptRow kept = HeadOf(row);
  if (shape.order_is_text) kept.event_id = page->next;
  if (kept.arrived_at >= query.before) return bytes;
  if (query.with_images && kept.images.empty()) return bytes;
  if (!query.device_id.empty() && kept.device_id != query.device_id) return bytes;
  if (!query.plate_key.empty() && !NamesPlate(shape, row, query.plate_key)) return bytes;
  if (query.with_json) kept.json = JsonOf(shape, kept, row);
  page->rows.push_back(std::move(kept));
  return bytes;
}

}  // namespace viaduct
