#include "core/security/audit_log.h"

#include <utility>

#include "absl/strings/str_cat.h"
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
  std::unique_ptr<AuditLog> log(new AuditLog(std::move(file), clock));
  if (!mended.empty()) {
    VD_RETURN_IF_ERROR(log->AppendDurably(OwnRecord("mended", mended)));
  }
  return log;
}

AuditLog::AuditLog(std::unique_ptr<AuditFile> file, const Clock* clock)
    : clock_(clock), file_(std::move(file)), head_(file_->head()), thread_([this] { Run(); }) {}

AuditLog::~AuditLog() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

bool AuditLog::Queue(Item item) {
  if (queue_.size() >= kMaxQueued) {
    ++dropped_;
    ++untold_;
    return false;
  }
  queue_.push_back(std::move(item));
  return true;
}

bool AuditLog::Append(AuditRecord record) {
  absl::MutexLock lock(&mutex_);
  return Queue({std::move(record), nullptr});
}

absl::Status AuditLog::AppendDurably(AuditRecord record) {
  Outcome outcome;
  absl::MutexLock lock(&mutex_);
  if (!Queue({std::move(record), &outcome})) {
    return absl::ResourceExhaustedError("audit: too many records wait for the disk");
  }
  mutex_.Await(absl::Condition(&outcome.settled));
  return outcome.status;
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
  absl::MutexLock lock(&mutex_);
  head_ = file_->head();
  for (const Item& item : batch) {
    if (item.outcome != nullptr) *item.outcome = {true, status};
  }
  if (status.ok()) return;
  dropped_ += batch.size();
  untold_ += batch.size() + untold;
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
