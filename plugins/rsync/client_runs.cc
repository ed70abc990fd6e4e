#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "plugins/rsync/client.h"
#include "plugins/rsync/own_folder.h"

// Of the client: the runs of rsync, one after the other.
namespace viaduct::rsync {
// Makes the folder of our own, and clears it of what a killed server process has left.
void Client::Greet() {
  StartRun(RunKind::kGreet, ListOf({staging_->paths().own + "/"}), MonotonicNs());
}

void Client::StartNext(int64_t now_ns) {
  if (!spoilt_.empty()) return StartRemove(now_ns);
  if (RemovesLeftovers()) return StartRemoveLeftovers(now_ns);
  if (now_ns < gather_until_ns_) return;
  TakeBatch();
  if (batch_.empty() || stopping_.load()) return;
  MakeSeeds();
  if (seeds_.empty()) return StartSend(now_ns);
  if (failed_.ok()) StartRun(RunKind::kSeed, ListOf(seeds_), now_ns);
}

// That all runs share. Where there is none they have to connect, each by itself.
void Client::StartSession() {
  const bool fits = staging_->paths().session.size() <= kMaxSocketPath;
  if (options_.server.daemon || !fits || session_ != nullptr || sessions_ >= kMaxSessions) return;
  ++sessions_;
  session_err_.clear();
  absl::StatusOr<std::unique_ptr<Child>> session =
      Child::Start(SessionArgumentsOf(staging_->paths()), staging_->environment(), "");
  if (session.ok()) session_ = *std::move(session);
}

void Client::WatchSession(int64_t now_ns) {
  if (session_ == nullptr) return;
  std::string ignored;
  session_->Move(&ignored, &session_err_);
  if (session_err_.size() > kMaxErrBytes) session_err_.erase(0, session_err_.size() - kMaxErrBytes);
  session_->Advance(now_ns);
  int status = 0;
  if (session_->Ended(&status)) return OnSessionEnded(status);
  if (!first_session_ || access(staging_->paths().session.c_str(), F_OK) != 0) return;
  first_session_ = false;
  Greet();
}

// A later one is begun with the next run, which connects by itself.
void Client::OnSessionEnded(int wait_status) {
  session_.reset();
  if (!std::exchange(first_session_, false)) return;
  const RunEnd end = ReadRunEnd(wait_status, session_err_);
  Fail(end.status.ok() ? absl::UnavailableError("ssh: it ended") : end.status);
}

void Client::StartSend(int64_t now_ns) {
  StartSession();
  plan_.max_bytes_per_second = batch_.front().job.max_bytes_per_second;
  {
    absl::MutexLock lock(&mutex_);
    ++stats_.runs;
  }
  StartRun(RunKind::kSend, ListOf(NamesOf(batch_)), now_ns);
}

// What the server has of it under another name as well.
void Client::StartRemove(int64_t now_ns) {
  std::vector<std::string> names = NamesOf(spoilt_);
  for (const Item& item : spoilt_) names.push_back(PartOf(item.job.remote_name));
  for (const std::string& name : names) Fail(staging_->MakeFolder(name));
  if (failed_.ok()) StartRun(RunKind::kRemove, ListOf(names), now_ns);
}

// When nothing else waits, or there are many.
bool Client::RemovesLeftovers() const {
  if (leftovers_.empty() || MonotonicNs() < leftovers_due_ns_) return false;
  return waiting_.empty() || leftovers_.size() >= kUrgentLeftovers;
}

// The part of a name has whatever content: somebody may be about to go on with it.
bool Client::IsWanted(const std::string& remote_name) const {
  const auto has_name = [&](const FileJob& job) { return job.remote_name == remote_name; };
  return std::any_of(waiting_.begin(), waiting_.end(), has_name) ||
         std::any_of(batch_.begin(), batch_.end(),
                     [&](const Item& item) { return has_name(item.job); });
}

void Client::StartRemoveLeftovers(int64_t now_ns) {
  std::vector<std::string> parts;
  for (const std::string& name : std::exchange(leftovers_, {})) {
    if (IsWanted(name)) continue;
    parts.push_back(PartOf(name));
    Fail(staging_->MakeFolder(parts.back()));
  }
  if (parts.empty() || !failed_.ok()) return;
  removes_leftovers_ = true;
  StartRun(RunKind::kRemove, ListOf(parts), now_ns);
}

// The part of a large file is there before it, so that a server process that is killed has written
// into it what had come.
void Client::MakeSeeds() {
  for (const Item& item : batch_) {
    if (item.job.size < kWindowBytes) continue;
    seeds_.push_back(PartOf(item.job.remote_name));
    Fail(staging_->Seed(seeds_.back()));
  }
}

// Of one limit, and no name is there twice.
bool Client::Takes(const FileJob& job) const {
  return std::all_of(batch_.begin(), batch_.end(), [&](const Item& item) {
    return item.job.max_bytes_per_second == job.max_bytes_per_second &&
           item.job.remote_name != job.remote_name;
  });
}

void Client::TakeBatch() {
  std::deque<FileJob> still;
  for (FileJob& job : std::exchange(waiting_, {})) {
    if (stopping_.load() || !Takes(job)) {
      still.push_back(std::move(job));
    } else {
      AddToBatch(std::move(job));
    }
  }
  waiting_ = std::move(still);
}

void Client::AddToBatch(FileJob job) {
  absl::StatusOr<Item> item = OpenItem(job, stopping_);
  if (!item.ok()) {
    const absl::Status& why = item.status();
    if (absl::IsCancelled(why)) return EndJob(job, FileOutcome::kCancelled, why);
    const bool again = absl::IsDataLoss(why);
    return EndJob(job, again ? FileOutcome::kRetry : FileOutcome::kReject, why);
  }
  const absl::Status linked = staging_->Link(job.remote_name, item->file.fd());
  if (!linked.ok()) return EndJob(job, FileOutcome::kRetry, linked);
  batch_.push_back(*std::move(item));
}

void Client::StartRun(RunKind kind, std::string input, int64_t now_ns) {
  plan_.kind = kind;
  err_.clear();
  progress_ = Progress();
  const ServerOptions& server = options_.server;
  run_deadline_ns_ =
      kind == RunKind::kSend
          ? 0
          : now_ns + absl::ToInt64Nanoseconds(server.connect_timeout + server.answer_timeout);
  absl::StatusOr<std::unique_ptr<Child>> child = Child::Start(
      ArgumentsOf(server, staging_->paths(), plan_), staging_->environment(), std::move(input));
  if (!child.ok()) return Fail(child.status());
  child_ = *std::move(child);
  running_.store(child_->pid());
}

void Client::Listen(int64_t now_ns) {
  std::string out;
  child_->Move(&out, &err_);
  if (err_.size() > kMaxErrBytes) err_.erase(0, err_.size() - kMaxErrBytes);
  progress_.Feed(out);
  child_->Advance(now_ns);
  if (plan_.kind == RunKind::kSend) {
    if (!out.empty()) TellProgress();
    TakeArrived();
  }
  int status = 0;
  if (child_->Ended(&status)) EndRun(status);
}

// rsync counts all files together and sends them in the order of their names.
void Client::TellProgress() {
  std::vector<Item*> in_order;
  for (Item& item : batch_) in_order.push_back(&item);
  std::sort(in_order.begin(), in_order.end(),
            [](const Item* a, const Item* b) { return a->job.remote_name < b->job.remote_name; });
  uint64_t left = progress_.moved() - std::min(progress_.moved(), arrived_bytes_);
  for (Item* item : in_order) {
    const uint64_t moved = std::min(left, item->job.size);
    left -= moved;
    if (moved <= item->told) continue;
    item->told = moved;
    events_.on_progress(item->job.token, moved, 0);
  }
}

// A link is gone: the server has the file under its name, and synced.
void Client::TakeArrived() {
  for (size_t i = 0; i < batch_.size();) {
    Item& item = batch_[i];
    if (staging_->Linked(item.job.remote_name)) {
      ++i;
      continue;
    }
    arrived_bytes_ += item.job.size;
    const absl::Status same = CheckItem(item, stopping_);
    if (same.ok()) {
      EndJob(item.job, FileOutcome::kDurable, same, item.digest);
    } else if (absl::IsCancelled(same) || absl::IsDataLoss(same)) {
      EndJob(item.job, FileOutcome::kRetry, same);
    } else {
      item.changed = same;
      spoilt_.push_back(std::move(item));
    }
    batch_.erase(batch_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

void Client::EndRun(int wait_status) {
  const bool by_us = child_->terminated();
  if (by_us) leftovers_due_ns_ = MonotonicNs() + kLeftoversAfterNs;
  child_.reset();
  running_.store(0);
  RunEnd end;
  end.status = absl::CancelledError("rsync: it was ended for another file");
  if (!by_us) end = ReadRunEnd(wait_status, err_);
  switch (plan_.kind) {
    case RunKind::kGreet:
      return OnGreeted(end);
    case RunKind::kSeed:
      return OnSeeded(end);
    case RunKind::kSend:
      return OnSent(end);
    case RunKind::kRemove:
      return OnRemoved(end);
  }
}

void Client::OnGreeted(const RunEnd& end) {
  if (end.no_fsync && plan_.fsync) {
    plan_.fsync = false;
    return Greet();
  }
  if (!end.status.ok()) {
    const bool denied = absl::IsPermissionDenied(end.status);
    return Fail(denied ? absl::FailedPreconditionError(end.status.message()) : end.status);
  }
  door_.Open(options_.max_transfers);
  events_.on_ready(plan_.fsync);
}

// What it could not make is told when the file itself is sent.
void Client::OnSeeded(const RunEnd& end) {
  for (const std::string& seed : std::exchange(seeds_, {})) staging_->Unlink(seed);
  if (end.session) return Fail(end.status);
  if (!batch_.empty()) StartSend(MonotonicNs());
}

void Client::OnSent(const RunEnd& end) {
  {
    absl::MutexLock lock(&mutex_);
    stats_.sent_bytes += progress_.sent();
  }
  arrived_bytes_ = 0;
  if (end.session) return Fail(end.status);
  const bool cut = absl::IsCancelled(end.status);
  const absl::Status why =
      end.status.ok() ? absl::UnavailableError("rsync: left it out") : end.status;
  for (Item& item : std::exchange(batch_, {})) {
    staging_->Unlink(item.job.remote_name);
    const absl::Status same = CheckItem(item, stopping_);
    if (absl::IsAborted(same)) {
      item.changed = same;
      spoilt_.push_back(std::move(item));
    } else if (cut && same.ok()) {
      waiting_.push_front(std::move(item.job));
    } else {
      EndJob(item.job, FileOutcome::kRetry, same.ok() ? why : same);
    }
  }
}

void Client::OnRemoved(const RunEnd& end) {
  if (end.session) return Fail(end.status);
  if (std::exchange(removes_leftovers_, false)) return;  // As far as that went.
  for (const Item& item : std::exchange(spoilt_, {})) {
    // As long as it may be there, the job is not over.
    const bool gone = end.status.ok();
    EndJob(item.job, gone ? FileOutcome::kReject : FileOutcome::kRetry,
           gone ? item.changed : end.status);
  }
}

// With its connection; what the server has of a file stays there, to be gone on with.
void Client::EndChild() {
  if (child_ == nullptr) return;
  int status = 0;
  child_->Terminate(MonotonicNs());
  while (!child_->Ended(&status)) {
    std::string ignored;
    child_->Move(&ignored, &ignored);
    child_->Advance(MonotonicNs());
    pollfd watched[2] = {{child_->out(), POLLIN, 0}, {child_->err(), POLLIN, 0}};
    const bool quiet = child_->out() < 0 && child_->err() < 0;
    poll(watched, 2, quiet ? kReapWaitMs : kRunWaitMs);
  }
  child_.reset();
  running_.store(0);
}

}  // namespace viaduct::rsync
