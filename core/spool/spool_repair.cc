#include "core/spool/spool_repair.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/descriptor.h"
#include "core/base/status_macros.h"
#include "core/security/at_rest.h"
#include "core/spool/raw_pages.h"
#include "core/spool/spool_files.h"
#include "core/spool/spool_recovery.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;
using spool_internal::AttemptRecord;
using spool_internal::DeadRow;
using spool_internal::FileExists;
using spool_internal::FileSize;
using spool_internal::kClasses;
using spool_internal::KeyClass;
using spool_internal::RawPages;
using spool_internal::RowVisitor;
using spool_internal::SpoolRow;
using spool_internal::SpoolState;

constexpr char kFileName[] = "spool.db";

absl::StatusOr<std::string> FileOf(const std::string& path) {
  std::error_code error;
  std::string file = fs::is_directory(path, error) ? absl::StrCat(path, "/", kFileName) : path;
  if (FileExists(file)) return file;
  return absl::NotFoundError(absl::StrCat("spool: there is none, ", file));
}

// Only a lock that is there is tried: nothing is made beside the file.
absl::Status CheckUnused(const std::string& file) {
  const Descriptor lock(open((file + ".lock").c_str(), O_RDONLY | O_CLOEXEC));
  if (lock.get() < 0 || flock(lock.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("spool: a node has it open, stop that first, ", file));
}

// What the pages show together. Thread-compatible.
class Look {
 public:
  Look(const std::string& file, SpoolInspection* to) : raw_(file, file + "-wal"), to_(to) {}

  void Run() {
    RowVisitor visitor;
    visitor.on_state = [this](const SpoolState& state) {
      if (!to_->state_found || state.generation > state_.generation) state_ = state;
      to_->state_found = true;
    };
    visitor.on_row = [](SpoolRow) {};
    visitor.on_dead = [](DeadRow) {};
    visitor.on_attempt = [](int64_t, AttemptRecord) {};
    visitor.on_damaged = [] {};
    raw_.VisitCommitted(visitor);
    visitor.on_row = [this](const SpoolRow& row) { Row(row); };
    visitor.on_dead = [this](const DeadRow& dead) {
      to_->dead += dead_.insert(dead.row.key).second;
    };
    visitor.on_damaged = [this] { ++to_->damaged_rows; };
    raw_.VisitCommitted(visitor);
    to_->log_has_tail = raw_.log_has_tail();
    Judge();
  }

 private:
  void Row(const SpoolRow& row) {
    const auto klass = static_cast<size_t>(KeyClass(row.key));
    // Below the head lies what was delivered before, on pages that SQLite has given up.
    if (row.key < state_.head[klass] || !seen_.insert(row.key).second) return;
    ++to_->messages[klass];
    to_->encrypted += security::RecordCipher::IsSealed(row.envelope_json) ? 1 : 0;
  }

  void Problem(std::string text) { to_->problems.push_back(std::move(text)); }

  void Judge() {
    if (!to_->state_found) Problem("the row of counters cannot be read");
    int64_t found = 0;
    int64_t expected = 0;
    for (size_t c = 0; c < kClasses; ++c) {
      to_->expected[c] = state_.messages[c];
      expected += state_.messages[c];
      found += to_->messages[c];
    }
    to_->expected_dead = state_.dead_messages;
    if (to_->state_found && found != expected) {
      Problem(absl::StrCat(found, " messages can be read, ", expected, " should be there"));
    }
    if (to_->state_found && to_->dead != to_->expected_dead) {
      Problem(absl::StrCat(to_->dead, " dead letters can be read, ", to_->expected_dead,
                           " should be there"));
    }
    if (to_->damaged_rows > 0) Problem(absl::StrCat(to_->damaged_rows, " rows are damaged"));
    if (raw_.bad_log_header()) Problem("the log cannot be read from its beginning");
  }

  RawPages raw_;
  SpoolInspection* const to_;
  SpoolState state_;
  absl::flat_hash_set<int64_t> seen_;  // Keys: bounded by the messages of one file.
  absl::flat_hash_set<int64_t> dead_;
};

absl::Status Copy(const std::string& from, const std::string& to) {
  std::error_code error;
  if (!FileExists(from)) return absl::OkStatus();
  if (!fs::copy_file(from, to, error) || error) {
    const absl::StatusCode code = error == std::errc::no_space_on_device
                                      ? absl::StatusCode::kResourceExhausted
                                      : absl::StatusCode::kUnavailable;
    return absl::Status(code, absl::StrCat(from, ": cannot copy, ", error.message()));
  }
  return absl::OkStatus();
}

absl::Status MakeEmptyFolder(const std::string& path) {
  std::error_code error;
  if (fs::exists(path, error) && !(fs::is_directory(path, error) && fs::is_empty(path, error))) {
    return absl::AlreadyExistsError(absl::StrCat(path, ": is there and not empty"));
  }
  if (mkdir(path.c_str(), S_IRWXU) == 0 || errno == EEXIST) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, path);
}

}  // namespace

absl::StatusOr<SpoolInspection> InspectSpool(const std::string& path) {
  SpoolInspection inspection;
  VD_ASSIGN_OR_RETURN(inspection.path, FileOf(path));
  VD_RETURN_IF_ERROR(CheckUnused(inspection.path));
  inspection.bytes = FileSize(inspection.path);
  inspection.log_bytes = FileSize(inspection.path + "-wal");
  Look(inspection.path, &inspection).Run();
  return inspection;
}

absl::StatusOr<DamageReport> RepairSpool(const std::string& path, const std::string& to) {
  VD_ASSIGN_OR_RETURN(const std::string file, FileOf(path));
  VD_RETURN_IF_ERROR(CheckUnused(file));
  VD_RETURN_IF_ERROR(MakeEmptyFolder(to));
  const std::string copy = absl::StrCat(to, "/", kFileName);
  VD_RETURN_IF_ERROR(Copy(file, copy));
  VD_RETURN_IF_ERROR(Copy(file + "-wal", copy + "-wal"));
  VD_ASSIGN_OR_RETURN(DamageReport report,
                      spool_internal::SalvageSpoolFile(copy, "", "repaired by hand"));
  for (const char* suffix : {"", "-wal"}) {
    VD_RETURN_IF_ERROR(spool_internal::RemoveFile(report.set_aside + suffix));
  }
  report.set_aside.clear();
  VD_RETURN_IF_ERROR(spool_internal::SyncDirectoryOf(copy));
  return report;
}

}  // namespace viaduct
