// What becomes of one file that is there and was told of.
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/crash_point.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"
#include "core/receive/receiver.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "incoming";
constexpr size_t kMaxDetailBytes = 400;  // What nodes take with a command is a little more.

// Nothing that comes later makes it right.
bool IsVerdict(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsPermissionDenied(status) ||
         absl::IsInvalidArgument(status);
}

ArrivedImage ImageOf(const FileAnnouncement& announcement, const OwnedFolder& staging) {
  ArrivedImage image;
  image.transfer_id = announcement.transfer_id;
  image.device_id = announcement.device_id;
  image.captured_at = announcement.at;
  image.file = staging.PathOf(announcement.transfer_id);
  return image;
}

}  // namespace

absl::Status Receiver::Check(const FileAnnouncement& announcement) {
  const std::string& name = announcement.file.name;
  const absl::StatusOr<IncomingEntry> entry = folder_->Look(name);
  absl::Status status = entry.status();
  if (absl::IsNotFound(status)) return status;
  if (status.ok()) {
    const absl::StatusOr<std::string> path = TakeIn(announcement);
    if (path.ok()) return Keep(announcement, *entry, *path);
    status = path.status();
  }
  if (absl::IsNotFound(status)) return status;
  // Whoever writes it under its own name may not be through.
  const bool unfinished = entry.ok() && IsFresh(*entry) && IsVerdict(status);
  if (unfinished || absl::IsAborted(status)) {
    RecheckLater(name);
    return absl::UnavailableError(status.message());
  }
  if (IsVerdict(status)) return Refuse(announcement, status, entry.ok());
  deps_.log->Warning(
      kComponent, "a file cannot be taken in now, it is tried again",
      {{"transfer_id", announcement.transfer_id}, {"reason", StdView(status.message())}});
  return status;
}

absl::StatusOr<std::string> Receiver::TakeIn(const FileAnnouncement& announcement) {
  const std::string& id = announcement.transfer_id;
  if (announcement.kind == FileKind::kFile) {
    VD_RETURN_IF_ERROR(folder_->CopyVerified(announcement.file, *files_, id));
    VD_CRASH_POINT("receive.copied");
    return std::string();
  }
  const size_t most = deps_.images->options().max_image_bytes;
  if (announcement.file.size > most) {
    return absl::DataLossError(
        absl::StrCat("image: too large, ", announcement.file.size, " bytes, limit ", most));
  }
  VD_RETURN_IF_ERROR(folder_->CopyVerified(announcement.file, *staging_, id));
  VD_CRASH_POINT("receive.copied");
  absl::StatusOr<std::string> path = deps_.images->Take(ImageOf(announcement, *staging_));
  if (!path.ok()) VD_RETURN_IF_ERROR(staging_->Remove(id));
  return path;
}

absl::Status Receiver::Keep(const FileAnnouncement& announcement, const IncomingEntry& entry,
                            const std::string& path) {
  VD_CRASH_POINT("receive.taken");
  const AppendResult settled = Settle(announcement, FileState::kStored, path, "");
  VD_CRASH_POINT("receive.settled");
  if (absl::IsNotFound(settled.status)) return Drop(announcement, settled.status);
  VD_RETURN_IF_ERROR(settled.status);
  // Another one may have the name next; its transfer looks for it there.
  if (arrivals_->WaitingFor(entry.name) <= 1) RemoveSource(entry);
  VD_CRASH_POINT("receive.removed");
  if (!settled.duplicate) {
    const absl::MutexLock lock(&mutex_);
    ++info_.stored;
  }
  Answer(announcement, FileState::kStored, "");
  return absl::OkStatus();
}

// It was announced anew meanwhile, perhaps as something else; or forgotten, and what was taken in
// of it must not stay then.
absl::Status Receiver::Drop(const FileAnnouncement& announcement, const absl::Status& why) {
  const absl::Status known = deps_.store->GetFileTransfer(announcement.transfer_id).status();
  if (known.ok()) return absl::AbortedError(why.message());
  if (!absl::IsNotFound(known)) return known;
  VD_RETURN_IF_ERROR(announcement.kind == FileKind::kFile
                         ? files_->Remove(announcement.transfer_id)
                         : deps_.images->RemoveTaken(ImageOf(announcement, *staging_)));
  return absl::DataLossError("forgotten: nobody waits for this file any more");
}

absl::Status Receiver::Refuse(const FileAnnouncement& announcement, const absl::Status& why,
                              bool is_there) {
  const std::string& name = announcement.file.name;
  // It may be what another transfer of that name did tell of.
  if (is_there && arrivals_->WaitingFor(name) <= 1) {
    const absl::Status aside = folder_->SetAside(name, announcement.transfer_id);
    if (!aside.ok()) {
      deps_.log->Warning(
          kComponent, "a wrong file stays where it is",
          {{"transfer_id", announcement.transfer_id}, {"reason", StdView(aside.message())}});
    }
  }
  VD_CRASH_POINT("receive.refused");
  const std::string detail(CutText(StdView(why.message()), kMaxDetailBytes));
  const AppendResult settled = Settle(announcement, FileState::kFailed, "", detail);
  if (absl::IsNotFound(settled.status)) return Drop(announcement, settled.status);
  VD_RETURN_IF_ERROR(settled.status);
  if (settled.duplicate) return absl::OkStatus();  // It had been stored.
  {
    const absl::MutexLock lock(&mutex_);
    ++info_.failed;
  }
  deps_.log->Info(kComponent, "a file is not what was announced",
                  {{"transfer_id", announcement.transfer_id},
                   {"device_id", announcement.device_id},
                   {"reason", detail}});
  Answer(announcement, FileState::kFailed, detail);
  return absl::DataLossError(detail);
}

// Waits for the commit: everything that follows rests on it.
AppendResult Receiver::Settle(const FileAnnouncement& announcement, FileState state,
                              const std::string& path, std::string_view detail) {
  FileTransferRecord record = RecordOf(announcement, deps_.clock->Now());
  record.action = FileTransferRecord::Action::kSettle;
  record.state = state;
  record.path = path;
  record.detail = std::string(detail);
  std::vector<StoreRecord> records;
  records.emplace_back(std::move(record));
  absl::Notification done;
  AppendResult result;
  deps_.store->Append(std::move(records), [&](std::vector<AppendResult> results) {
    result = std::move(results.front());
    done.Notify();
  });
  done.WaitForNotification();
  return result;
}

void Receiver::RemoveSource(const IncomingEntry& entry) {
  const absl::Status removed = folder_->Remove(entry);
  // One that was changed meanwhile is another file.
  if (removed.ok() || absl::IsAborted(removed)) return;
  uint64_t before = 0;
  {
    const absl::MutexLock lock(&mutex_);
    before = info_.not_removed++;
  }
  if (before > 0) return;
  deps_.log->Warning(kComponent, "a file that was taken in cannot be removed",
                     {{"name", entry.name}, {"reason", StdView(removed.message())}});
}

bool Receiver::IsFresh(const IncomingEntry& entry) const {
  const absl::Duration age = deps_.clock->Now() - absl::FromUnixNanos(entry.changed_ns);
  // A clock that was set back would make it so for ever.
  return age > -options_.settle && age < options_.settle;
}

void Receiver::RecheckLater(const std::string& name) {
  const int64_t when = deps_.clock->MonotonicNanos() + absl::ToInt64Nanoseconds(options_.settle);
  {
    const absl::MutexLock lock(&mutex_);
    if (rechecks_.size() >= kMaxRechecks) return;  // The next look finds it.
    rechecks_.emplace(when, name);
  }
  Wake();
}

void Receiver::Answer(const FileAnnouncement& announcement, FileState state,
                      std::string_view detail) const {
  if (!deps_.answer) return;
  FileAnswer answer;
  answer.transfer_id = announcement.transfer_id;
  answer.device_id = announcement.device_id;
  answer.node_id = announcement.node_id;
  answer.state = state;
  answer.sha256 = announcement.file.sha256;
  answer.detail = std::string(detail);
  deps_.answer(answer);
}

}  // namespace viaduct
