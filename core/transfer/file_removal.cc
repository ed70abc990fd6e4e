#include "core/transfer/file_removal.h"

#include <utility>

#include "core/base/string_view.h"

namespace viaduct {

bool FileRemoval::Remove(const Transfer& row) const {
  if (!row.held) return false;
  if (row.state == TransferState::kDone) return RemoveDone(row);
  // A watch folder keeps what was not sent.
  if (row.state != TransferState::kCancelled || row.owner != FileOwner::kNode) return false;
  RemoveCancelled(row);
  return true;
}

// It stays done: the file goes first, and after a crash between the two it is looked for again.
bool FileRemoval::RemoveDone(const Transfer& row) const {
  const absl::Status removed = RemoveLocal(row);
  if (absl::IsFailedPrecondition(removed)) return false;
  if (!removed.ok()) {
    Complain(row, removed);
    return false;
  }
  LetGo(row, nullptr);
  return true;
}

// FAILED_PRECONDITION: another transfer still needs it.
absl::Status FileRemoval::RemoveLocal(const Transfer& row) const {
  if (row.owner == FileOwner::kNode) return owned_->Remove(row.id);
  absl::Status removed = absl::FailedPreconditionError("needed by another transfer");
  queue_->files()->IfUnused(row.stamp, [&] { removed = RemoveIfSame(row.local_path, row.stamp); });
  return removed;
}

// It may be retried at any time, until the row says that its file is gone.
void FileRemoval::RemoveCancelled(const Transfer& row) const {
  LetGo(row, [removal = *this, row](const absl::StatusOr<Transfer>& changed) {
    if (!changed.ok()) return;
    const absl::Status removed = removal.owned_->Remove(row.id);
    if (!removed.ok()) removal.Complain(row, removed);
  });
}

void FileRemoval::LetGo(const Transfer& row, TransferQueue::ChangeDone done) const {
  queue_->Change(
      row.id,
      [state = row.state](Transfer* now) {
        if (now->state != state) return absl::FailedPreconditionError("not what it was");
        now->held = false;
        return absl::OkStatus();
      },
      std::move(done));
}

void FileRemoval::Complain(const Transfer& row, const absl::Status& why) const {
  log_->Warning("transfers", "a file that is not needed cannot be removed",
                {{"transfer", row.id}, {"reason", StdView(why.message())}});
}

}  // namespace viaduct
