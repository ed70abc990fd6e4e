// The writing half of the PostgreSQL store: groups of records in one transaction each.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/store/postgres_connection.h"
#include "core/store/postgres_doubts.h"
#include "core/store/write_queue.h"

namespace viaduct {

// The channel of NOTIFY; the payload is the number of the writer that committed.
inline constexpr char kPostgresChannel[] = "viaduct_stored";

// Lives on the writer thread of the store. Records of one kind that stand together are written by
// one COPY, or one statement whose columns are arrays; what people edit goes one by one, in order.
class PostgresWriter {
 public:
  struct Options {
    std::string node_id;  // Nodes with the same id count together.
    absl::TimeZone zone = absl::UTCTimeZone();
    int64_t max_communication_rows = 1'000'000;
  };

  // `db` must outlive the writer; its schema is up to date.
  static absl::StatusOr<std::unique_ptr<PostgresWriter>> Create(PgConnection* db, Options options);

  // As SqliteWriter::Write. A conflict with another node is tried again here: nothing of it was
  // written.
  absl::Status Write(absl::Span<WriteItem* const> items);

  int64_t number() const { return number_; }
  // Of the last Write: after an error it is unknown whether the group is stored.
  bool commit_sent() const { return commit_sent_; }
  // The rows of the last group that has them; 0 for a kind that it has none of.
  PgPlace newest() const { return PgPlace{last_detection_, last_health_report_}; }
  // What is committed of this node; with `wait` once no older session of it can commit any more.
  absl::StatusOr<PgPlace> Committed(bool wait);

 private:
  // One record of the group on its way.
  struct Slot {
    const StoreRecord* record = nullptr;
    AppendResult* result = nullptr;
    int64_t device = 0;
    int64_t source = 0;
  };
  using Slots = absl::Span<Slot>;
  // A record of the kind that one statement writes.
  template <typename Record>
  struct Row {
    const Record* record = nullptr;
    Slot* slot = nullptr;
    int64_t id = 0;          // In the table, 0 until inserted.
    bool has_files = false;  // Files of it have come before it.
  };
  // An image that has come as a file, and its detection.
  struct StoredFile {
    bool plate = false;  // Else that of the whole detection.
    int64_t place = 0;
    std::string path;
    int64_t detection = 0;
    std::string detection_id;
  };
  // Sums over a group, made of its results and written once before the commit.
  struct Effects;

  PostgresWriter(PgConnection* db, Options options) : db_(db), options_(std::move(options)) {}

  absl::Status WriteOnce(absl::Span<WriteItem* const> items, bool careful);
  absl::Status WriteAll(Slots slots, bool careful);
  absl::Status WriteCarefully(Slots slots);
  absl::Status WriteRange(Slots slots);
  absl::Status WriteBulk(Slots slots);
  void Rollback();

  // postgres_writer_bulk.cc
  absl::Status FindDevices(Slots slots);
  absl::Status FindSources(Slots slots);
  absl::Status AddDevices(const PgArray& ids, const PgArray& times);
  absl::Status WriteDetections(Slots slots);
  // *copying: EndCopy must follow.
  absl::Status BeginDetections(std::vector<Row<DetectionRecord>>* rows, bool* copying);
  absl::Status InsertDetections(std::vector<Row<DetectionRecord>>* rows);
  static std::string EventsOf(absl::Span<const Row<DetectionRecord>> rows);
  absl::Status FindAlerts(absl::Span<const Row<DetectionRecord>> rows);
  absl::Status WriteHealth(Slots slots);
  absl::Status WriteMessages(Slots slots);
  absl::Status WriteCommunication(Slots slots);

  // postgres_writer_edits.cc
  absl::Status Edit(const DeviceRecord& record, Slot* slot);
  absl::Status Silence(const DeviceRecord& record, AppendResult* result);
  absl::Status Edit(const EventRecord& record, Slot* slot);
  absl::Status Edit(const BlacklistRecord& record, Slot* slot);
  absl::Status CreateEvent(const EventRecord& record, AppendResult* result);
  absl::Status UpdateEvent(const EventRecord& record, AppendResult* result);
  absl::Status DeleteEvent(const EventRecord& record, AppendResult* result);

  // postgres_writer_forget.cc
  absl::Status Edit(const ForgetRecord& record, Slot* slot);
  absl::Status UncountHours(const PgResult& rows);  // Of detections that are gone.
  absl::Status ForgetDetections(const ForgetRecord& record, int64_t* gone);
  absl::Status ForgetEvents(const ForgetRecord& record, int64_t* gone);
  absl::Status ForgetDevices(const ForgetRecord& record, int64_t* gone);

  // postgres_writer_files.cc
  absl::Status Edit(const FileTransferRecord& record, Slot* slot);
  absl::Status Announce(const FileTransferRecord& record, AppendResult* result);
  absl::Status AnnounceAgain(const FileTransferRecord& record, AppendResult* result);
  absl::Status Settle(const FileTransferRecord& record, AppendResult* result);
  absl::Status WritePlaces(absl::Span<const Row<DetectionRecord>> rows);
  absl::Status JoinFilesOf(absl::Span<const Row<DetectionRecord>> rows);
  absl::Status JoinFile(const StoredFile& file);
  absl::Status JoinPlate(const StoredFile& file);
  absl::StatusOr<std::string> EventOfPlate(const std::string& detection_id, int64_t place);

  Effects Sum(Slots slots);
  std::vector<PgConnection::Queued> Closing(const Effects& effects);
  const std::string& DayOf(absl::Time at);

  PgConnection* const db_;
  const Options options_;
  int64_t number_ = 0;  // Of this node in writers.
  bool commit_sent_ = false;
  bool careful_ = false;  // Something in this group cannot be written.
  // Numbers of the newest rows of this group, for the nodes that follow; 0: none.
  int64_t last_detection_ = 0;
  int64_t last_health_report_ = 0;

  // Committed rows and those of this group; cleared on any rollback.
  absl::flat_hash_map<std::string, int64_t> devices_;
  absl::flat_hash_map<std::string, int64_t> sources_;  // By device and checkpoint.
  int64_t communication_since_trim_ = 0;
  int64_t day_begin_ms_ = 0;  // Of the day whose name is day_name_.
  int64_t day_end_ms_ = 0;
  std::string day_name_;
};

}  // namespace viaduct
