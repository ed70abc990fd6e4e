#include "core/store/postgres_store.h"

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/civil_time.h"
#include "core/base/crash_point.h"
#include "core/base/executor.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/base/thread_policy.h"
#include "core/store/postgres_beat.h"
#include "core/store/postgres_doubts.h"
#include "core/store/postgres_feed.h"
#include "core/store/postgres_indexes.h"
#include "core/store/postgres_presence.h"
#include "core/store/postgres_queries.h"
#include "core/store/postgres_readers.h"
#include "core/store/postgres_schema.h"
#include "core/store/postgres_writer.h"
#include "core/store/write_queue.h"

namespace viaduct {
namespace {

constexpr int kMaxCheckers = 2;  // As many as there are threads that write images.
constexpr absl::Duration kHousekeepingEvery = absl::Seconds(60);
// Cameras that come and go are written together: each time is one commit more between the groups.
constexpr absl::Duration kPresenceEvery = absl::Milliseconds(200);
constexpr absl::Duration kPresenceRetry = absl::Seconds(3);

PostgresReaders::Options ReadersOf(const PostgresStoreOptions& options, int max_connections) {
  PostgresReaders::Options readers;
  readers.connection = ConnectionOf(options);
  readers.connection.read_only = true;
  readers.connection.statement_timeout = options.read_deadline;
  // The server ends a slow query first; this is for a server that is gone.
  readers.connection.reply_timeout = 2 * options.read_deadline;
  readers.max_connections = max_connections;
  return readers;
}

// Thread-safe, as Store. The writing connection lives on the writer thread (and in Start, before
// that thread runs).
class PostgresStore final : public Store {
 public:
  PostgresStore(PostgresStoreOptions options, const Clock* clock, Log* log);
  ~PostgresStore() override;
  absl::Status Start();

  void Append(std::vector<StoreRecord> records, AppendFn done) override;
  absl::StatusOr<StoreStatistics> Statistics() override;
  absl::StatusOr<RecordsPage> ListRecords(const RecordsQuery& query) override;
  absl::StatusOr<DevicesPage> ListDevices(int limit, std::string_view cursor) override;
  absl::StatusOr<std::vector<SilentDevice>> ListSilent(absl::Time since, int limit,
                                                       int64_t after) override;
  absl::StatusOr<DeviceRow> GetDevice(std::string_view device_id) override;
  absl::StatusOr<EventsPage> ListEvents(const EventsQuery& query) override;
  absl::StatusOr<EventRow> GetEvent(std::string_view event_id) override;
  absl::StatusOr<CommunicationPage> ListCommunication(const CommunicationQuery& query) override;
  absl::StatusOr<BlacklistPage> ListBlacklist(int limit, std::string_view cursor) override;
  absl::StatusOr<FileTransferRow> GetFileTransfer(std::string_view transfer_id) override;
  absl::StatusOr<std::vector<FileTransferRow>> ListFileTransfers(
      const FileTransfersQuery& query) override;
  absl::StatusOr<StoreReport> Report(const ReportQuery& query) override {
    return Read([&](PgConnection* db) { return PgReport(db, query); });
  }
  absl::StatusOr<bool> HasDetection(const MessageKey& key) override;
  absl::StatusOr<KeptPage> ListKept(const KeptQuery& query) override;
  bool Shared() const override { return true; }
  // PostgreSQL vacuums by itself.
  absl::Status Scrub() override { return absl::OkStatus(); }
  void NotePresence(const CameraPresence& change) override;
  StoreHealth Health() const override;
  std::unique_ptr<StoreWatch> WatchOthers(StoreObserver observer) override;

 private:
  using Group = WriteQueue::Group;

  template <typename Query>
  auto Read(const Query& query) -> decltype(query(nullptr)) {
    return ReadFrom(&readers_, query);
  }
  template <typename Query>
  auto ReadFrom(PostgresReaders* readers, const Query& query) -> decltype(query(nullptr));

  absl::Status Connect();
  absl::Status ConnectNow();
  absl::Status FirstPartitions(absl::Time now);
  absl::Status LookBehind();
  void CloseWriter();
  void Loop();
  absl::Duration Patience() const;
  absl::Status WriteGroup(const Group& group);
  void NoteCommit(const absl::Status& status);
  void Finish(Group group, const absl::Status& status);
  void NoteGroup(const Group& group, const absl::Status& status);
  void NoteState(const absl::Status& status);
  void Housekeeping();
  void KeepMonths();
  void ShowPresence();
  void LookAtSize();

  const PostgresStoreOptions options_;
  const Clock* const clock_;
  Log* const log_;
  PostgresReaders readers_;
  PostgresReaders checkers_;  // Of ingest alone: slow readers must not keep it waiting.
  WriteQueue queue_;
  PostgresDoubts doubts_;
  PostgresPresence presence_;
  PostgresBeat beat_;
  PostgresIndexes indexes_;

  // Writer thread.
  std::unique_ptr<PgConnection> db_;
  std::unique_ptr<PostgresWriter> writer_;
  PgPlace known_;          // Newest rows whose commit was answered.
  bool in_doubt_ = false;  // The answer to the last commit was lost.
  absl::Duration retry_;   // The next pause between attempts to connect.
  int64_t next_attempt_ns_ = 0;
  int64_t next_housekeeping_ns_ = 0;
  int64_t next_presence_ns_ = 0;
  bool presence_failed_ = false;
  absl::CivilMonth partitions_from_;  // EnsurePartitions was done for this month.

  mutable absl::Mutex mutex_;
  StoreHealth health_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

PostgresStore::PostgresStore(PostgresStoreOptions options, const Clock* clock, Log* log)
    : options_(std::move(options)),
      clock_(clock),
      log_(log),
      readers_(ReadersOf(options_, options_.max_readers), clock),
      checkers_(ReadersOf(options_, kMaxCheckers), clock),
      queue_(WriteQueue::Options{options_.max_queued_records, options_.max_queued_bytes,
                                 options_.max_group_records, options_.max_group_bytes}),
      beat_(PostgresBeat::Options{ConnectionOf(options_), options_.heartbeat}, log),
      indexes_(PostgresIndexes::Options{ConnectionOf(options_), options_.index_check}, log),
      retry_(options_.min_retry) {}

PostgresStore::~PostgresStore() {
  queue_.Stop();
  if (thread_.joinable()) thread_.join();
}

absl::Status PostgresStore::Start() {
  VD_RETURN_IF_ERROR(CheckPostgresOptions(options_));
  const absl::Status status = Connect();
  if (status.code() == absl::StatusCode::kFailedPrecondition) return status;
  thread_ = std::thread([this] { Loop(); });
  return absl::OkStatus();
}

void PostgresStore::Append(std::vector<StoreRecord> records, AppendFn done) {
  queue_.Append(std::move(records), std::move(done));
}

absl::Status PostgresStore::Connect() {
  const absl::Status status = ConnectNow();
  NoteState(status);
  if (status.ok()) {
    retry_ = options_.min_retry;
  } else {
    CloseWriter();
    next_attempt_ns_ = clock_->MonotonicNanos() + absl::ToInt64Nanoseconds(retry_);
    retry_ = std::min(2 * retry_, options_.max_retry);
  }
  return status;
}

absl::Status PostgresStore::ConnectNow() {
  CloseWriter();
  readers_.DropFree();
  checkers_.DropFree();
  VD_ASSIGN_OR_RETURN(db_, PgConnection::Open(ConnectionOf(options_)));
  VD_ASSIGN_OR_RETURN(const int64_t version, MigratePostgres(db_.get()));
  const absl::Time now = clock_->Now();
  VD_RETURN_IF_ERROR(FirstPartitions(now));
  PostgresWriter::Options writer;
  writer.node_id = options_.node_id;
  writer.zone = options_.zone;
  writer.max_communication_rows = options_.max_communication_rows;
  VD_ASSIGN_OR_RETURN(writer_, PostgresWriter::Create(db_.get(), std::move(writer)));
  VD_RETURN_IF_ERROR(LookBehind());
  VD_RETURN_IF_ERROR(beat_.Begin(db_.get(), writer_->number()));
  presence_.BeginAnew();
  ShowPresence();
  if (writer_ == nullptr) return absl::UnavailableError("store: the connection is lost");
  {
    const absl::MutexLock lock(&mutex_);
    health_.schema_version = version;
  }
  indexes_.Begin();
  if (IsUnsafeServer(db_.get())) {
    log_->Warning("store",
                  "the server runs without fsync or full_page_writes: a loss of power may "
                  "cost what was acknowledged");
  }
  LookAtSize();
  return absl::OkStatus();
}

// Was the commit made whose answer was lost?
absl::Status PostgresStore::LookBehind() {
  VD_ASSIGN_OR_RETURN(const PgPlace committed, writer_->Committed(/*wait=*/in_doubt_));
  if (in_doubt_ &&
      (committed.detection > known_.detection || committed.health_report > known_.health_report)) {
    doubts_.Add(PostgresDoubts::Range{known_, committed});
  }
  known_ = committed;
  in_doubt_ = false;
  return absl::OkStatus();
}

// A month that cannot be made now (a dump holds its lock) keeps nobody from writing: its rows wait
// in the default partition until Housekeeping has made it.
absl::Status PostgresStore::FirstPartitions(absl::Time now) {
  const absl::Status status = EnsurePartitions(db_.get(), now);
  if (status.ok()) {
    partitions_from_ = absl::ToCivilMonth(now, absl::UTCTimeZone());
    return status;
  }
  if (db_->broken() || status.code() == absl::StatusCode::kFailedPrecondition) return status;
  partitions_from_ = absl::CivilMonth();
  next_housekeeping_ns_ = clock_->MonotonicNanos() + absl::ToInt64Nanoseconds(kHousekeepingEvery);
  log_->Warning("store", "cannot add a partition, it is tried again",
                {{"error", std::string(status.message())}});
  return absl::OkStatus();
}

void PostgresStore::CloseWriter() {
  writer_.reset();
  db_.reset();
}

// Without a connection the next attempt is made even when nobody writes.
absl::Duration PostgresStore::Patience() const {
  int64_t until = writer_ == nullptr ? next_attempt_ns_ : next_housekeeping_ns_;
  if (writer_ != nullptr && presence_.dirty()) until = std::min(until, next_presence_ns_);
  return absl::Nanoseconds(std::max<int64_t>(0, until - clock_->MonotonicNanos()));
}

void PostgresStore::Loop() {
  SetThreadName("store-writer");
  LetWakersRunOn();
  while (!queue_.Exhausted()) {
    Group group = queue_.Take(Patience());
    if (!group.empty()) {
      const absl::Status status = WriteGroup(group);
      Finish(std::move(group), status);
    }
    Housekeeping();
  }
  presence_.LeaveAll(clock_->Now());
  if (writer_ != nullptr && presence_.dirty()) ShowPresence();
}

absl::Status PostgresStore::WriteGroup(const Group& group) {
  if (writer_ == nullptr && clock_->MonotonicNanos() < next_attempt_ns_) {
    const absl::MutexLock lock(&mutex_);
    return absl::UnavailableError(health_.reason);
  }
  if (writer_ == nullptr) VD_RETURN_IF_ERROR(Connect());
  std::vector<WriteItem*> items;
  items.reserve(group.size());
  for (const auto& item : group) items.push_back(item.get());
  absl::Status status = writer_->Write(items);
  // A connection that the server closed while nobody wrote (it was restarted) is found out only
  // now. Once a commit was asked for its outcome is unknown: the senders try again.
  if (db_->broken() && !writer_->commit_sent() && Connect().ok()) status = writer_->Write(items);
  NoteCommit(status);
  if (!status.ok() && db_ != nullptr) CloseWriter();
  return status;
}

void PostgresStore::NoteCommit(const absl::Status& status) {
  if (status.ok()) {
    const PgPlace newest = writer_->newest();
    known_.detection = std::max(known_.detection, newest.detection);
    known_.health_report = std::max(known_.health_report, newest.health_report);
  } else if (writer_ != nullptr && writer_->commit_sent() && db_->broken()) {
    in_doubt_ = true;
  }
}

void PostgresStore::Finish(Group group, const absl::Status& status) {
  // To the senders everything but a full disk is one more reason to try again later.
  const absl::Status told = status.ok() || status.code() == absl::StatusCode::kResourceExhausted
                                ? status
                                : absl::UnavailableError(status.message());
  if (!told.ok()) {
    for (const auto& item : group) item->results = AllResults(item->records.size(), told);
  }
  NoteGroup(group, status);
  VD_CRASH_POINT("store.answer.before");
  for (const auto& item : group) {
    item->records.clear();
    item->done(std::move(item->results));
  }
  VD_CRASH_POINT("store.answer.after");
}

void PostgresStore::NoteGroup(const Group& group, const absl::Status& status) {
  queue_.Forget(group);
  {
    const absl::MutexLock lock(&mutex_);
    for (const auto& item : group) {
      for (const AppendResult& result : item->results) {
        ++(result.status.ok() ? health_.committed_records : health_.failed_records);
      }
    }
    if (status.ok()) ++health_.committed_groups;
  }
  NoteState(status);
}

void PostgresStore::NoteState(const absl::Status& status) {
  bool changed = false;
  {
    const absl::MutexLock lock(&mutex_);
    const StoreHealth::State state =
        status.ok()
            ? StoreHealth::State::kOk
            : (status.code() == absl::StatusCode::kResourceExhausted ? StoreHealth::State::kDegraded
                                                                     : StoreHealth::State::kFailed);
    changed = state != health_.state;
    health_.state = state;
    health_.reason = std::string(status.message());
  }
  if (!changed) return;
  if (status.ok()) {
    log_->Info("store", "writing works again");
  } else {
    log_->Error("store", "cannot write", {{"error", std::string(status.message())}});
  }
}

void PostgresStore::Housekeeping() {
  if (writer_ == nullptr) {
    if (clock_->MonotonicNanos() >= next_attempt_ns_ && !queue_.Exhausted()) {
      Connect().IgnoreError();
    }
    return;
  }
  const int64_t now_ns = clock_->MonotonicNanos();
  if (presence_.dirty() && now_ns >= next_presence_ns_) ShowPresence();
  if (writer_ == nullptr || now_ns < next_housekeeping_ns_) return;
  KeepMonths();
  if (!db_->broken()) LookAtSize();
  if (db_->broken()) CloseWriter();
}

void PostgresStore::ShowPresence() {
  const absl::Status status = presence_.Write(db_.get(), writer_->number());
  if (!status.ok() && !presence_failed_) {
    log_->Warning("store", "cannot tell other nodes of cameras, it is tried again",
                  {{"error", std::string(status.message())}});
  }
  presence_failed_ = !status.ok();
  next_presence_ns_ = clock_->MonotonicNanos() +
                      absl::ToInt64Nanoseconds(presence_failed_ ? kPresenceRetry : kPresenceEvery);
  if (db_->broken()) CloseWriter();
}

void PostgresStore::KeepMonths() {
  next_housekeeping_ns_ = clock_->MonotonicNanos() + absl::ToInt64Nanoseconds(kHousekeepingEvery);
  const absl::Time now = clock_->Now();
  const absl::CivilMonth month = absl::ToCivilMonth(now, absl::UTCTimeZone());
  if (month != partitions_from_) {
    const absl::Status status = EnsurePartitions(db_.get(), now);
    if (status.ok()) partitions_from_ = month;
    if (!status.ok()) {
      log_->Warning("store", "cannot add a partition, it is tried again",
                    {{"error", std::string(status.message())}});
    }
  }
}

void PostgresStore::LookAtSize() {
  const absl::StatusOr<int64_t> bytes =
      db_->QueryInt("SELECT pg_database_size(current_database())");
  if (!bytes.ok()) return;
  const absl::MutexLock lock(&mutex_);
  health_.bytes = *bytes;
}

// A connection from before the server was restarted fails at its first query: that is no reason to
// refuse the reader.
template <typename Query>
auto PostgresStore::ReadFrom(PostgresReaders* readers, const Query& query)
    -> decltype(query(nullptr)) {
  while (true) {
    VD_ASSIGN_OR_RETURN(PostgresReaders::Lease lease, readers->Take());
    auto result = query(lease.db());
    if (!lease.db()->broken() || lease.fresh()) return result;
    readers->DropFree();
  }
}

absl::StatusOr<StoreStatistics> PostgresStore::Statistics() {
  const absl::Time now = clock_->Now();
  const std::string day = absl::FormatCivilTime(absl::ToCivilDay(now, options_.zone));
  return Read(
      [&](PgConnection* db) { return PgStatistics(db, now - options_.active_window, day); });
}

absl::StatusOr<RecordsPage> PostgresStore::ListRecords(const RecordsQuery& query) {
  return Read([&](PgConnection* db) { return PgRecords(db, query); });
}

absl::StatusOr<DevicesPage> PostgresStore::ListDevices(int limit, std::string_view cursor) {
  return Read([&](PgConnection* db) { return PgDevices(db, limit, cursor); });
}

absl::StatusOr<std::vector<SilentDevice>> PostgresStore::ListSilent(absl::Time since, int limit,
                                                                    int64_t after) {
  return Read([&](PgConnection* db) { return PgSilent(db, since, limit, after); });
}

absl::StatusOr<DeviceRow> PostgresStore::GetDevice(std::string_view device_id) {
  return Read([&](PgConnection* db) { return PgDevice(db, device_id); });
}

absl::StatusOr<EventsPage> PostgresStore::ListEvents(const EventsQuery& query) {
  return Read([&](PgConnection* db) { return PgEvents(db, query); });
}

absl::StatusOr<EventRow> PostgresStore::GetEvent(std::string_view event_id) {
  return Read([&](PgConnection* db) { return PgEvent(db, event_id); });
}

absl::StatusOr<CommunicationPage> PostgresStore::ListCommunication(
    const CommunicationQuery& query) {
  return Read([&](PgConnection* db) { return PgCommunication(db, query); });
}

absl::StatusOr<KeptPage> PostgresStore::ListKept(const KeptQuery& query) {
  return Read([&](PgConnection* db) { return PgKept(db, query, options_.node_id); });
}

absl::StatusOr<BlacklistPage> PostgresStore::ListBlacklist(int limit, std::string_view cursor) {
  return Read([&](PgConnection* db) { return PgBlacklist(db, limit, cursor); });
}

absl::StatusOr<FileTransferRow> PostgresStore::GetFileTransfer(std::string_view transfer_id) {
  return Read([&](PgConnection* db) { return PgFileTransfer(db, transfer_id); });
}

absl::StatusOr<std::vector<FileTransferRow>> PostgresStore::ListFileTransfers(
    const FileTransfersQuery& query) {
  return Read([&](PgConnection* db) { return PgFileTransfers(db, query); });
}

absl::StatusOr<bool> PostgresStore::HasDetection(const MessageKey& key) {
  return ReadFrom(&checkers_, [&](PgConnection* db) { return PgHasDetection(db, key); });
}

std::unique_ptr<StoreWatch> PostgresStore::WatchOthers(StoreObserver observer) {
  PostgresFeed::Options options;
  options.connection = ReadersOf(options_, 1).connection;
  options.node_id = options_.node_id;
  options.node_lease = options_.node_lease;
  return std::make_unique<PostgresFeed>(std::move(options), std::move(observer), &doubts_, clock_,
                                        log_);
}

void PostgresStore::NotePresence(const CameraPresence& change) {
  if (presence_.Note(change)) return queue_.Wake();
  log_->Warning("store", "too many cameras with sessions, others do not hear of this one",
                {{"camera_id", change.camera_id}});
}

StoreHealth PostgresStore::Health() const {
  StoreHealth health;
  {
    const absl::MutexLock lock(&mutex_);
    health = health_;
  }
  health.queued_records = queue_.queued_records();
  return health;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenPostgresStore(const PostgresStoreOptions& options,
                                                         const Clock* clock, Log* log) {
  auto store = std::make_unique<PostgresStore>(options, clock, log);
  VD_RETURN_IF_ERROR(store->Start());
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace viaduct
