#include "core/store/sqlite_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/crash_point.h"
#include "core/base/executor.h"
#include "core/base/status_macros.h"
#include "core/base/thread_policy.h"
#include "core/base/wal_checkpointer.h"
#include "core/store/sqlite_damaged_file.h"
#include "core/store/sqlite_db.h"
#include "core/store/sqlite_queries.h"
#include "core/store/sqlite_readers.h"
#include "core/store/sqlite_salvage.h"
#include "core/store/sqlite_schema.h"
#include "core/store/sqlite_writer.h"
#include "core/store/write_queue.h"

namespace viaduct {
namespace {

constexpr int kSalvageRowsPerStep = 2'000;
constexpr std::chrono::seconds kScrubPatience(2);
constexpr absl::Duration kScrubPause = absl::Milliseconds(20);

// One process at a time: the writer counts rows in memory.
class FileLock {
 public:
  static absl::StatusOr<FileLock> Take(const std::string& path) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
      const int error = errno;
      const std::string text =
          absl::StrCat("store: cannot open ", path, ", ", std::strerror(error));
      return error == ENOSPC ? absl::ResourceExhaustedError(text) : absl::UnavailableError(text);
    }
    FileLock lock(fd);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
    return absl::FailedPreconditionError(
        absl::StrCat("store: another process has it open, ", path));
  }
  explicit FileLock(int fd = -1) : fd_(fd) {}
  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileLock() {
    if (fd_ >= 0) close(fd_);
  }

 private:
  int fd_;
};

// Thread-safe, as Store. Everything that touches the writing connection lives on the writer thread
// (and in Start, before that thread runs).
class SqliteStore final : public Store {
 public:
  SqliteStore(SqliteStoreOptions options, const Clock* clock, Log* log);
  ~SqliteStore() override;
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
  absl::StatusOr<StoreReport> Report(const ReportQuery& query) override;
  absl::StatusOr<bool> HasDetection(const MessageKey& key) override;
  absl::StatusOr<KeptPage> ListKept(const KeptQuery& query) override;
  absl::Status Scrub() override;
  StoreHealth Health() const override;

 private:
  using Group = WriteQueue::Group;

  absl::Status OpenWriter();
  absl::Status OpenWriterOrSetAside();
  absl::Status CheckFile();
  absl::Status SetAside(const absl::Status& damage);
  absl::Status TakeUpSalvage();
  void CloseWriter();

  void Loop();
  absl::Status WriteGroup(const Group& group);
  absl::Status TryWriteGroup(const std::vector<WriteItem*>& items);
  void Finish(Group group, const absl::Status& status);
  void Housekeeping();
  void NoteOutcome(const Group& group, const absl::Status& status);

  const SqliteStoreOptions options_;
  const Clock* const clock_;
  Log* const log_;
  FileLock lock_;
  SqliteReaders readers_;

  // Writer thread.
  std::unique_ptr<SqliteDb> db_;
  std::unique_ptr<SqliteWriter> writer_;
  std::unique_ptr<SqliteSalvage> salvage_;
  std::unique_ptr<WalCheckpointer> checkpointer_;
  int wal_pages_ = 0;

  WriteQueue queue_;
  mutable absl::Mutex mutex_;
  StoreHealth health_ ABSL_GUARDED_BY(mutex_);
  std::string history_ ABSL_GUARDED_BY(mutex_);  // What was set aside since start.
  std::thread thread_;
};

SqliteStore::SqliteStore(SqliteStoreOptions options, const Clock* clock, Log* log)
    : options_(std::move(options)),
      clock_(clock),
      log_(log),
      readers_(SqliteReaders::Options{options_.path, options_.max_readers,
                                      options_.reader_cache_kib, options_.read_deadline},
               clock),
      queue_(WriteQueue::Options{options_.max_queued_records, options_.max_queued_bytes,
                                 options_.max_group_records, options_.max_queued_bytes}) {}

SqliteStore::~SqliteStore() {
  queue_.Stop();
  if (thread_.joinable()) thread_.join();
  readers_.Close();
  salvage_.reset();
  CloseWriter();
}

absl::Status SqliteStore::Start() {
  VD_ASSIGN_OR_RETURN(lock_, FileLock::Take(options_.path + ".lock"));
  VD_RETURN_IF_ERROR(OpenWriterOrSetAside());
  thread_ = std::thread([this] { Loop(); });
  return absl::OkStatus();
}

absl::Status SqliteStore::OpenWriter() {
  CloseWriter();
  SqliteDb::Options open;
  open.create = true;
  open.cache_kib = options_.writer_cache_kib;
  VD_ASSIGN_OR_RETURN(db_, SqliteDb::Open(options_.path, open, clock_));
  // Before anything is written: a file of a newer version must stay as it is.
  VD_ASSIGN_OR_RETURN(const int64_t version, MigrateSchema(db_.get(), clock_->Now()));
  VD_RETURN_IF_ERROR(
      db_->Exec("PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA wal_autocheckpoint=0;"
                "PRAGMA journal_size_limit=67108864;PRAGMA secure_delete=ON"));
  sqlite3_wal_hook(
      db_->handle(),
      [](void* pages, sqlite3*, const char*, int count) {
        *static_cast<int*>(pages) = count;
        return SQLITE_OK;
      },
      &wal_pages_);
  checkpointer_ = std::make_unique<WalCheckpointer>(options_.path, /*vfs=*/"");
  wal_pages_ = 0;
  SqliteWriter::Options writer;
  writer.zone = options_.zone;
  writer.max_communication_rows = options_.max_communication_rows;
  VD_ASSIGN_OR_RETURN(writer_, SqliteWriter::Create(db_.get(), writer));
  const absl::MutexLock lock(&mutex_);
  health_.schema_version = version;
  return absl::OkStatus();
}

void SqliteStore::CloseWriter() {
  checkpointer_.reset();
  writer_.reset();
  db_.reset();
}

absl::Status SqliteStore::OpenWriterOrSetAside() {
  if (SqliteDamagedFile(options_.path).step() == SqliteDamagedFile::Step::kMoving) {
    return SetAside(absl::DataLossError("store: damaged, setting it aside was interrupted"));
  }
  absl::Status status = OpenWriter();
  if (status.ok()) status = CheckFile();
  if (status.code() == absl::StatusCode::kDataLoss) return SetAside(status);
  return status.ok() ? TakeUpSalvage() : status;
}

// Looks at as many pages as the budget allows; the rest is noticed when it is read.
absl::Status SqliteStore::CheckFile() {
  db_->SetDeadline(clock_->MonotonicNanos() + absl::ToInt64Nanoseconds(options_.check_budget));
  absl::Status result;
  {
    VD_ASSIGN_OR_RETURN(SqliteStatement check, db_->Prepare("PRAGMA quick_check(1)"));
    const absl::StatusOr<bool> row = check.Next("cannot check the file");
    if (row.ok() && *row && check.View(0) != "ok") {
      result = absl::DataLossError(absl::StrCat("store: damaged, ", check.Text(0)));
    } else if (row.status().code() == absl::StatusCode::kDataLoss) {
      result = row.status();
    }
  }
  db_->SetDeadline(0);
  return result;
}

absl::Status SqliteStore::SetAside(const absl::Status& damage) {
  if (!options_.set_aside_corrupt) return damage;
  CloseWriter();
  salvage_.reset();
  readers_.Close();
  SqliteDamagedFile damaged(options_.path);
  absl::Status status = damaged.SetAside(clock_);
  if (status.ok()) {
    log_->Error("store", "the database is damaged and was set aside, a new one is begun",
                {{"damage", std::string(damage.message())}, {"file", damaged.name()}});
    {
      const absl::MutexLock lock(&mutex_);
      history_ = absl::StrCat("a damaged file was set aside as ", damaged.name());
    }
    status = OpenWriter();
  }
  if (status.ok()) status = TakeUpSalvage();
  readers_.Open();
  return status;
}

absl::Status SqliteStore::TakeUpSalvage() {
  salvage_ = SqliteSalvage::Begin(SqliteDamagedFile(options_.path), db_.get(), clock_, log_);
  // The writer must learn of the numbers that are reserved for rows to come.
  return salvage_ == nullptr ? absl::OkStatus() : OpenWriter();
}

void SqliteStore::Append(std::vector<StoreRecord> records, AppendFn done) {
  queue_.Append(std::move(records), std::move(done));
}

void SqliteStore::Loop() {
  SetThreadName("store-writer");
  LetWakersRunOn();
  while (!queue_.Exhausted()) {
    // A salvage goes on between the groups.
    Group group =
        queue_.Take(salvage_ == nullptr ? absl::InfiniteDuration() : absl::ZeroDuration());
    if (!group.empty()) {
      const absl::Status status = WriteGroup(group);
      Finish(std::move(group), status);
    }
    Housekeeping();
  }
}

absl::Status SqliteStore::WriteGroup(const Group& group) {
  std::vector<WriteItem*> items;
  items.reserve(group.size());
  for (const auto& item : group) items.push_back(item.get());
  absl::Status status = TryWriteGroup(items);
  if (status.code() == absl::StatusCode::kDataLoss && options_.set_aside_corrupt) {
    status = SetAside(status);
    if (status.ok()) status = TryWriteGroup(items);
  }
  return status;
}

absl::Status SqliteStore::TryWriteGroup(const std::vector<WriteItem*>& items) {
  if (writer_ == nullptr) VD_RETURN_IF_ERROR(OpenWriter());
  const absl::Status status = writer_->Write(items);
  // A file system that was read-only or failing may need a fresh descriptor.
  if (status.code() == absl::StatusCode::kUnavailable) CloseWriter();
  return status;
}

void SqliteStore::Finish(Group group, const absl::Status& status) {
  // To the senders a damaged file is one more reason to try again later.
  const absl::Status told = status.code() == absl::StatusCode::kDataLoss ||
                                    status.code() == absl::StatusCode::kFailedPrecondition ||
                                    status.code() == absl::StatusCode::kInternal
                                ? absl::UnavailableError(status.message())
                                : status;
  if (!told.ok()) {
    for (const auto& item : group) item->results = AllResults(item->records.size(), told);
  }
  NoteOutcome(group, status);
  VD_CRASH_POINT("store.answer.before");
  for (const auto& item : group) {
    item->records.clear();
    item->done(std::move(item->results));
  }
  VD_CRASH_POINT("store.answer.after");
}

void SqliteStore::NoteOutcome(const Group& group, const absl::Status& status) {
  bool changed = false;
  queue_.Forget(group);
  {
    const absl::MutexLock lock(&mutex_);
    for (const auto& item : group) {
      for (const AppendResult& result : item->results) {
        ++(result.status.ok() ? health_.committed_records : health_.failed_records);
      }
    }
    if (status.ok()) ++health_.committed_groups;
    const StoreHealth::State state = status.ok() ? StoreHealth::State::kOk
                                                 : (status.code() == absl::StatusCode::kDataLoss
                                                        ? StoreHealth::State::kFailed
                                                        : StoreHealth::State::kDegraded);
    changed = state != health_.state;
    health_.state = state;
    health_.reason = status.ok() ? history_ : std::string(status.message());
  }
  if (!changed) return;
  if (status.ok()) {
    log_->Info("store", "writing works again");
  } else {
    log_->Error("store", "cannot write", {{"error", std::string(status.message())}});
  }
}

void SqliteStore::Housekeeping() {
  if (writer_ != nullptr && checkpointer_->ShouldFinish(wal_pages_, options_.checkpoint_pages)) {
    VD_CRASH_POINT("store.checkpoint.before");
    // What does not fit now (a reader in the way, a full disk) stays in the log until next time.
    sqlite3_wal_checkpoint_v2(db_->handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    wal_pages_ = 0;
    VD_CRASH_POINT("store.checkpoint.after");
  }
  if (salvage_ == nullptr || writer_ == nullptr) return;
  if (salvage_->Step(db_.get(), options_.zone, kSalvageRowsPerStep)) return;
  salvage_.reset();
}

absl::StatusOr<StoreStatistics> SqliteStore::Statistics() {
  VD_ASSIGN_OR_RETURN(SqliteReaders::Lease lease, readers_.Take());
  return QueryStatistics(lease.db(),
                         StatisticsOptions{options_.zone, options_.active_window, clock_->Now()});
}

absl::StatusOr<RecordsPage> SqliteStore::ListRecords(const RecordsQuery& query) {
  VD_ASSIGN_OR_RETURN(SqliteReaders::Lease lease, readers_.Take());
  return QueryRecords(lease.db(), query);
}

absl::StatusOr<DevicesPage> SqliteStore::ListDevices(int limit, std::string_view cursor) {
  VD_ASSIGN_OR_RETURN(SqliteReaders::Lease lease, readers_.Take());
  return QueryDevices(lease.db(), limit, cursor);
}

absl::StatusOr<std::vector<SilentDevice>> SqliteStore::ListSilent(absl::Time since, int limit,
                                                                  int64_t after) {
  VD_ASSIGN_OR_RETURN(SqliteReaders::Lease lease, readers_.Take());
  return QuerySilent(lease.db(), since, limit, after);
}

absl::StatusOr<DeviceRow> SqliteStore::GetDevice(std::string_view device_id) {
  VD_ASSIGN_OR_RETURN(SqliteReaders::Lease lease, readers_.Take());
  return QueryDevice(lease.db(), device_id);
}

absl::StatusOr<EventsPage> SqliteStore::ListEvents(const EventsQuery& query) {
  VD_ASSIGN_OR_RETURN(SqliteReaders::Lease lease, readers_.Take());
  return QueryEvents(lease.db(), query);
}

absl::StatusOr<EventRow> SqliteStore::GetEvent(std::string_view event_id) {
  VD_ASSIGN_OR_RETURN(SqliteReaders::Lease lease, readers_.Take());
  return QueryEvent(lease.db(), event_id);
}

absl::StatusOr<CommunicationPage> SqliteStore::ListCommunication(const CommunicationQuery& query) {
  VD_ASSIGN_OR_RETURN(SqliteReaders::Lease lease, readers_.Take());
  return QueryCommunication(lease.db(), query);
}

absl::StatusOr<BlacklistPage> SqliteStore::ListBlacklist(int limit, std::string_view cursor) {
  VD_ASSIGN_OR_RETURN(SqliteReaders::Lease lease, readers_.Take());
  return QueryBlacklist(lease.db(), limit, cursor);
}

absl::StatusOr<FileTransferRow> SqliteStore::GetFileTransfer(std::string_view transfer_id) {
  VD_ASSIGN_OR_RETURN(SqliteReaders::Lease lease, readers_.Take());
  return QueryFileTransfer(lease.db(), transfer_id);
}

absl::StatusOr<std::vector<FileTransferRow>> SqliteStore::ListFileTransfers(
    const FileTransfersQuery& query) {
  VD_ASSIGN_OR_RETURN(SqliteReaders::Lease lease, readers_.Take());
  return QueryFileTransfers(lease.db(), query);
}

absl::StatusOr<KeptPage> SqliteStore::ListKept(const KeptQuery& query) {
  VD_ASSIGN_OR_RETURN(SqliteReaders::Lease lease, readers_.Take());
  return QueryKept(lease.db(), query);
}

// What was deleted is overwritten at once in the pages, which still stand as they were before in
// the log: it is brought into the file and emptied.
absl::Status SqliteStore::Scrub() {
  SqliteDb::Options open;
  VD_ASSIGN_OR_RETURN(const std::unique_ptr<SqliteDb> db,
                      SqliteDb::Open(options_.path, open, clock_));
  const auto until = std::chrono::steady_clock::now() + kScrubPatience;
  do {
    // For who reads SQLite waits itself; beside another checkpoint it ends at once.
    VD_ASSIGN_OR_RETURN(const int64_t busy, db->QueryInt("PRAGMA wal_checkpoint(TRUNCATE)"));
    if (busy == 0) return absl::OkStatus();
    absl::SleepFor(kScrubPause);
  } while (std::chrono::steady_clock::now() < until);
  return absl::UnavailableError("store: somebody reads, its log still holds what was deleted");
}

absl::StatusOr<StoreReport> SqliteStore::Report(const ReportQuery& query) {
  VD_ASSIGN_OR_RETURN(SqliteReaders::Lease lease, readers_.Take());
  return QueryReport(lease.db(), query);
}

absl::StatusOr<bool> SqliteStore::HasDetection(const MessageKey& key) {
  VD_ASSIGN_OR_RETURN(SqliteReaders::Lease lease, readers_.Take());
  return QueryHasDetection(lease.db(), key);
}

StoreHealth SqliteStore::Health() const {
  StoreHealth health;
  {
    const absl::MutexLock lock(&mutex_);
    health = health_;
    if (health.reason.empty()) health.reason = history_;
  }
  health.queued_records = queue_.queued_records();
  for (const char* suffix : {"", "-wal"}) {
    struct stat info;
    if (stat((options_.path + suffix).c_str(), &info) == 0) health.bytes += info.st_size;
  }
  return health;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const SqliteStoreOptions& options,
                                                       const Clock* clock, Log* log) {
  auto store = std::make_unique<SqliteStore>(options, clock, log);
  VD_RETURN_IF_ERROR(store->Start());
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace viaduct
