#include "core/plugin/file_side.h"

#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"
#include "core/plugin/abi_values.h"
#include "core/plugin/incarnation.h"

namespace viaduct {
namespace {

absl::Status CheckJob(const FileJob& job) {
  if (!absl::StartsWith(job.local_path, "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("file: local path is not absolute, \"", job.local_path, "\""));
  }
  for (const auto part : absl::StrSplit(job.remote_name, '/')) {
    if (part.empty() || part == "." || part == ".." || absl::StrContains(part, '\0')) {
      return absl::InvalidArgumentError(
          absl::StrCat("file: bad remote name, \"", job.remote_name, "\""));
    }
  }
  return absl::OkStatus();
}

FileResult Ended(Outcome outcome, absl::Status status, uint64_t durable_offset) {
  FileResult result;
  result.outcome = outcome;
  result.status = std::move(status);
  result.durable_offset = durable_offset;
  return result;
}

FileResult Stopped(uint64_t durable_offset) {
  return Ended(Outcome::kCancelled, absl::CancelledError("the instance stopped"), durable_offset);
}

}  // namespace

FileSide::FileSide(Incarnation* owner) : owner_(owner), transfers_(owner->limits().max_jobs) {}

uint32_t FileSide::LaneOf(uint64_t ticket) const {
  return static_cast<uint32_t>(ticket % owner_->lane_count());
}

size_t FileSide::Credit() {
  uint32_t credit = 0;
  if (owner_->tables().file == nullptr || !owner_->delivering()) return 0;
  owner_->Enter("credit", [&] { credit = owner_->tables().file->credit(owner_->instance()); });
  return std::min<size_t>(credit, owner_->limits().max_jobs - transfers_.size());
}

absl::StatusOr<uint64_t> FileSide::Begin(FileJob job, FileProgressFn progress, FileDoneFn done) {
  VD_RETURN_IF_ERROR(CheckJob(job));
  if (owner_->tables().file == nullptr || !owner_->delivering()) {
    return absl::UnavailableError(absl::StrCat("file: ", owner_->name(), " moves no files now"));
  }
  const uint64_t ticket = owner_->services().NextTicket();
  const uint64_t offset = job.offset;
  if (!transfers_.Add(ticket, {std::move(progress), std::move(done), offset})) {
    return absl::ResourceExhaustedError(
        absl::StrCat("file: ", owner_->name(), " has too many transfers, ", transfers_.size()));
  }
  const int64_t deadline =
      job.limit == absl::InfiniteDuration()
          ? 0
          : owner_->services().clock->MonotonicNanos() + absl::ToInt64Nanoseconds(job.limit);
  const uint32_t lane = LaneOf(ticket);
  const bool posted = owner_->PostToLane(
      lane, "begin",
      [this, ticket, lane, job = std::move(job), deadline] { Send(ticket, lane, job, deadline); });
  Transfer refused;
  if (!posted && transfers_.Take(ticket, &refused)) {
    return absl::ResourceExhaustedError(absl::StrCat("file: ", owner_->name(), " has a full lane"));
  }
  return ticket;
}

void FileSide::Send(uint64_t ticket, uint32_t lane, const FileJob& job, int64_t deadline_ns) {
  if (!owner_->delivering()) {  // It waited on the lane until drain began.
    Finish(ticket, Stopped(job.offset));
    return;
  }
  const std::vector<vd_attr> attributes = ToAbi(job.attributes);
  vd_file_job out{};
  out.struct_size = sizeof(out);
  out.direction = job.direction == FileJob::Direction::kSend ? VD_FILE_SEND : VD_FILE_RECEIVE;
  out.token = ticket;
  out.local_path = ToAbi(job.local_path);
  out.remote_name = ToAbi(job.remote_name);
  out.sha256 = ToAbi(job.sha256);
  out.size = job.size;
  out.offset = job.offset;
  out.max_bytes_per_second = job.max_bytes_per_second;
  out.deadline_ns = deadline_ns;
  out.attributes = attributes.data();
  out.attribute_count = attributes.size();
  out.local_device = job.local_device;
  out.local_inode = job.local_inode;
  vd_error error = NewError();
  int32_t code = VD_INTERNAL;
  owner_->Guarded("begin", [&] {
    code = owner_->tables().file->begin(owner_->instance(), lane, &out, &error);
  });
  if (code == VD_OK) return;
  const Outcome outcome = code == VD_INVALID_ARGUMENT ? Outcome::kReject : Outcome::kRetry;
  Finish(ticket, Ended(outcome, StatusOf("begin", code, error), job.offset));
}

bool FileSide::Finish(uint64_t ticket, FileResult result) {
  Transfer transfer;
  if (!transfers_.Take(ticket, &transfer)) return false;
  transfer.done(std::move(result));
  return true;
}

void FileSide::Cancel(uint64_t ticket) {
  const uint32_t lane = LaneOf(ticket);
  owner_->PostToLane(lane, "cancel", [this, ticket, lane] {
    owner_->Guarded("cancel",
                    [&] { owner_->tables().file->cancel(owner_->instance(), lane, ticket); });
  });
}

// On one lane, in order. A plugin that refuses has been asked: its leftovers go by their age.
absl::Status FileSide::Discard(FileLeftover leftover) {
  constexpr uint32_t kLane = 0;
  if (owner_->tables().discard == nullptr) {
    return absl::UnimplementedError(absl::StrCat("discard: ", owner_->name(), " does not"));
  }
  if (!owner_->delivering()) {
    return absl::UnavailableError(absl::StrCat("discard: ", owner_->name(), " does nothing now"));
  }
  const bool posted = owner_->PostToLane(kLane, "discard", [this, leftover = std::move(leftover)] {
    if (!owner_->delivering()) return;
    vd_leftover out{};
    out.struct_size = sizeof(out);
    out.remote_name = ToAbi(leftover.remote_name);
    out.sha256 = ToAbi(leftover.sha256);
    vd_error error = NewError();
    owner_->Guarded("discard", [&] {
      owner_->tables().discard->discard(owner_->instance(), kLane, &out, &error);
    });
  });
  if (posted) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("discard: ", owner_->name(), " has a full lane"));
}

void FileSide::CancelAll() {
  for (Transfer& transfer : transfers_.Close()) {
    transfer.done(Stopped(transfer.durable_offset));
  }
}

void FileSide::OnProgress(const vd_host* host, uint64_t token, uint64_t moved, uint64_t durable) {
  HostEntry entry(host);
  if (!entry || !entry->answering()) return;
  FileProgressFn progress;
  const bool known = entry->file_side().transfers_.With(token, [&](Transfer& transfer) {
    transfer.durable_offset = std::max(transfer.durable_offset, durable);
    progress = transfer.progress;
  });
  if (!known) Counters::Add(&entry->counters().unknown_tokens, 1);
  if (progress) progress(moved, durable);
}

void FileSide::OnDone(const vd_host* host, const vd_file_result* result) {
  HostEntry entry(host);
  if (!entry) return;
  vd_file_result theirs;
  if (!entry->answering() || !ReadStruct(result, &theirs)) return entry->CountRefused();
  FileResult ours;
  if (!ReadOutcome(theirs.outcome, &ours.outcome)) entry->CountRefused();
  ours.durable_offset = theirs.durable_offset;
  ours.sha256 = ShortText(theirs.sha256, 64);
  if (ours.outcome != Outcome::kDurable) {
    ours.status =
        StatusOf(theirs.code == VD_OK ? VD_UNKNOWN : theirs.code, ShortText(theirs.detail));
    ours.retry_after = ReadDelay(theirs.retry_after_ns);
  }
  if (!entry->file_side().Finish(theirs.token, std::move(ours))) {
    Counters::Add(&entry->counters().unknown_tokens, 1);
  }
}

const vd_host_file_1* FileSide::Table() {
  static constexpr vd_host_file_1 kTable = {&OnProgress, &OnDone};
  return &kTable;
}

bool FileRoad::ready() const {
  const auto now = current_->get();
  return now != nullptr && now->delivering() && now->tables().file != nullptr;
}

size_t FileRoad::credit() const {
  const auto now = current_->get();
  return now == nullptr ? 0 : now->file_side().Credit();
}

absl::StatusOr<uint64_t> FileRoad::Begin(FileJob job, FileProgressFn progress, FileDoneFn done) {
  const auto now = current_->get();
  if (now == nullptr) return absl::UnavailableError("file: the instance does not run");
  return now->file_side().Begin(std::move(job), std::move(progress), std::move(done));
}

absl::Status FileRoad::Discard(FileLeftover leftover) {
  const auto now = current_->get();
  if (now == nullptr) return absl::UnavailableError("discard: the instance does not run");
  return now->file_side().Discard(std::move(leftover));
}

void FileRoad::Cancel(uint64_t ticket) {
  if (const auto now = current_->get()) now->file_side().Cancel(ticket);
}

}  // namespace viaduct
