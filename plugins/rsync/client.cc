#include "plugins/rsync/client.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct::rsync {
namespace {

constexpr int kIdleWaitMs = 500;  // Clocks are looked at so often at least.
constexpr int kGatherWaitMs = 1;

}  // namespace

Client::Client(ClientOptions options, Events events)
    : options_(std::move(options)), events_(std::move(events)) {}

Client::~Client() { Stop(); }

absl::Status Client::Start() {
  const absl::Status opened = thread_.Open();
  if (!opened.ok()) return opened;
  thread_.Start([this] { Run(); });
  return absl::OkStatus();
}

void Client::Stop() {
  stopping_.store(true);
  Wake();
  thread_.Stop();
}

void Client::Wake() const { thread_.Wake(); }

ClientStats Client::stats() const {
  absl::MutexLock lock(&mutex_);
  return stats_;
}

void Client::Run() {
  absl::StatusOr<std::unique_ptr<Staging>> staging = Staging::Make(options_.server);
  if (staging.ok()) {
    staging_ = *std::move(staging);
    StartSession();
    first_session_ = session_ != nullptr;
    run_deadline_ns_ = MonotonicNs() + absl::ToInt64Nanoseconds(options_.server.connect_timeout +
                                                                options_.server.answer_timeout);
    if (!first_session_) Greet();
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
  WatchSession(now);
  AdvanceProbe(now);
  if (failed_.ok()) Poll();
}

void Client::TakeMail() {
  FileDoor::Mail mail = door_.Take();
  if (waiting_.empty() && !mail.begun.empty()) gather_until_ns_ = MonotonicNs() + kGatherNs;
  for (FileJob& job : mail.begun) waiting_.push_back(std::move(job));
  for (const uint64_t token : mail.cancelled) CancelNow(token);
  for (FileLeftover& leftover : mail.leftovers) {
    if (leftovers_.size() < kMaxLeftovers) leftovers_.push_back(std::move(leftover.remote_name));
  }
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
  const bool waits = child_ != nullptr || first_session_;
  if (!waits || run_deadline_ns_ == 0 || now_ns < run_deadline_ns_) return;
  Fail(absl::DeadlineExceededError(
      absl::StrCat("server: ", options_.server.host, ", does not answer in time")));
}

void Client::AdvanceProbe(int64_t now_ns) {
  const int64_t deadline = door_.probe_deadline_ns();
  if (deadline == 0) return;
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
  const absl::Status status = banner_->status();  // Which ends with the banner.
  FinishProbe(status, absl::Nanoseconds(MonotonicNs() - probe_begun_ns_));
}

void Client::FinishProbe(const absl::Status& status, absl::Duration round_trip) {
  ProbeCost cost;
  if (banner_ != nullptr) cost.received = banner_->received();
  banner_.reset();
  door_.FinishProbe(status, round_trip, cost);
}

int Client::WaitMs() const {
  if (first_session_) return kReapWaitMs;
  if (child_ == nullptr && (!spoilt_.empty() || RemovesLeftovers())) return 0;
  if (child_ == nullptr) return waiting_.empty() ? kIdleWaitMs : kGatherWaitMs;
  const bool quiet = child_->out() < 0 && child_->err() < 0;
  return quiet ? kReapWaitMs : kRunWaitMs;
}

void Client::Poll() {
  pollfd watched[5] = {{thread_.descriptor(), POLLIN, 0}};
  nfds_t count = 1;
  if (child_ != nullptr) {
    watched[count++] = {child_->out(), POLLIN, 0};
    watched[count++] = {child_->err(), POLLIN, 0};
    watched[count++] = {child_->in(), POLLOUT, 0};
  }
  if (banner_ != nullptr) watched[count++] = {banner_->fd(), banner_->events(), 0};
  const int ready = poll(watched, count, WaitMs());
  if (ready > 0 && watched[0].revents != 0) thread_.Clear();
}

void Client::Finish() {
  const bool in_order = failed_.ok();
  EndChild();
  session_.reset();
  const FileOutcome outcome = in_order ? FileOutcome::kCancelled : FileOutcome::kRetry;
  const absl::Status why = in_order
                               ? absl::CancelledError("file: the instance is stopped")
                               : absl::Status(absl::StatusCode::kUnavailable, failed_.message());
  for (FileJob& job : door_.Close(failed_)) waiting_.push_back(std::move(job));
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
  door_.Ended();
  if (outcome == FileOutcome::kDurable) {
    absl::MutexLock lock(&mutex_);
    ++stats_.files;
  }
  events_.on_end(end);
}

}  // namespace viaduct::rsync
