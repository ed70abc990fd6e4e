#include "core/spool/spool_recovery.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crash_point.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/spool/raw_pages.h"
#include "core/spool/spool_files.h"
#include "core/spool/spool_schema.h"

namespace viaduct::spool_internal {
namespace {

constexpr int kMaxDamagedFiles = 8;  // Kept for inspection; then the oldest goes.
constexpr int64_t kSalvageRowsPerCommit = 4096;

// `path`.new: being made. `path`.salvage: being filled. `path`.salvaged: complete, about to take
// the place of `path`.
std::string NewPath(const std::string& path) { return path + ".new"; }
std::string FillingPath(const std::string& path) { return path + ".salvage"; }
std::string CompletePath(const std::string& path) { return path + ".salvaged"; }
std::string LogPath(const std::string& path) { return path + "-wal"; }
std::string DamagedPath(const std::string& path, int number) {
  return absl::StrCat(path, ".damaged-", number);
}

RowVisitor SilentVisitor() {
  RowVisitor visitor;
  visitor.on_row = [](SpoolRow) {};
  visitor.on_dead = [](DeadRow) {};
  visitor.on_attempt = [](int64_t, AttemptRecord) {};
  visitor.on_state = [](const SpoolState&) {};
  visitor.on_damaged = [] {};
  return visitor;
}

// Writes rows in transactions of a bounded size; remembers the first error.
class SalvageWriter {
 public:
  SalvageWriter(SpoolDatabase* out, const SpoolState& old_state)
      : out_(out), old_(old_state), state_(old_state) {
    state_.messages = {};
    state_.bytes = {};
    state_.dead_messages = 0;
    state_.dead_bytes = 0;
    for (int c = 0; c < kClasses; ++c) state_.head[static_cast<size_t>(c)] = LastKey(c) + 1;
  }

  void Row(const SpoolRow& row) {
    const auto klass = static_cast<size_t>(KeyClass(row.key));
    // Below the head lies what was delivered before: left over on a page that SQLite has given up.
    if (row.key < old_.head[klass] || !Ready()) return;
    const absl::StatusOr<bool> inserted = out_->InsertIfAbsent(row);
    if (!inserted.ok()) return Fail(inserted.status());
    if (!*inserted) return;
    ++state_.messages[klass];
    state_.bytes[klass] += static_cast<int64_t>(RowBytes(row));
    state_.head[klass] = std::min(state_.head[klass], row.key);
    NoteAge(row);
  }

  void Dead(const DeadRow& dead) {
    if (!Ready()) return;
    const absl::StatusOr<bool> live = out_->Delete(dead.row.key);  // Moved just before the damage.
    if (!live.ok()) return Fail(live.status());
    if (*live) {
      const auto klass = static_cast<size_t>(KeyClass(dead.row.key));
      --state_.messages[klass];
      state_.bytes[klass] -= static_cast<int64_t>(RowBytes(dead.row));
    }
    Fail(out_->InsertDead(dead, /*ignore_existing=*/true));
    if (sqlite3_changes(out_->handle()) == 0) return;
    ++state_.dead_messages;
    state_.dead_bytes += static_cast<int64_t>(RowBytes(dead.row));
    NoteAge(dead.row);
  }

  void Attempt(int64_t key, const AttemptRecord& attempt) {
    if (Ready()) Fail(out_->PutAttempt(key, attempt));
  }

  absl::StatusOr<SpoolState> Finish(int64_t lost) {
    if (!Ready()) return status_;
    for (int c = 0; c < kClasses; ++c) {
      const auto i = static_cast<size_t>(c);
      if (state_.messages[i] == 0) state_.head[i] = MakeKey(static_cast<Priority>(c), 0);
    }
    ++state_.generation;
    ++state_.damages_total;
    state_.lost_total += lost;
    VD_RETURN_IF_ERROR(out_->WriteState(state_));
    VD_RETURN_IF_ERROR(out_->Commit());
    return state_;
  }

  const SpoolState& state() const { return state_; }

 private:
  void Fail(const absl::Status& status) { status_.Update(status); }

  bool Ready() {
    if (!status_.ok()) return false;
    if (rows_ % kSalvageRowsPerCommit == 0) {
      if (rows_ > 0) Fail(out_->Commit());
      if (rows_ > 0) Fail(out_->Checkpoint(/*restart=*/false));
      if (status_.ok()) Fail(out_->Begin());
    }
    ++rows_;
    return status_.ok();
  }

  void NoteAge(const SpoolRow& row) {
    state_.spool_ms = std::max(state_.spool_ms, row.spool_ms);
    state_.next_sequence = std::max(state_.next_sequence, KeySequence(row.key) + 1);
  }

  SpoolDatabase* const out_;
  const SpoolState old_;
  SpoolState state_;
  absl::Status status_;
  int64_t rows_ = 0;
};

// The newest state row anywhere; false when none is left.
bool FindState(RawPages* raw, SpoolState* newest) {
  bool found = false;
  RowVisitor visitor = SilentVisitor();
  visitor.on_state = [&](const SpoolState& state) {
    if (!found || state.generation > newest->generation) *newest = state;
    found = true;
  };
  raw->VisitCommitted(visitor);
  raw->VisitTail(visitor);
  return found;
}

int64_t Total(const SpoolState& state) {
  int64_t total = state.dead_messages;
  for (const int64_t n : state.messages) total += n;
  return total;
}

absl::StatusOr<DamageReport> FillFromPages(const std::string& path, const std::string& vfs) {
  RawPages raw(path, LogPath(path));
  SpoolState old_state;
  DamageReport report;
  report.lost_known = FindState(&raw, &old_state);
  const std::string filling = FillingPath(path);
  VD_RETURN_IF_ERROR(CreateSpoolFile(filling, vfs, SpoolState{}));
  VD_ASSIGN_OR_RETURN(std::unique_ptr<SpoolDatabase> out,
                      SpoolDatabase::Open(filling, vfs, SpoolDatabase::Mode::kWrite));
  SalvageWriter writer(out.get(), old_state);
  int64_t damaged_rows = 0;
  RowVisitor visitor = SilentVisitor();
  visitor.on_row = [&](const SpoolRow& row) { writer.Row(row); };
  visitor.on_dead = [&](const DeadRow& dead) { writer.Dead(dead); };
  visitor.on_attempt = [&](int64_t key, const AttemptRecord& a) { writer.Attempt(key, a); };
  visitor.on_damaged = [&] { ++damaged_rows; };
  raw.VisitCommitted(visitor);
  raw.VisitTail(visitor);
  const int64_t found = Total(writer.state());
  report.lost = report.lost_known ? std::max<int64_t>(0, Total(old_state) - found) : damaged_rows;
  report.salvaged = found;
  VD_RETURN_IF_ERROR(writer.Finish(report.lost).status());
  VD_RETURN_IF_ERROR(out->Checkpoint(/*restart=*/true));
  out.reset();
  VD_RETURN_IF_ERROR(SyncFile(filling));
  return report;
}

absl::StatusOr<std::string> FreeDamagedPath(const std::string& path) {
  for (int number = 1; number <= kMaxDamagedFiles; ++number) {
    if (!FileExists(DamagedPath(path, number)) && !FileExists(LogPath(DamagedPath(path, number)))) {
      return DamagedPath(path, number);
    }
  }
  // All taken: the oldest goes and the others move down.
  for (int number = 1; number <= kMaxDamagedFiles; ++number) {
    for (const char* suffix : {"", "-wal"}) {
      const std::string from = DamagedPath(path, number) + suffix;
      if (number == 1) VD_RETURN_IF_ERROR(RemoveFile(from));
      if (number == 1 || !FileExists(from)) continue;
      VD_RETURN_IF_ERROR(RenameFile(from, DamagedPath(path, number - 1) + suffix));
    }
  }
  return DamagedPath(path, kMaxDamagedFiles);
}

// The complete new file is there: set the old one aside and put the new one in its place. The log
// goes first: beside the new file it would be taken for its own.
absl::StatusOr<std::string> SwapIn(const std::string& path) {
  VD_ASSIGN_OR_RETURN(const std::string damaged, FreeDamagedPath(path));
  if (FileExists(LogPath(path))) {
    VD_RETURN_IF_ERROR(RenameFile(LogPath(path), LogPath(damaged)));
  }
  VD_RETURN_IF_ERROR(RemoveFile(path + "-shm"));
  VD_RETURN_IF_ERROR(SyncDirectoryOf(path));
  VD_CRASH_POINT("spool.salvage.log_moved");
  if (FileExists(path)) VD_RETURN_IF_ERROR(RenameFile(path, damaged));
  VD_CRASH_POINT("spool.salvage.database_moved");
  for (const char* suffix : {"-wal", "-shm"}) {
    VD_RETURN_IF_ERROR(RemoveFile(CompletePath(path) + suffix));
  }
  VD_RETURN_IF_ERROR(RenameFile(CompletePath(path), path));
  VD_RETURN_IF_ERROR(SyncDirectoryOf(path));
  VD_CRASH_POINT("spool.salvage.after");
  return damaged;
}

// After a power loss (or damage in the log) intact rows may lie behind the part of the log that
// SQLite takes. Rows newer than anything committed are adopted: they were accepted, or at least
// offered, and the receiver knows what it has already.
absl::Status AdoptTail(RawPages* raw, SpoolDatabase* database, SpoolState* state) {
  SpoolState newest = *state;
  std::vector<SpoolRow> rows;
  absl::Status status;
  RowVisitor visitor = SilentVisitor();
  visitor.on_state = [&](const SpoolState& tail) {
    if (tail.generation > newest.generation) newest = tail;
  };
  raw->VisitTail(visitor);
  // Collected before anything is written: writing goes over this part of the log.
  visitor.on_row = [&](SpoolRow row) {
    const auto klass = static_cast<size_t>(KeyClass(row.key));
    if (KeySequence(row.key) < state->next_sequence || row.key < newest.head[klass]) return;
    rows.push_back(std::move(row));
  };
  raw->VisitTail(visitor);
  VD_RETURN_IF_ERROR(database->Begin());
  for (const SpoolRow& row : rows) {
    const absl::StatusOr<bool> inserted = database->InsertIfAbsent(row);
    status.Update(inserted.status());
    if (!inserted.ok() || !*inserted) continue;
    const auto klass = static_cast<size_t>(KeyClass(row.key));
    ++state->accepted_total;
    ++state->messages[klass];
    state->bytes[klass] += static_cast<int64_t>(RowBytes(row));
    state->next_sequence = std::max(state->next_sequence, KeySequence(row.key) + 1);
  }
  state->generation = newest.generation + 1;
  state->next_sequence = std::max(state->next_sequence, newest.next_sequence);
  state->spool_ms = std::max(state->spool_ms, newest.spool_ms);
  if (status.ok()) status = database->WriteState(*state);
  if (status.ok()) return database->Commit();
  database->Rollback();
  return status;
}

// Cheap signs of damage that SQLite would meet only when it gets there.
absl::Status CheckSize(const std::string& path, sqlite3* db) {
  VD_ASSIGN_OR_RETURN(const int64_t pages, QueryInt(db, "PRAGMA page_count"));
  if (FileSize(LogPath(path)) > 0 || FileSize(path) >= pages * kPageBytes) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("spool: file cut short, ", FileSize(path), " bytes of ", pages * kPageBytes));
}

// The ends of every class: finds a broken tree early, whatever its size.
absl::Status CheckEnds(SpoolDatabase* database, const SpoolState& state) {
  for (int c = 0; c < kClasses; ++c) {
    int64_t seen = 0;
    KeyRange range{FirstKey(c), LastKey(c), 1};
    VD_RETURN_IF_ERROR(database->ReadRowsBriefly(range, [&seen](const StoredRow&) {
      ++seen;
      return true;
    }));
    if ((seen > 0) != (state.messages[static_cast<size_t>(c)] > 0)) {
      return absl::DataLossError(absl::StrCat("spool: messages of priority ", c, " do not add up"));
    }
  }
  bool dead = false;
  VD_RETURN_IF_ERROR(database->ReadDead({0, LastKey(kClasses - 1), 1}, [&dead](const auto&) {
    dead = true;
    return true;
  }));
  if (dead == (state.dead_messages > 0)) return absl::OkStatus();
  return absl::DataLossError("spool: dead letters do not add up");
}

absl::StatusOr<OpenedSpool> OpenGoodFile(const std::string& path, const std::string& vfs) {
  // SQLite drops an unreadable end of the log without a word and then writes over it: look first.
  RawPages raw(path, LogPath(path));
  if (raw.bad_log_header()) return absl::DataLossError("spool: header of the log damaged");
  VD_RETURN_IF_ERROR(CheckHeader(path));
  OpenedSpool opened;
  VD_ASSIGN_OR_RETURN(opened.writer, SpoolDatabase::Open(path, vfs, SpoolDatabase::Mode::kWrite));
  VD_RETURN_IF_ERROR(CheckAndMigrate(opened.writer->handle()));
  VD_RETURN_IF_ERROR(CheckSchema(opened.writer->handle()));
  VD_RETURN_IF_ERROR(CheckSize(path, opened.writer->handle()));
  VD_ASSIGN_OR_RETURN(opened.state, opened.writer->ReadState());
  if (raw.log_has_tail()) {
    VD_RETURN_IF_ERROR(AdoptTail(&raw, opened.writer.get(), &opened.state));
  }
  VD_RETURN_IF_ERROR(CheckEnds(opened.writer.get(), opened.state));
  VD_ASSIGN_OR_RETURN(opened.reader, SpoolDatabase::Open(path, vfs, SpoolDatabase::Mode::kRead));
  return opened;
}

// Ends what a crash may have interrupted.
absl::Status TidyUp(const std::string& path, const std::string& vfs,
                    std::vector<DamageReport>* damages) {
  for (const char* suffix : {"", "-wal", "-shm"}) {
    VD_RETURN_IF_ERROR(RemoveFile(FillingPath(path) + suffix));
    VD_RETURN_IF_ERROR(RemoveFile(NewPath(path) + suffix));
  }
  if (FileExists(CompletePath(path))) {
    DamageReport report;
    report.reason = "replacement of a damaged file was interrupted, completed now";
    VD_ASSIGN_OR_RETURN(report.set_aside, SwapIn(path));
    damages->push_back(report);
    return absl::OkStatus();
  }
  const bool empty = FileExists(path) && FileSize(path) == 0;
  const bool orphan_log = !FileExists(path) && FileSize(LogPath(path)) > 0;
  if (!empty && !orphan_log && FileExists(path)) return absl::OkStatus();
  if (empty || orphan_log) {
    const char* reason =
        empty ? "spool: file is empty" : "spool: file is missing, its log is there";
    VD_ASSIGN_OR_RETURN(DamageReport report, SalvageSpoolFile(path, vfs, reason));
    damages->push_back(std::move(report));
    return absl::OkStatus();
  }
  VD_RETURN_IF_ERROR(CreateSpoolFile(NewPath(path), vfs, SpoolState{}));
  for (const char* suffix : {"-wal", "-shm"}) VD_RETURN_IF_ERROR(RemoveFile(path + suffix));
  VD_RETURN_IF_ERROR(RenameFile(NewPath(path), path));
  VD_RETURN_IF_ERROR(SyncDirectoryOf(path));
  VD_CRASH_POINT("spool.create.renamed");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DamageReport> SalvageSpoolFile(const std::string& path, const std::string& vfs,
                                              const std::string& reason) {
  VD_CRASH_POINT("spool.salvage.before");
  absl::StatusOr<DamageReport> filled = FillFromPages(path, vfs);
  if (!filled.ok()) {
    // Where it failed for want of room, what was filled of it would take the room of the next try.
    for (const char* suffix : {"", "-wal", "-shm"}) {
      RemoveFile(FillingPath(path) + suffix).IgnoreError();
    }
    return filled.status();
  }
  DamageReport report = *std::move(filled);
  VD_CRASH_POINT("spool.salvage.written");
  VD_RETURN_IF_ERROR(RenameFile(FillingPath(path), CompletePath(path)));
  VD_RETURN_IF_ERROR(SyncDirectoryOf(path));
  VD_CRASH_POINT("spool.salvage.marked");
  VD_ASSIGN_OR_RETURN(report.set_aside, SwapIn(path));
  report.reason = reason;
  return report;
}

absl::StatusOr<OpenedSpool> OpenSpoolFile(const std::string& path, const std::string& vfs,
                                          Log* log) {
  std::vector<DamageReport> damages;
  VD_RETURN_IF_ERROR(TidyUp(path, vfs, &damages));
  absl::StatusOr<OpenedSpool> opened = OpenGoodFile(path, vfs);
  if (!opened.ok() && absl::IsDataLoss(opened.status())) {
    log->Error("spool", "file is damaged, salvaging",
               {{"path", path}, {"error", StdView(opened.status().message())}});
    VD_ASSIGN_OR_RETURN(DamageReport report,
                        SalvageSpoolFile(path, vfs, std::string(opened.status().message())));
    damages.push_back(std::move(report));
    opened = OpenGoodFile(path, vfs);
  }
  if (opened.ok()) opened->damages = std::move(damages);
  return opened;
}

}  // namespace viaduct::spool_internal
