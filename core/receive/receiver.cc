#include "core/receive/receiver.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/disk_files.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/base/thread_policy.h"
#include "core/receive/incoming_parts.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "incoming";
constexpr const char* kStaging = "/.arrived";
constexpr size_t kQueuedChecks = 1'024;
constexpr size_t kLoggedNames = 10;
constexpr int64_t kNanosPerMs = 1'000'000;

std::string Named(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kLoggedNames);
  return absl::StrJoin(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", ");
}

}  // namespace

Receiver::Receiver(ReceiverOptions options, Deps deps)
    : options_(std::move(options)),
      deps_(std::move(deps)),
      checks_(ThreadPool::Options{"incoming", std::max(1, options_.arrivals.max_checks),
                                  kQueuedChecks}),
      lookups_(ThreadPool::Options{"incoming-asked", 1, kMaxLookups}) {}

absl::StatusOr<std::unique_ptr<Receiver>> Receiver::Start(ReceiverOptions options, Deps deps) {
  auto receiver = absl::WrapUnique(new Receiver(std::move(options), std::move(deps)));
  VD_RETURN_IF_ERROR(receiver->Open());
  Receiver* const self = receiver.get();
  self->arrivals_ = std::make_unique<Arrivals>(
      self->options_.arrivals,
      [self](const FileAnnouncement& announcement, std::function<void(absl::Status)> done) {
        // There are never more of them than the pool has room for.
        self->checks_.Submit(
            [self, announcement, done = std::move(done)] { done(self->Check(announcement)); });
      });
  self->thread_ = std::thread([self] { self->Loop(); });
  return receiver;
}

absl::Status Receiver::Open() {
  VD_ASSIGN_OR_RETURN(folder_, IncomingFolder::Open(options_.folder));
  const uint64_t min_free = options_.cleanup.min_free_bytes;
  VD_ASSIGN_OR_RETURN(files_, OwnedFolder::Open(options_.files, min_free));
  VD_ASSIGN_OR_RETURN(staging_,
                      OwnedFolder::Open(deps_.images->options().root + kStaging, min_free));
  // What a crash has left there is copied again.
  for (const std::string& id : staging_->List()) VD_RETURN_IF_ERROR(staging_->Remove(id));
  news_ = std::make_unique<Descriptor>(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (news_->get() < 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("incoming: no descriptor, ", std::strerror(errno)));
  }
  absl::StatusOr<std::unique_ptr<IncomingWatch>> watch =
      IncomingWatch::Start(folder_.get(), options_.watch);
  if (watch.ok()) {
    watch_ = *std::move(watch);
    return absl::OkStatus();
  }
  deps_.log->Warning(kComponent, "files are found by looking through the folder alone",
                     {{"reason", StdView(watch.status().message())}});
  const absl::MutexLock lock(&mutex_);
  info_.watched = false;
  return absl::OkStatus();
}

Receiver::~Receiver() { Stop(); }

void Receiver::Stop() {
  if (stopping_.exchange(true)) return;
  if (thread_.joinable()) {
    Wake();
    thread_.join();
  }
  lookups_.Stop();
  // What is being compared is waited for while its pool still runs.
  if (arrivals_ != nullptr) arrivals_->Stop();
  checks_.Stop();
}

void Receiver::OnAnnounced(const FileAnnouncement& announcement, bool known) {
  if (stopping_.load()) return;
  // One that is not taken is told of again, or taken up by a later look.
  if (known) {
    lookups_.Submit([this, announcement] { LookUp(announcement); });
  } else {
    arrivals_->Announce(announcement).IgnoreError();
  }
}

// It may have been settled before.
void Receiver::LookUp(const FileAnnouncement& announcement) {
  const absl::StatusOr<FileTransferRow> row =
      deps_.store->GetFileTransfer(announcement.transfer_id);
  if (!row.ok()) return;
  FileAnnouncement now = AnnouncementOf(row->record);
  if (row->record.state == FileState::kStored) {
    return Answer(now, FileState::kStored, row->record.detail);
  }
  const absl::Status waits = arrivals_->Announce(now);
  Answer(now, FileState::kWaiting, StdView(waits.message()));
}

void Receiver::Wake() {
  const uint64_t one = 1;
  // A counter that is full wakes as well.
  [[maybe_unused]] const ssize_t written = ::write(news_->get(), &one, sizeof(one));
}

void Receiver::Loop() {
  SetThreadName("incoming-watch");
  while (!stopping_.load()) {
    const int64_t now = deps_.clock->MonotonicNanos();
    if (now >= next_look_ns_) LookThrough();
    if (now >= next_cleanup_ns_) CleanUp();
    HintRechecks();
    AwaitNews();
  }
}

int64_t Receiver::NextWork() const {
  const absl::MutexLock lock(&mutex_);
  const int64_t next = std::min(next_look_ns_, next_cleanup_ns_);
  return rechecks_.empty() ? next : std::min(next, rechecks_.begin()->first);
}

void Receiver::AwaitNews() {
  const int64_t left = NextWork() - deps_.clock->MonotonicNanos();
  pollfd waited[2] = {{news_->get(), POLLIN, 0},
                      {watch_ != nullptr ? watch_->descriptor() : -1, POLLIN, 0}};
  ::poll(waited, 2, static_cast<int>(std::clamp<int64_t>(left / kNanosPerMs + 1, 0, 60'000)));
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(news_->get(), &count, sizeof(count));
  if (watch_ == nullptr || (waited[1].revents & POLLIN) == 0) return;
  const bool all = watch_->Read([this](const std::string& name) { arrivals_->Hint(name); });
  if (all) return;
  const int64_t soon = deps_.clock->MonotonicNanos() + absl::ToInt64Nanoseconds(kMinRescan);
  next_look_ns_ = std::min(next_look_ns_, soon);
}

void Receiver::LookThrough() {
  next_look_ns_ = deps_.clock->MonotonicNanos() + absl::ToInt64Nanoseconds(options_.rescan);
  TakeUpWaiting();
  size_t unannounced = 0;
  std::vector<std::string> names;
  const auto file = [&](const IncomingEntry& entry) {
    if (arrivals_->WaitingFor(entry.name) > 0) return arrivals_->Hint(entry.name);
    if (IsFresh(entry)) return;
    ++unannounced;
    if (names.size() < kMaxNamed) names.push_back(entry.name);
  };
  IncomingScan scan;
  if (watch_ != nullptr) {
    scan = watch_->Look(file);
  } else {
    scan = folder_->Scan("", IncomingVisitor{nullptr, file});
  }
  if (!scan.complete) deps_.log->Warning(kComponent, "a folder could not be read to its end", {});
  bool more_cut = false;
  bool more_unannounced = false;
  const std::string some = Named(names);
  {
    const absl::MutexLock lock(&mutex_);
    more_cut = scan.cut.size() > info_.cut.size();
    more_unannounced = unannounced > info_.unannounced;
    info_.files = scan.files;
    info_.cut = scan.cut;
    info_.unannounced = unannounced;
    info_.unannounced_names = std::move(names);
    info_.unwatched = watch_ != nullptr ? watch_->unwatched() : 0;
  }
  if (more_unannounced) {
    deps_.log->Info(kComponent, "there are files that nobody has announced",
                    {{"files", absl::StrCat(unannounced)}, {"names", some}});
  }
  if (!more_cut) return;
  deps_.log->Warning(kComponent, "devices have more files than are looked at",
                     {{"devices", Named(scan.cut)}});
}

// After a start, and what others have written or for what there was no room: a part in each look,
// then from the beginning again.
void Receiver::TakeUpWaiting() {
  FileTransfersQuery query;
  query.state = FileState::kWaiting;
  query.limit = kMaxPageRows;
  for (int page = 0; page < kMaxPages && !stopping_.load(); ++page) {
    query.after = taken_up_;
    const absl::StatusOr<std::vector<FileTransferRow>> rows = deps_.store->ListFileTransfers(query);
    if (!rows.ok()) return;  // The next look asks again; the store says in its health what it is.
    for (const FileTransferRow& row : *rows) {
      if (!TakeUp(row)) return;
      taken_up_ = row.number;
    }
    if (rows->size() == static_cast<size_t>(kMaxPageRows)) continue;
    taken_up_ = 0;
    return;
  }
}

// False: there is no more room.
bool Receiver::TakeUp(const FileTransferRow& row) {
  const FileAnnouncement announcement = AnnouncementOf(row.record);
  if (deps_.clock->Now() - row.announced_at > options_.wait) {
    Expire(announcement);
    return true;
  }
  const absl::Status taken = arrivals_->Announce(announcement);
  return taken.ok() || arrivals_->waiting() < options_.arrivals.max_waiting;
}

void Receiver::Expire(const FileAnnouncement& announcement) {
  const std::string why =
      absl::StrCat("the file did not come within ", absl::FormatDuration(options_.wait));
  const AppendResult settled = Settle(announcement, FileState::kFailed, "", why);
  if (!settled.status.ok() || settled.duplicate) return;
  arrivals_->Forget(announcement.transfer_id);
  {
    const absl::MutexLock lock(&mutex_);
    ++info_.failed;
    ++info_.expired;
  }
  Answer(announcement, FileState::kFailed, why);
}

void Receiver::CleanUp() {
  next_cleanup_ns_ = deps_.clock->MonotonicNanos() + absl::ToInt64Nanoseconds(kCleanupEvery);
  IncomingCleanupDeps deps;
  deps.in_use = [this](const IncomingEntry& entry) {
    return arrivals_->WaitingFor(entry.name) > 0;
  };
  deps.free_bytes = [this] { return disk::FreeBytes(folder_->root()); };
  const absl::Time now = deps_.clock->Now();
  IncomingCleanupResult result = CleanUpIncoming(*folder_, options_.cleanup, deps, now);
  const size_t parts = RemoveOldParts(*folder_, now - options_.keep_parts);
  if (result.removed_files > 0) {
    deps_.log->Info(kComponent, "files were removed to make room",
                    {{"files", absl::StrCat(result.removed_files)},
                     {"bytes", absl::StrCat(result.removed_bytes)},
                     {"over_quota", Named(result.over_quota)}});
  }
  const absl::MutexLock lock(&mutex_);
  info_.removed_files += result.removed_files;
  info_.removed_parts += parts;
  info_.not_removed += result.failed;
  info_.over_quota = std::move(result.over_quota);
  info_.short_of_space = result.short_of_space;
}

void Receiver::HintRechecks() {
  std::vector<std::string> due;
  {
    const absl::MutexLock lock(&mutex_);
    const auto end = rechecks_.upper_bound(deps_.clock->MonotonicNanos());
    for (auto it = rechecks_.begin(); it != end; ++it) due.push_back(it->second);
    rechecks_.erase(rechecks_.begin(), end);
  }
  for (const std::string& name : due) arrivals_->Hint(name);
}

ReceiverInfo Receiver::Info() const {
  ReceiverInfo info;
  {
    const absl::MutexLock lock(&mutex_);
    info = info_;
  }
  info.waiting = arrivals_->waiting();
  return info;
}

}  // namespace viaduct
