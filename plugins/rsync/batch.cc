#include "plugins/rsync/batch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct::rsync {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

absl::Status Changed(const FileJob& job) {
  return absl::AbortedError(
      absl::StrCat("local file: ", job.local_path, ", is not what was to be sent: it has changed"));
}

absl::StatusOr<std::string> DigestOf(const LocalFile& file, uint64_t size,
                                     const std::atomic<bool>& stop) {
  Sha256 digest;
  std::string piece(static_cast<size_t>(std::min<uint64_t>(size, kPieceBytes)), '\0');
  for (uint64_t at = 0; at < size; at += piece.size()) {
    if (stop.load()) return absl::CancelledError("file: the instance is stopped");
    piece.resize(static_cast<size_t>(std::min<uint64_t>(size - at, kPieceBytes)));
    const absl::Status status = file.Read(at, piece.data(), piece.size());
    if (!status.ok()) return status;
    digest.Update(piece);
  }
  return digest.Hex();
}

}  // namespace

absl::StatusOr<Item> OpenItem(const FileJob& job, const std::atomic<bool>& stop) {
  absl::StatusOr<LocalFile> file = LocalFile::Open(job.local_path, job.identity);
  if (!file.ok()) return file.status();
  const absl::StatusOr<uint64_t> size = file->Size();
  if (!size.ok()) return size.status();
  if (*size != job.size) return Changed(job);
  absl::StatusOr<std::string> digest = DigestOf(*file, job.size, stop);
  if (!digest.ok()) return digest.status();
  if (!job.sha256.empty() && *digest != job.sha256) return Changed(job);
  return Item{job, *std::move(file), *std::move(digest), 0, absl::OkStatus()};
}

absl::Status CheckItem(const Item& item, const std::atomic<bool>& stop) {
  const absl::StatusOr<uint64_t> size = item.file.Size();
  if (!size.ok()) return size.status();
  if (*size != item.job.size) return Changed(item.job);
  const absl::StatusOr<std::string> digest = DigestOf(item.file, item.job.size, stop);
  if (!digest.ok()) return digest.status();
  return *digest == item.digest ? absl::OkStatus() : Changed(item.job);
}

std::vector<std::string> NamesOf(const std::vector<Item>& items) {
  std::vector<std::string> names;
  names.reserve(items.size());
  for (const Item& item : items) names.push_back(item.job.remote_name);
  return names;
}

std::string ListOf(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    // Lines that begin so are comments, else.
    if (name[0] == '#' || name[0] == ';') out += "./";
    out += name;
    out += '\0';
  }
  return out;
}

}  // namespace viaduct::rsync
