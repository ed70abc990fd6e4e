// The writing half of the SQLite store: groups of records in one transaction each.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/store/sqlite_db.h"
#include "core/store/store.h"
#include "core/store/write_queue.h"

namespace viaduct {

// Lives on the writer thread of the store.
class SqliteWriter {
 public:
  struct Options {
    absl::TimeZone zone = absl::UTCTimeZone();
    int64_t max_communication_rows = 1'000'000;
  };

  // `db` must outlive the writer; its schema is up to date.
  static absl::StatusOr<std::unique_ptr<SqliteWriter>> Create(SqliteDb* db, Options options);

  // Writes all items in one transaction. OK: committed and synced, every item has its results (a
  // bad record has its own error there). Otherwise nothing was written and the status counts for
  // all of them.
  absl::Status Write(absl::Span<WriteItem* const> items);

 private:
  struct Source {
    int64_t id = 0;
    int64_t device = 0;
    int64_t newest = 0;  // Row number of its newest detection; 0: none yet.
  };
  // What a group adds to a source.
  struct Growth {
    int64_t detections = 0;
    int64_t newest = 0;
  };
  struct DeviceTouch {
    int64_t last_seen_ms = 0;
    std::string checkpoint_id;
    std::string_view health_status;  // Of a record of the group; empty: stays.
  };
  // An image that has come as a file.
  struct StoredFile {
    bool plate = false;  // Else that of the whole detection.
    int64_t place = 0;
    std::string path;
  };
  // Sums over a group, written once before the commit.
  struct Effects {
    int64_t detections = 0;
    int64_t health_reports = 0;
    int64_t devices = 0;
    int64_t cameras = 0;
    struct Day {
      std::string name;
      int64_t detections = 0;
      int64_t health_reports = 0;
    };
    std::vector<Day> days;
    struct Hour {
      int64_t detections = 0;
      int64_t plates = 0;
    };
    // By source, or 0 for all, and hour since 1970.
    absl::flat_hash_map<std::pair<int64_t, int64_t>, Hour> hours;
  };

  SqliteWriter(SqliteDb* db, Options options) : db_(db), options_(options) {}
  absl::Status PrepareIngest();
  absl::Status PrepareEdits();
  absl::Status PrepareFiles();
  absl::Status LoadNextIds();

  absl::Status WriteOnce(absl::Span<WriteItem* const> items, bool careful);
  absl::Status WriteAll(absl::Span<WriteItem* const> items, bool careful);
  absl::Status WriteCarefully(const StoreRecord& record, AppendResult* result);
  void Rollback();

  absl::Status Apply(const DetectionRecord& record, AppendResult* result);
  absl::Status Apply(const HealthRecord& record, AppendResult* result);
  absl::Status Apply(const DeviceRecord& record, AppendResult* result);
  absl::Status Silence(const DeviceRecord& record, AppendResult* result);
  absl::Status Apply(const EventRecord& record, AppendResult* result);
  absl::Status Apply(const CommunicationRecord& record, AppendResult* result);
  absl::Status Apply(const MessageRecord& record, AppendResult* result);
  absl::Status Apply(const BlacklistRecord& record, AppendResult* result);
  absl::Status Apply(const FileTransferRecord& record, AppendResult* result);
  absl::Status Apply(const ForgetRecord& record, AppendResult* result);

  absl::Status InsertEvents(const DetectionRecord& record, std::string_view detection_id,
                            int64_t detection);
  absl::Status FindAlerts(const DetectionRecord& record, AppendResult* result);
  absl::Status CreateEvent(const EventRecord& record, AppendResult* result);
  absl::Status UpdateEvent(const EventRecord& record, AppendResult* result);

  // sqlite_writer_files.cc
  absl::Status Announce(const FileTransferRecord& record, AppendResult* result);
  absl::Status AnnounceAgain(const FileTransferRecord& record, AppendResult* result);
  absl::Status Settle(const FileTransferRecord& record, AppendResult* result);
  absl::Status JoinStored(const std::string& transfer_id);
  absl::Status JoinFilesOf(const MessageKey& key, int64_t detection);
  absl::Status JoinFile(const StoredFile& file, const MessageKey& key, int64_t detection);
  absl::Status JoinPlate(const StoredFile& file, std::string_view detection_id, int64_t detection);
  absl::StatusOr<std::string> EventOfPlate(std::string_view detection_id, int64_t place);
  absl::Status NotePlace(std::string_view event_id, size_t place);

  // sqlite_writer_forget.cc
  absl::Status ForgetDetections(const ForgetRecord& record, int64_t* gone);
  absl::Status ForgetDetection(int64_t id, bool only_images, bool* found);
  absl::Status Unlink(int64_t id, int64_t source, int64_t previous);
  absl::Status ForgetEvents(const ForgetRecord& record, int64_t* gone);
  absl::Status ForgetDevices(const ForgetRecord& record, int64_t* gone);
  absl::Status ForgetRows(const ForgetRecord& record, int64_t* gone);
  absl::Status RunWith(const char* sql, std::initializer_list<int64_t> values);
  absl::Status RunWith(const char* sql, std::string_view first, std::string_view past);

  // The pointer is good until the next call.
  absl::StatusOr<Source*> FindSource(std::string_view camera, std::string_view checkpoint,
                                     absl::Time at);
  absl::StatusOr<int64_t> FindDevice(std::string_view device_id);  // 0: unknown.
  absl::StatusOr<int64_t> FindOrAddDevice(std::string_view device_id, absl::Time at);
  void Touch(int64_t device, absl::Time at, std::string_view checkpoint,
             std::string_view health_status);
  Effects::Day* DayOf(absl::Time at);
  void CountHour(int64_t source, int64_t arrived_ms, int64_t detections, int64_t plates);

  absl::Status FlushEffects();
  absl::Status FlushHours();
  absl::Status AddToCounter(std::string_view name, int64_t value);
  absl::Status AddToDay(std::string_view day, std::string_view name, int64_t value);
  absl::Status TrimCommunication();

  SqliteDb* const db_;
  const Options options_;

  int64_t next_detection_ = 1;
  int64_t next_event_ = 1;
  int64_t committed_next_detection_ = 1;  // As of the last commit.
  int64_t committed_next_event_ = 1;
  int64_t communication_since_trim_ = 0;
  int64_t day_begin_ms_ = 0;  // Of the day whose name is day_name_.
  int64_t day_end_ms_ = 0;
  std::string day_name_;

  // Caches of committed and of this group's rows; cleared on any rollback.
  absl::flat_hash_map<std::string, Source> sources_;
  absl::flat_hash_map<std::string, int64_t> devices_;
  std::string source_key_;

  std::optional<bool> any_listed_;  // The blacklist has a row; unknown after a change of it.

  std::optional<bool> any_files_;  // There are file transfers; unknown after a new one.

  Effects effects_;
  absl::flat_hash_map<int64_t, Growth> growth_;  // By source.
  absl::flat_hash_map<int64_t, DeviceTouch> touched_;

  SqliteStatement begin_, commit_, savepoint_, release_, rollback_to_;
  SqliteStatement insert_detection_, insert_event_, insert_health_, insert_message_;
  SqliteStatement insert_communication_, trim_communication_;
  SqliteStatement find_device_, add_device_, find_source_, add_source_, count_sources_;
  SqliteStatement touch_device_, count_source_, add_counter_, add_daily_;
  SqliteStatement add_hour_, drop_hour_;
  SqliteStatement update_device_, silence_device_, update_event_, delete_event_;
  SqliteStatement announce_file_, announce_again_, find_file_, settle_file_, stored_file_;
  SqliteStatement files_of_, set_image_, set_event_images_, plate_images_;
  SqliteStatement set_plate_images_, set_plate_image_, add_place_, places_;
  SqliteStatement add_listed_, change_listed_, remove_listed_, find_listed_;
};

}  // namespace viaduct
