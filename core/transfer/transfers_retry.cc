// Files that are sent once more, and where a file may lie when it is.
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/transfer/transfers.h"

namespace viaduct {

void Transfers::Retry(const std::string& id, ChangeFn done) {
  auto shared = std::make_shared<ChangeFn>(std::move(done));
  const std::string known = absl::AsciiStrToLower(id);
  if (pool_.Submit([this, known, shared] { RetryNow(known, *shared); })) return;
  (*shared)(absl::ResourceExhaustedError("transfers: too many files wait to be read"));
}

std::vector<std::string> Transfers::RootsOf(const Transfer& transfer) const {
  if (transfer.owner == FileOwner::kSender) return options_.roots;
  if (transfer.owner == FileOwner::kNode) return {owned_->path()};
  std::vector<std::string> folders;
  for (const WatchFolderOptions& watch : options_.watch) folders.push_back(watch.path);
  return folders;
}

absl::StatusOr<LocalFile> Transfers::OpenToRetry(const Transfer& transfer) const {
  absl::StatusOr<LocalFile> file = OpenBelow(RootsOf(transfer), transfer.local_path);
  if (file.ok() && file->size > options_.max_file_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("path: larger than transfers.max_file_bytes, ", file->size));
  }
  return file;
}

absl::StatusOr<FileStamp> Transfers::CheckLocal(const Transfer& transfer) const {
  std::vector<std::string> roots = RootsOf(transfer);
  if (transfer.owner == FileOwner::kWatch) {  // Of a folder, perhaps, that is not watched any more.
    roots.push_back(transfer.local_path.substr(0, transfer.local_path.rfind('/')));
  }
  VD_ASSIGN_OR_RETURN(const LocalFile file, OpenBelow(roots, transfer.local_path));
  const bool known = transfer.owner != FileOwner::kNode && transfer.stamp.inode != 0;
  if (!known || file.stamp.SameFile(transfer.stamp)) return file.stamp;
  return absl::AbortedError(
      absl::StrCat(transfer.local_path, ": is another file than the one that was accepted"));
}

void Transfers::RetryNow(const std::string& id, const ChangeFn& done) {
  const absl::StatusOr<Transfer> transfer = queue_->Get(id);
  if (!transfer.ok()) return done(transfer.status());
  absl::StatusOr<LocalFile> file = OpenToRetry(*transfer);
  if (!file.ok()) return done(absl::FailedPreconditionError(file.status().message()));
  file->stop = &stopped_;
  const std::shared_ptr<const void> claim = queue_->files()->Claim(file->stamp);
  const absl::Status there = CheckStillThere(*file);
  if (!there.ok()) return done(absl::FailedPreconditionError(there.message()));
  const absl::StatusOr<FileDigest> digest = DigestOf(*file);
  if (!digest.ok()) return done(digest.status());
  queue_->Change(
      id,
      [digest = *digest, stamp = file->stamp, tell = deps_.announce != nullptr,
       now = deps_.clock->Now()](Transfer* row) -> absl::Status {
        if (row->state != TransferState::kFailed && row->state != TransferState::kCancelled) {
          return absl::FailedPreconditionError(absl::StrCat("transfers: ", row->id, " is ",
                                                            AbslView(TransferStateName(row->state)),
                                                            ", not failed or cancelled"));
        }
        if (row->owner == FileOwner::kNode && !row->held) {
          return absl::FailedPreconditionError(
              absl::StrCat("transfers: the file of ", row->id, " is removed"));
        }
        const bool same = row->sha256 == digest.sha256;
        row->state = TransferState::kQueued;
        row->changed = now;
        row->attempts = row->strikes = 0;
        row->last_error.clear();
        row->size = digest.size;
        row->sha256 = digest.sha256;
        if (row->owner != FileOwner::kNode) row->stamp = stamp;
        row->server_stored = false;
        if (!same) row->durable.clear();
        if (!same && tell) TellAnew(row);
        return absl::OkStatus();
      },
      [this, claim, done](absl::StatusOr<Transfer> changed) {
        if (changed.ok()) engine_->OnAdded(*changed);
        done(std::move(changed));
      });
}

}  // namespace viaduct
