#include "plugins/rsync/client.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct::rsync {
namespace {

constexpr int kIdleWaitMs = 500;  // Clocks are looked at so often at least.
constexpr int kRunWaitMs = 50;    // Links too, while rsync runs.
constexpr int kReapWaitMs = 2;    // It has said all, and is about to end.
constexpr size_t kMaxErrBytes = 16 << 10;

std::string WithNul(std::string text) {
  text += '\0';
  return text;
}

}  // namespace

int64_t MonotonicNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Client::Client(ClientOptions options, Events events)
    : options_(std::move(options)), events_(std::move(events)) {}

Client::~Client() { Stop(); }

absl::Status Client::Start() {
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd_ < 0) return absl::ResourceExhaustedError("eventfd: none left");
  // The host's signals are not for this thread, and a broken pipe is told by write.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return absl::OkStatus();
}

void Client::Stop() {
  stopping_.store(true);
  Wake();
  if (thread_.joinable()) thread_.join();
  if (wake_fd_ >= 0) close(std::exchange(wake_fd_, -1));
}

void Client::Wake() const {
  const uint64_t one = 1;
  // A counter that is full has woken the thread already.
  if (wake_fd_ >= 0 && write(wake_fd_, &one, sizeof(one)) < 0) return;
}

bool Client::Drain(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return held_ == 0; };
  return mutex_.AwaitWithTimeout(absl::Condition(&none), timeout);
}

size_t Client::credit() const {
  absl::MutexLock lock(&mutex_);
  return ready_ && options_.max_transfers > held_ ? options_.max_transfers - held_ : 0;
}

absl::Status Client::Begin(FileJob job) {
  {
    absl::MutexLock lock(&mutex_);
    if (!ready_) return absl::UnavailableError("server: not connected");
    if (held_ >= options_.max_transfers) {
      return absl::ResourceExhaustedError("files: too many are under way");
    }
    ++held_;
    begun_.push_back(std::move(job));
  }
  Wake();
  return absl::OkStatus();
}

void Client::Cancel(uint64_t token) {
  {
    absl::MutexLock lock(&mutex_);
    if (held_ == 0) return;
    cancelled_.push_back(token);
  }
  Wake();
}

bool Client::Probe(absl::Duration limit, ProbeFn done) {
  absl::Status ended;
  {
    absl::MutexLock lock(&mutex_);
    if (probe_) return false;
    if (!over_) {
      probe_ = std::move(done);
      probe_deadline_ns_ = MonotonicNs() + absl::ToInt64Nanoseconds(limit);
    }
    ended = ended_;
  }
  if (done) {
    done(ended.ok() ? absl::CancelledError("probe: stopped") : ended, absl::ZeroDuration());
  }
  Wake();
  return true;
}

ClientStats Client::stats() const {
  absl::MutexLock lock(&mutex_);
  return stats_;
}

void Client::Run() {
  absl::StatusOr<std::unique_ptr<Staging>> staging = Staging::Make(options_.server);
  if (staging.ok()) {
    staging_ = *std::move(staging);
    StartRun(RunKind::kGreet, WithNul(absl::StrCat(kPartialFolder, "/")), MonotonicNs());
  } else {
    Fail(staging.status());
  }
  while (failed_.ok() && !stopping_.load()) Turn();
  Finish();
}

void Client::Fail(const absl::Status& why) {
  if (failed_.ok()) failed_ = why;
}

void Client::Turn() {
  const int64_t now = MonotonicNs();
  TakeMail();
  CheckDeadlines(now);
  if (child_ == nullptr) StartNext(now);
  if (child_ != nullptr) Listen(now);
  AdvanceProbe(now);
  if (failed_.ok()) Poll();
}

void Client::TakeMail() {
  std::vector<uint64_t> cancelled;
  {
    absl::MutexLock lock(&mutex_);
    for (FileJob& job : begun_) waiting_.push_back(std::move(job));
    begun_.clear();
    cancelled.swap(cancelled_);
  }
  for (const uint64_t token : cancelled) CancelNow(token);
}

// The others of its run go with the next one.
void Client::CancelNow(uint64_t token) {
  const absl::Status status = absl::CancelledError("file: cancelled");
  const auto it = std::find_if(waiting_.begin(), waiting_.end(),
                               [&](const FileJob& job) { return job.token == token; });
  if (it != waiting_.end()) {
    const FileJob job = *it;
    waiting_.erase(it);
    return EndJob(job, FileOutcome::kCancelled, status);
  }
  const auto item = std::find_if(batch_.begin(), batch_.end(),
                                 [&](const Item& i) { return i.job.token == token; });
  if (item == batch_.end()) return;
  EndJob(item->job, FileOutcome::kCancelled, status);
  staging_->Unlink(item->job.remote_name);
  batch_.erase(item);
  if (child_ != nullptr) child_->Terminate(MonotonicNs());
}

void Client::CheckDeadlines(int64_t now_ns) {
  const absl::Status status = absl::DeadlineExceededError("file: not sent in time");
  const auto late = [&](const FileJob& job) {
    return job.deadline_ns != 0 && now_ns >= job.deadline_ns;
  };
  for (size_t i = 0; i < waiting_.size();) {
    if (!late(waiting_[i])) {
      ++i;
      continue;
    }
    EndJob(waiting_[i], FileOutcome::kRetry, status);
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (size_t i = 0; i < batch_.size();) {
    if (!late(batch_[i].job)) {
      ++i;
      continue;
    }
    EndJob(batch_[i].job, FileOutcome::kRetry, status);
    staging_->Unlink(batch_[i].job.remote_name);
    batch_.erase(batch_.begin() + static_cast<std::ptrdiff_t>(i));
    if (child_ != nullptr) child_->Terminate(now_ns);
  }
  if (child_ == nullptr || run_deadline_ns_ == 0 || now_ns < run_deadline_ns_) return;
  Fail(absl::DeadlineExceededError(
      absl::StrCat("server: ", options_.server.host, ", does not answer in time")));
}

void Client::StartNext(int64_t now_ns) {
  if (!spoilt_.empty()) {
    for (const Item& item : spoilt_) Fail(staging_->MakeFolder(item.job.remote_name));
    if (failed_.ok()) StartRun(RunKind::kRemove, ListOf(spoilt_), now_ns);
    return;
  }
  TakeBatch();
  if (batch_.empty() || stopping_.load()) return;
  plan_.max_bytes_per_second = batch_.front().job.max_bytes_per_second;
  {
    absl::MutexLock lock(&mutex_);
    ++stats_.runs;
  }
  StartRun(RunKind::kSend, ListOf(batch_), now_ns);
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
    const bool again = absl::IsUnavailable(why);
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
    } else if (absl::IsCancelled(same) || absl::IsUnavailable(same)) {
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
  child_.reset();
  running_.store(0);
  RunEnd end;
  end.status = absl::CancelledError("rsync: it was ended for another file");
  if (!by_us) end = ReadRunEnd(wait_status, err_);
  switch (plan_.kind) {
    case RunKind::kGreet:
      return OnGreeted(end);
    case RunKind::kSend:
      return OnSent(end);
    case RunKind::kRemove:
      return OnRemoved(end);
  }
}

void Client::OnGreeted(const RunEnd& end) {
  if (end.no_fsync && plan_.fsync) {
    plan_.fsync = false;
    return StartRun(RunKind::kGreet, WithNul(absl::StrCat(kPartialFolder, "/")), MonotonicNs());
  }
  if (!end.status.ok()) {
    const bool denied = absl::IsPermissionDenied(end.status);
    return Fail(denied ? absl::FailedPreconditionError(end.status.message()) : end.status);
  }
  {
    absl::MutexLock lock(&mutex_);
    ready_ = true;
  }
  events_.on_ready(plan_.fsync);
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
  for (const Item& item : std::exchange(spoilt_, {})) {
    // As long as it may be there, the job is not over.
    const bool gone = end.status.ok();
    EndJob(item.job, gone ? FileOutcome::kReject : FileOutcome::kRetry,
           gone ? item.changed : end.status);
  }
}

void Client::AdvanceProbe(int64_t now_ns) {
  int64_t deadline = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (!probe_) return;
    deadline = probe_deadline_ns_;
  }
  if (now_ns >= deadline) {
    return FinishProbe(absl::DeadlineExceededError("probe: no answer in time"));
  }
  if (banner_ == nullptr) {
    probe_begun_ns_ = now_ns;
    const ServerOptions& server = options_.server;
    banner_ =
        std::make_unique<Banner>(server.host, server.port, server.daemon ? "@RSYNCD:" : "SSH-");
  }
  if (!banner_->Advance()) return;
  FinishProbe(banner_->status(), absl::Nanoseconds(MonotonicNs() - probe_begun_ns_));
}

void Client::FinishProbe(const absl::Status& status, absl::Duration round_trip) {
  banner_.reset();
  ProbeFn done;
  {
    absl::MutexLock lock(&mutex_);
    done = std::exchange(probe_, nullptr);
  }
  if (done) done(status, round_trip);
}

int Client::WaitMs() const {
  if (child_ == nullptr) return waiting_.empty() && spoilt_.empty() ? kIdleWaitMs : 0;
  const bool quiet = child_->out() < 0 && child_->err() < 0;
  return quiet ? kReapWaitMs : kRunWaitMs;
}

void Client::Poll() {
  pollfd watched[5] = {{wake_fd_, POLLIN, 0}};
  nfds_t count = 1;
  if (child_ != nullptr) {
    watched[count++] = {child_->out(), POLLIN, 0};
    watched[count++] = {child_->err(), POLLIN, 0};
    watched[count++] = {child_->in(), POLLOUT, 0};
  }
  if (banner_ != nullptr) watched[count++] = {banner_->fd(), banner_->events(), 0};
  const int ready = poll(watched, count, WaitMs());
  if (ready <= 0 || watched[0].revents == 0) return;
  uint64_t times = 0;
  // Non-blocking: nothing to read means that somebody was quicker.
  if (read(wake_fd_, &times, sizeof(times)) < 0) times = 0;
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

void Client::Finish() {
  const bool in_order = failed_.ok();
  EndChild();
  const FileOutcome outcome = in_order ? FileOutcome::kCancelled : FileOutcome::kRetry;
  const absl::Status why = in_order
                               ? absl::CancelledError("file: the instance is stopped")
                               : absl::Status(absl::StatusCode::kUnavailable, failed_.message());
  {
    absl::MutexLock lock(&mutex_);
    ready_ = false;
    over_ = true;
    ended_ = failed_;
    for (FileJob& job : begun_) waiting_.push_back(std::move(job));
    begun_.clear();
  }
  for (const Item& item : std::exchange(batch_, {})) EndJob(item.job, outcome, why);
  for (const Item& item : std::exchange(spoilt_, {})) EndJob(item.job, outcome, why);
  for (const FileJob& job : std::exchange(waiting_, {})) EndJob(job, outcome, why);
  FinishProbe(in_order ? absl::CancelledError("probe: stopped") : failed_);
  staging_.reset();
  if (!in_order) events_.on_ended(failed_);
}

void Client::EndJob(const FileJob& job, FileOutcome outcome, const absl::Status& status,
                    const std::string& digest) {
  FileEnd end;
  end.token = job.token;
  end.outcome = outcome;
  end.status = status;
  end.sha256 = digest;
  if (outcome == FileOutcome::kDurable) end.durable_offset = job.size;
  {
    absl::MutexLock lock(&mutex_);
    --held_;
    if (outcome == FileOutcome::kDurable) ++stats_.files;
  }
  events_.on_end(end);
}

}  // namespace viaduct::rsync
