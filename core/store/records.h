// What is written into a store and what comes back. Plain data; see docs/STORE.md for the tables.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/store/message_key.h"

namespace viaduct {

// One plate as the camera read it.
struct PlateRead {
  std::string text;                  // UTF-8 as sent; never empty.
  std::optional<double> confidence;  // 0..1.
  std::string metadata_json = "{}";  // The object of that plate as sent.
  std::string image_path;            // Below the image folder; "" without one.
  size_t place = 0;  // In the list of plates as sent: the place of its image among the images.
};

// One detection. It becomes one `detections` row and one `lpr_events` row per plate (one row
// without plate when there is none).
struct DetectionRecord {
  MessageKey key{};
  std::string message_id;  // As sent or derived.
  std::string camera_id;
  std::string checkpoint_id;
  std::string protocol;    // "rest", "websocket", "mqtt"
  absl::Time captured_at;  // The camera's clock.
  absl::Time arrived_at;   // This node's clock.
  int32_t vehicles_count = 0;
  int32_t plates_count = 0;
  std::vector<PlateRead> plates;
  std::string image_path;                 // Annotated image below the image folder; "" without one.
  std::vector<std::string> plate_images;  // All plate images, in order; "" where one is missing.
  std::string payload_json = "{}";        // As sent, without the image data.
  std::string metadata_json = "{}";       // Of the envelope; "{}" for flat forms.
  std::string note;                       // What was wrong with a part of it; "" when nothing was.
};

// Of a HealthRecord in which a node tells of its roads (core/lpr/gateway_report.h). It says nothing
// of a camera: of its device only that it was seen.
inline constexpr std::string_view kGatewayComponent = "gateway";

struct HealthRecord {
  MessageKey key{};
  std::string message_id;
  std::string camera_id;
  std::string checkpoint_id;
  std::string protocol;
  absl::Time captured_at;
  absl::Time arrived_at;
  std::string component;
  std::string status;  // "healthy", "warning", "error"
  std::string message;
  std::string payload_json = "{}";
};

// A camera or edge device makes itself known, or somebody edits it. Unset members stay as they are.
struct DeviceRecord {
  // kUpdate: NOT_FOUND when it does not exist. kSilent: it is offline where it was online and was
  // not seen after `silent_since`; nothing else of it counts, and where that is not so, or others
  // have done it before, it is a duplicate and changes nothing.
  enum class Mode : uint8_t { kUpsert, kUpdate, kSilent };
  Mode mode = Mode::kUpsert;
  std::string device_id;
  absl::Time at;  // This node's clock.
  // The device itself spoke: last_seen moves, and where no status is given offline ends.
  bool seen = true;
  bool registers = false;  // It registered: registered_at is set when it is not yet.
  std::optional<std::string> checkpoint_id;
  std::optional<std::string> name;
  std::optional<std::string> hostname;
  std::optional<std::string> ip_address;
  std::optional<std::string> status;
  std::optional<absl::Time> silent_since;  // The status changes only if it was not seen later.
  std::optional<double> latitude;
  std::optional<double> longitude;
};

// Create, change or delete one lpr_events row. kCreate with a known event_id is a duplicate and
// changes nothing; kUpdate and kDelete of an unknown one are NOT_FOUND.
struct EventRecord {
  enum class Action : uint8_t { kCreate, kUpdate, kDelete };
  Action action = Action::kCreate;
  std::string event_id;
  absl::Time at;                             // This node's clock.
  std::optional<std::string> device_id;      // Required by kCreate.
  std::optional<std::string> license_plate;  // "" clears it.
  std::optional<double> confidence;          // 0..1
  std::optional<std::string> image_path;
  std::optional<std::string> metadata_json;
  std::optional<absl::Time> captured_at;
};

// One attempt to move something between this node and a peer.
struct CommunicationRecord {
  std::string protocol;
  std::string source;
  std::string destination;
  std::string message_type;
  bool success = true;
  double latency_ms = 0;
  std::string error_message;
  absl::Time at;
};

// A plate to look out for. It is kept, and compared with what cameras read, as PlateKey writes it.
// kAdd of a known one changes its reason and is a duplicate; kRemove of an unknown one is
// NOT_FOUND.
struct BlacklistRecord {
  enum class Action : uint8_t { kAdd, kRemove };
  Action action = Action::kAdd;
  std::string license_plate;
  std::string reason;
  absl::Time at;
};

// A configuration or control message that is kept as it came.
struct MessageRecord {
  MessageKey key{};
  std::string message_id;
  std::string camera_id;
  std::string data_type;
  std::string protocol;
  absl::Time captured_at;
  absl::Time arrived_at;
  std::string payload_json = "{}";
};

// How a file that a device has told of ends. A stored one stays stored whatever comes.
enum class FileState : uint8_t { kWaiting, kStored, kFailed };
// "waiting", "stored", "failed": as in the table and in what devices are told.
std::string_view FileStateName(FileState state);

// A file that a device sends beside its messages: told of, then settled. kAnnounce of a known one
// is a duplicate: one that is not stored waits again, for what is announced now. It is
// INVALID_ARGUMENT where another device has that transfer_id. kSettle of one that is stored is a
// duplicate and changes nothing; where no such file with that digest waits it is NOT_FOUND. A
// stored image becomes that of its detection, whichever of the two is stored first.
struct FileTransferRecord {
  enum class Action : uint8_t { kAnnounce, kSettle };
  enum class Kind : uint8_t { kFile, kImage, kPlate };
  Action action = Action::kAnnounce;
  std::string transfer_id;  // A UUID in lower case.
  std::string sha256;       // 64 hexadecimal digits in lower case.
  absl::Time at;            // This node's clock.

  // Of kAnnounce:
  std::string device_id;
  std::string node_id;       // That sends it for the device; "": the device itself.
  std::string message_id;    // Of the detection; "" where the file belongs to none.
  MessageKey message_key{};  // Of the same; all zero without one.
  Kind kind = Kind::kFile;
  int32_t place = 0;  // Of a plate, as PlateRead::place.
  std::string name;
  uint64_t size = 0;
  absl::Time captured_at;  // The device's clock.

  // Of kSettle:
  FileState state = FileState::kWaiting;  // kWaiting: only `detail` changes.
  std::string detail;                     // For people: why it is not stored.
  std::string path;                       // Of a stored image, below the image folder.
};
std::string_view FileKindName(FileTransferRecord::Kind kind);

// The tables whose rows are forgotten one day.
enum class KeptTable : uint8_t {
  kDetections,  // With the events, places and files of each.
  kEvents,
  kHealth,
  kMessages,
  kCommunication,
  kFileTransfers,
  kDevices,
};
// As the tables are called, but for kEvents: "events".
std::string_view KeptTableName(KeptTable table);

// Rows that go for good, by their numbers; those that are not there any more are looked past. The
// files that they name must be gone before. A device stays that still has something. How many rows
// of the table went is the result's id.
struct ForgetRecord {
  static constexpr size_t kMaxIds = 200;  // So much is done at once that nobody waits for it long.
  KeptTable table = KeptTable::kDetections;
  std::vector<int64_t> ids;
  std::vector<std::string> event_ids;  // Of kEvents, in place of their numbers.
  bool only_images = false;            // Of detections: the rows stay, without images.
};

using StoreRecord =
    std::variant<DetectionRecord, HealthRecord, DeviceRecord, EventRecord, CommunicationRecord,
                 MessageRecord, BlacklistRecord, FileTransferRecord, ForgetRecord>;

// A plate of a new detection that is on the blacklist.
struct PlateAlert {
  std::string plate;  // As the camera read it.
  std::string reason;
};

struct AppendResult {
  absl::Status status;
  bool duplicate = false;  // It was stored before; nothing changed.
  std::string id;  // detection_id, health_id, device_id or event_id, also of the first storing.
  std::vector<PlateAlert> alerts;  // Of a detection that is new.
};

// What another node of the same database has stored.
struct StoredElsewhere {
  std::string id;      // detection_id or health_id.
  StoreRecord record;  // A DetectionRecord or HealthRecord.
  std::vector<PlateAlert> alerts;
};

// A device that is online by its row and was not heard of for a while.
struct SilentDevice {
  int64_t number = 0;  // Its place in the table.
  std::string device_id;
  std::string checkpoint_id;  // "" of what is no camera.
  absl::Time last_seen;
};

// A camera that has sessions at a node, or no longer any.
struct CameraPresence {
  std::string camera_id;
  std::string checkpoint_id;
  bool online = false;
  // Of one without a session, which made itself known or has fallen silent: told once, not
  // remembered.
  bool announced = false;
  absl::Time at;  // Of the change; by then it was silent where it is not online.
};

// A row of a KeptTable, as whoever looks through all of them sees it.
struct KeptRow {
  int64_t id = 0;
  std::string device_id;
  absl::Time arrived_at;
  std::vector<std::string> images;  // Below the image folder.
  std::string event_id;             // Of an event.
  int64_t detection = 0;            // Of an event: the one it belongs to, 0 without one.
  std::string file_id;              // Of stored transfers that are no images, one a line.
  std::string json;                 // All of it, as one JSON object; where it was asked for.
};

struct KeptQuery {
  // Looked at in one call: so many, or those whose texts reach kMaxPageBytes.
  static constexpr int kRows = 500;
  KeptTable table = KeptTable::kDetections;
  std::string after;  // KeptPage::next of the page before.
  // Only rows of that device; only rows in which a text is that plate, as PlateKey writes it; ""
  // any.
  std::string device_id;
  std::string plate_key;
  absl::Time before = absl::InfiniteFuture();  // Only what arrived before.
  bool with_images = false;                    // Only rows that name images.
  // Where nodes share the database: of detections with images only those that this node took in,
  // whose files it has.
  bool own_images = false;
  bool with_json = false;
};

struct KeptPage {
  std::vector<KeptRow> rows;                 // Those that match, of the rows that were looked at.
  std::string next;                          // "" at the end.
  absl::Time newest = absl::InfinitePast();  // Arrival of the last one that was looked at.
};

struct StoreStatistics {
  int64_t total_detections = 0;
  int64_t today_detections = 0;  // By arrival, in the node's zone.
  int64_t total_health_checks = 0;
  int64_t today_health_checks = 0;
  int64_t unique_cameras = 0;  // That ever sent a detection.
  int64_t total_cameras = 0;   // Known by registration or by data.
  int64_t active_cameras = 0;  // Seen within StoreOptions::active_window.
  int64_t blacklist_count = 0;
  absl::Time last_update = absl::InfinitePast();  // Of the last record; InfinitePast: none yet.
};

struct DetectionRow {
  std::string detection_id;
  DetectionRecord record;  // `plates` have text, confidence, metadata_json and image_path.
};

struct RecordsQuery {
  std::string camera_id;      // "" any
  std::string checkpoint_id;  // "" any
  int limit = 20;             // 1..kMaxPageRows
  std::string cursor;         // next_cursor of the page before.
};

struct RecordsPage {
  std::vector<DetectionRow> rows;  // Newest arrival first.
  int64_t total = 0;               // Of all that match, exact.
  std::string next_cursor;         // "" at the end.
};

struct DeviceRow {
  std::string device_id;
  std::string checkpoint_id;
  std::string name;
  std::string hostname;
  std::string ip_address;
  std::string status;         // "online", "offline" or what an operator set.
  std::string health_status;  // Of its last report; "unknown" without one.
  std::optional<double> latitude;
  std::optional<double> longitude;
  absl::Time created_at;
  absl::Time registered_at = absl::InfinitePast();  // InfinitePast: never registered.
  absl::Time last_seen = absl::InfinitePast();
  int64_t detection_count = 0;
};

struct DevicesPage {
  std::vector<DeviceRow> rows;  // By device_id.
  int64_t total = 0;
  std::string next_cursor;  // "" at the end.
};

struct EventRow {
  std::string event_id;
  std::string detection_id;  // "" for an event that was created by hand.
  std::string device_id;
  std::string license_plate;
  std::optional<double> confidence;
  std::string image_path;
  bool image_pending = false;  // None is there, and a file with one of its detection is awaited.
  std::string metadata_json;
  absl::Time captured_at;
  absl::Time created_at;
  absl::Time updated_at;
};

struct EventsQuery {
  std::string device_id;           // "" any
  std::string plate;               // Substring, ASCII case ignored; "" any
  std::optional<absl::Time> from;  // Capture time, inclusive.
  std::optional<absl::Time> to;    // Exclusive.
  std::optional<double> min_confidence;
  int limit = 50;      // 1..kMaxPageRows
  std::string cursor;  // next_cursor of the page before.
};

struct EventsPage {
  std::vector<EventRow> rows;  // Newest capture first.
  std::string next_cursor;     // "" at the end.
};

struct BlacklistRow {
  std::string license_plate;
  std::string reason;
  absl::Time created_at;
};

struct BlacklistPage {
  std::vector<BlacklistRow> rows;  // By license_plate.
  int64_t total = 0;
  std::string next_cursor;  // "" at the end.
};

struct FileTransferRow {
  FileTransferRecord record;  // What was announced, and how it was settled.
  int64_t number = 0;         // Its place in the table: the order of the first announcements.
  absl::Time announced_at;    // The last time.
  absl::Time settled_at = absl::InfinitePast();
};

struct FileTransfersQuery {
  std::string device_id;           // "" any
  std::optional<FileState> state;  // Unset: any.
  int64_t after = 0;               // FileTransferRow::number of the last one of the page before.
  int limit = 50;                  // 1..kMaxPageRows
};

struct CommunicationQuery {
  std::string protocol;  // "" any
  std::optional<bool> success;
  std::optional<absl::Time> from;
  std::optional<absl::Time> to;
  int limit = 50;
  std::string cursor;
};

struct CommunicationPage {
  std::vector<CommunicationRecord> rows;  // Newest first.
  std::string next_cursor;
};

}  // namespace viaduct
