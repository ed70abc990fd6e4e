#include "core/security/audit_log.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/status_macros.h"

namespace viaduct::security {
namespace {

AuditRecord OwnRecord(std::string what, std::string result) {
  AuditRecord record;
  record.who = "audit";
  record.what = std::move(what);
  record.result = std::move(result);
  return record;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AuditLog>> AuditLog::Open(const std::string& folder,
                                                         const AuditFileOptions& options,
                                                         const Clock* clock) {
  VD_ASSIGN_OR_RETURN(std::unique_ptr<AuditFile> file, AuditFile::Open(folder, options));
  const std::string mended = file->mended();
  std::unique_ptr<AuditLog> log(new AuditLog(folder, std::move(file), clock));
  if (!mended.empty()) {
    VD_RETURN_IF_ERROR(log->AppendDurably(OwnRecord("mended", mended)));
  }
  return log;
}

AuditLog::AuditLog(std::string folder, std::unique_ptr<AuditFile> file, const Clock* clock)
    : folder_(std::move(folder)),
      clock_(clock),
      file_(std::move(file)),
      head_(file_->head()),
      thread_([this] { Run(); }) {}

AuditLog::~AuditLog() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

bool AuditLog::Queue(Item item) {
  absl::MutexLock lock(&mutex_);
  if (queue_.size() >= kMaxQueued) {
    ++dropped_;
    ++untold_;
    return false;
  }
  queue_.push_back(std::move(item));
  return true;
}

bool AuditLog::Append(AuditRecord record) { return Queue({std::move(record), nullptr}); }

void AuditLog::AppendThen(AuditRecord record, DoneFn done) {
  if (Queue({std::move(record), done})) return;
  done(absl::ResourceExhaustedError("audit: too many records wait for the disk"));
}

absl::Status AuditLog::AppendDurably(AuditRecord record) {
  absl::Notification settled;
  absl::Status outcome;
  AppendThen(std::move(record), [&](const absl::Status& status) {
    outcome = status;
    settled.Notify();
  });
  settled.WaitForNotification();
  return outcome;
}

absl::Status AuditLog::WriteBatch(const std::vector<Item>& batch, uint64_t dropped) {
  AuditHead head = file_->head();
  std::string lines;
  for (const Item& item : batch) {
    lines += audit::WriteLine(item.record, clock_->Now(), &head);
  }
  if (dropped > 0) {
    const std::string text = absl::StrCat(dropped, " records could not be kept");
    lines += audit::WriteLine(OwnRecord("dropped", text), clock_->Now(), &head);
  }
  return file_->Append(lines, head);
}

void AuditLog::Settle(const std::vector<Item>& batch, const absl::Status& status, uint64_t untold) {
  {
    absl::MutexLock lock(&mutex_);
    head_ = file_->head();
    if (!status.ok()) {
      dropped_ += batch.size();
      untold_ += batch.size() + untold;
    }
  }
  for (const Item& item : batch) {
    if (item.done != nullptr) item.done(status);
  }
}

void AuditLog::Run() {
  while (true) {
    std::vector<Item> batch;
    uint64_t untold = 0;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &AuditLog::HasWork));
      if (queue_.empty()) return;
      batch.swap(queue_);
      untold = std::exchange(untold_, 0);
    }
    Settle(batch, WriteBatch(batch, untold), untold);
  }
}

AuditHead AuditLog::head() const {
  absl::MutexLock lock(&mutex_);
  return head_;
}

uint64_t AuditLog::dropped() const {
  absl::MutexLock lock(&mutex_);
  return dropped_;
}

}  // namespace viaduct::security
