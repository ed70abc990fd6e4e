#include "core/store/sqlite_damaged_file.h"

#include <sqlite3.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crash_point.h"
#include "core/base/durable_file.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/store/sqlite_db.h"
#include "core/store/sqlite_schema.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

constexpr std::string_view kMovingWord = "moving ";
constexpr std::string_view kCopyingWord = "copying ";
constexpr size_t kMaxMarkerBytes = 8192;

// "Database Header Format" of SQLite.
constexpr size_t kPageBytes = 4096;
constexpr size_t kHeaderBytes = 100;
constexpr size_t kChangeCounterAt = 24;
constexpr size_t kPagesAt = 28;
constexpr size_t kFreeListAt = 32;
constexpr size_t kFreeListBytes = 8;
constexpr size_t kValidForAt = 92;

std::string FolderOf(const std::string& path) {
  const std::string folder = fs::path(path).parent_path();
  return folder.empty() ? "." : folder;
}

// The fields without which SQLite reads nothing of a file.
bool IsSoundHeader(std::string_view page) {
  struct Field {
    size_t at;
    std::string_view bytes;
  };
  static constexpr Field kFields[] = {{0, "SQLite format 3\0\x10\0"sv},
                                      {18, "\2\2\0\x40\x20\x20"sv},
                                      {44, "\0\0\0\4"sv},
                                      {52, "\0\0\0\0\0\0\0\1"sv}};
  for (const Field& field : kFields) {
    if (page.substr(field.at, field.bytes.size()) != field.bytes) return false;
  }
  return true;
}

// A leaf or inner page of the table of tables.
bool IsSoundBody(std::string_view page) {
  const char kind = page[kHeaderBytes];
  return kind == 0x0d || kind == 0x05;
}

// The first page that this program itself would write.
absl::StatusOr<std::string> ModelPage(const Clock* clock) {
  SqliteDb::Options options;
  options.create = true;
  VD_ASSIGN_OR_RETURN(auto db, SqliteDb::Open(":memory:", options, clock));
  VD_RETURN_IF_ERROR(MigrateSchema(db.get(), clock->Now()).status());
  sqlite3_int64 size = 0;
  const std::unique_ptr<unsigned char, void (*)(void*)> image(
      sqlite3_serialize(db->handle(), "main", &size, 0), sqlite3_free);
  if (image == nullptr || size < static_cast<sqlite3_int64>(kPageBytes)) {
    return absl::InternalError("store: SQLite gives no image of an empty database");
  }
  std::string page(kPageBytes, '\0');
  std::memcpy(page.data(), image.get(), kPageBytes);
  page[18] = page[19] = 2;  // Written and read with a log.
  return page;
}

void PutBigEndian32(uint64_t value, size_t at, std::string* page) {
  for (size_t i = 0; i < 4; ++i) (*page)[at + i] = static_cast<char>(value >> (24 - 8 * i));
}

// A hundred octets say what the file is. Where they are gone the rest is as good as before: they
// are written again as this program writes them, for the file as long as it is.
absl::Status MendFirstPage(const std::string& path, const Clock* clock) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  std::string page(kPageBytes, '\0');
  if (!file.read(page.data(), static_cast<std::streamsize>(page.size()))) return absl::OkStatus();
  if (IsSoundHeader(page)) return absl::OkStatus();
  VD_ASSIGN_OR_RETURN(std::string model, ModelPage(clock));
  if (IsSoundBody(page)) {
    model.replace(kHeaderBytes, std::string::npos, page, kHeaderBytes, std::string::npos);
  }
  std::error_code error;
  const uint64_t pages = fs::file_size(path, error) / kPageBytes;
  PutBigEndian32(pages, kPagesAt, &model);
  model.replace(kFreeListAt, kFreeListBytes, kFreeListBytes, '\0');
  model.replace(kValidForAt, 4, model, kChangeCounterAt, 4);
  file.seekp(0);
  file.write(model.data(), static_cast<std::streamsize>(model.size()));
  file.flush();
  if (file) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("store: cannot write ", path));
}

}  // namespace

SqliteDamagedFile::SqliteDamagedFile(std::string path) : path_(std::move(path)) {
  const absl::StatusOr<std::string> marker = ReadWholeFile(path_ + ".salvage", kMaxMarkerBytes);
  if (!marker.ok()) return;
  for (const auto& [word, step] :
       {std::pair(kMovingWord, Step::kMoving), std::pair(kCopyingWord, Step::kCopying)}) {
    if (marker->compare(0, word.size(), word) != 0) continue;
    step_ = step;
    name_ = marker->substr(word.size());
  }
}

absl::Status SqliteDamagedFile::SetAside(const Clock* clock) {
  if (step_ != Step::kMoving) {
    name_ = absl::StrCat(path_, ".damaged-",
                         absl::FormatTime("%Y%m%dT%H%M%E6SZ", clock->Now(), absl::UTCTimeZone()));
    VD_RETURN_IF_ERROR(WriteMarker(Step::kMoving));
  }
  VD_CRASH_POINT("store.set_aside.before");
  // The log first: the next database must never be opened with the log of this one.
  VD_RETURN_IF_ERROR(Rename("-wal"));
  VD_CRASH_POINT("store.set_aside.between");
  VD_RETURN_IF_ERROR(Rename(""));
  std::remove((path_ + "-shm").c_str());
  VD_CRASH_POINT("store.set_aside.moved");
  VD_RETURN_IF_ERROR(MendFirstPage(name_, clock));
  VD_RETURN_IF_ERROR(WriteMarker(Step::kCopying));  // Syncs the folder, and so the renames.
  VD_CRASH_POINT("store.set_aside.after");
  return absl::OkStatus();
}

void SqliteDamagedFile::Finish() {
  step_ = Step::kNone;
  std::remove((path_ + ".salvage").c_str());
}

absl::Status SqliteDamagedFile::WriteMarker(Step step) {
  const std::string_view word = step == Step::kMoving ? kMovingWord : kCopyingWord;
  VD_RETURN_IF_ERROR(WriteFileDurably(FolderOf(path_),
                                      fs::path(path_).filename().string() + ".salvage",
                                      absl::StrCat(AbslView(word), name_)));
  step_ = step;
  return absl::OkStatus();
}

absl::Status SqliteDamagedFile::Rename(const char* suffix) const {
  const std::string from = path_ + suffix;
  const std::string to = name_ + suffix;
  if (std::rename(from.c_str(), to.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("store: cannot rename ", from, " to ", to, ", ", std::strerror(errno)));
}

}  // namespace viaduct
