#include "core/vision/infer_queue.h"

#include <algorithm>

namespace viaduct {
namespace {

// Of what no instance had.
absl::Status StatusOf(NoResult why) {
  switch (why) {
    case NoResult::kReplaced:
      return absl::DeadlineExceededError("infer: a newer picture took its place");
    case NoResult::kExpired:
      return absl::DeadlineExceededError("infer: no instance took it before its deadline");
    case NoResult::kDown:
      return absl::UnavailableError("infer: none of its instances runs");
    default:
      return absl::CancelledError("infer: nobody wants it any more");
  }
}

NoResult WhyOf(const InferResult& result) {
  switch (result.outcome) {
    case Outcome::kDurable:
      return NoResult::kNone;
    case Outcome::kExpired:
      return NoResult::kLate;
    case Outcome::kReject:
      return NoResult::kRejected;
    default:
      return NoResult::kFailed;
  }
}

}  // namespace

std::string_view NoResultName(NoResult why) {
  static constexpr std::string_view kNames[kNoResults] = {
      "none", "replaced", "expired", "down", "late", "rejected", "failed", "cancelled"};
  return kNames[static_cast<size_t>(why)];
}

struct InferQueue::Waiting {
  uint64_t number = 0;
  int64_t offered_ns = 0;
  InferJob job;
};

struct InferQueue::Pair {
  std::string instance;
  uint64_t given = 0;
  uint64_t results = 0;
  LatencyHistogram inference;
};

// Guarded by the queue's mutex.
struct InferQueue::Line {
  InferLine options;
  std::deque<Waiting> waiting;  // The oldest first.
  size_t given = 0;
  uint64_t turn = 0;  // The last one that it had.
  bool down = false;  // None of its instances ran at the last look.
  uint64_t offered = 0;
  uint64_t results = 0;
  std::array<uint64_t, kNoResults> without{};
  LatencyHistogram latency;
  std::map<std::string, std::shared_ptr<Pair>> pairs;
};

struct InferQueue::Handing {
  uint64_t number = 0;
  std::shared_ptr<Inferer> inferer;
  Frame frame;
  std::string options_json;
};

struct InferQueue::Mailbox {
  void Put(uint64_t job, InferResult result) {
    absl::MutexLock lock(&mutex);
    if (closed) return;
    finished.emplace_back(job, std::move(result));
    woken = true;
  }

  absl::Mutex mutex;
  bool woken ABSL_GUARDED_BY(mutex) = false;
  bool closed ABSL_GUARDED_BY(mutex) = false;
  std::vector<std::pair<uint64_t, InferResult>> finished ABSL_GUARDED_BY(mutex);
};

InferQueue::InferQueue(const Clock* clock, FindFn find)
    : clock_(clock), find_(std::move(find)), mailbox_(std::make_shared<Mailbox>()) {}

InferQueue::~InferQueue() { Stop(); }

void InferQueue::Start() {
  absl::MutexLock lock(&mutex_);
  thread_ = std::thread([this] {
    SetThreadName("vision");
    Loop();
  });
}

void InferQueue::Loop() {
  while (true) {
    const int64_t next = Turn();
    const absl::Duration wait = absl::Nanoseconds(next - clock_->MonotonicNanos());
    absl::MutexLock lock(&mailbox_->mutex);
    mailbox_->mutex.AwaitWithTimeout(absl::Condition(&mailbox_->woken), wait);
    mailbox_->woken = false;
    if (mailbox_->closed) return;
  }
}

void InferQueue::Wake() {
  absl::MutexLock lock(&mailbox_->mutex);
  mailbox_->woken = true;
}

void InferQueue::Stop() {
  std::thread thread;
  Cancels cancels;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    thread.swap(thread_);
    for (auto& [name, line] : lines_) Empty(line.get(), &cancels);
  }
  for (const auto& [inferer, ticket] : cancels) inferer->Cancel(ticket);
  {
    absl::MutexLock lock(&mailbox_->mutex);
    mailbox_->closed = mailbox_->woken = true;
  }
  if (thread.joinable()) thread.join();
  RunDue();
  RunEnds();
  absl::MutexLock lock(&mutex_);
  tasks_.clear();
}

bool InferQueue::SetLine(const std::string& name, InferLine options) {
  absl::MutexLock lock(&mutex_);
  LinePtr& line = lines_[name];
  if (line == nullptr && lines_.size() > kMaxLines) {
    lines_.erase(name);
    return false;
  }
  if (line == nullptr) line = std::make_shared<Line>();
  std::map<std::string, std::shared_ptr<Pair>> pairs;
  for (const std::string& instance : options.instances) {
    std::shared_ptr<Pair>& pair = pairs[instance];
    pair = line->pairs[instance];
    if (pair == nullptr) pair = std::make_shared<Pair>();
    pair->instance = instance;
  }
  line->pairs = std::move(pairs);
  line->options = std::move(options);
  return true;
}

void InferQueue::RemoveLine(const std::string& name) {
  Cancels cancels;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = lines_.find(name);
    if (found == lines_.end()) return;
    Empty(found->second.get(), &cancels);
    lines_.erase(found);
  }
  for (const auto& [inferer, ticket] : cancels) inferer->Cancel(ticket);
  Wake();
}

void InferQueue::Empty(Line* line, Cancels* cancels) {
  while (!line->waiting.empty()) EndWaiting(line, 0, NoResult::kCancelled);
  for (auto it = given_.begin(); it != given_.end();) {
    if (it->second.line.get() != line) {
      ++it;
      continue;
    }
    cancels->emplace_back(it->second.inferer, it->second.ticket);
    --line->given;
    InferEnd end;
    end.why = NoResult::kCancelled;
    end.status = StatusOf(end.why);
    End(line, std::move(it->second.done), std::move(end));
    it = given_.erase(it);
  }
}

uint64_t InferQueue::Add(const std::string& name, InferJob* job) {
  uint64_t number = 0;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = lines_.find(name);
    if (stopped_ || found == lines_.end()) return 0;
    Line* const line = found->second.get();
    if (line->waiting.size() >= line->options.room) {
      if (!line->options.newest_wins) return 0;
      EndWaiting(line, 0, line->down ? NoResult::kDown : NoResult::kReplaced);
    }
    number = next_job_++;
    ++line->offered;
    line->waiting.push_back({number, clock_->MonotonicNanos(), std::move(*job)});
  }
  Wake();
  return number;
}

void InferQueue::Cancel(uint64_t number) {
  std::shared_ptr<Inferer> inferer;
  uint64_t ticket = 0;
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [name, line] : lines_) {
      for (size_t i = 0; i < line->waiting.size(); ++i) {
        if (line->waiting[i].number != number) continue;
        EndWaiting(line.get(), i, NoResult::kCancelled);
        break;
      }
    }
    const auto found = given_.find(number);
    if (found != given_.end()) {
      inferer = found->second.inferer;
      ticket = found->second.ticket;
      --found->second.line->given;
      InferEnd end;
      end.why = NoResult::kCancelled;
      end.status = StatusOf(end.why);
      End(found->second.line.get(), std::move(found->second.done), std::move(end));
      given_.erase(found);
    }
  }
  if (ticket != 0) inferer->Cancel(ticket);
  Wake();
}

bool InferQueue::RunAfter(absl::Duration delay, Task task) {
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return false;
    tasks_.emplace(clock_->MonotonicNanos() + absl::ToInt64Nanoseconds(delay), std::move(task));
  }
  Wake();
  return true;
}

// ---- one round
// ---------------------------------------------------------------------------------------

int64_t InferQueue::Turn() {
  TakeFinished();
  EndExpired();
  RunDue();
  Give();
  RunEnds();
  return NextLook();
}

void InferQueue::TakeFinished() {
  std::vector<std::pair<uint64_t, InferResult>> finished;
  {
    absl::MutexLock lock(&mailbox_->mutex);
    finished.swap(mailbox_->finished);
  }
  for (auto& [job, result] : finished) EndGiven(job, std::move(result));
}

void InferQueue::EndGiven(uint64_t job, InferResult result) {
  absl::MutexLock lock(&mutex_);
  const auto found = given_.find(job);
  if (found == given_.end()) return;  // It was cancelled.
  Given given = std::move(found->second);
  given_.erase(found);
  --given.line->given;
  const int64_t now = clock_->MonotonicNanos();
  InferEnd end;
  end.why = WhyOf(result);
  end.status = std::move(result.status);
  end.instance = given.pair->instance;
  end.result_json = std::move(result.result_json);
  end.crops = std::move(result.crops);
  end.waited = absl::Nanoseconds(given.given_ns - given.offered_ns);
  end.inferred = absl::Nanoseconds(now - given.given_ns);
  if (end.why == NoResult::kNone) {
    ++given.pair->results;
    given.pair->inference.Add(now - given.given_ns);
    given.line->latency.Add(now - given.offered_ns);
  } else if (end.status.ok()) {
    end.status = absl::UnknownError("infer: the instance gave no reason");
  }
  End(given.line.get(), std::move(given.done), std::move(end));
}

void InferQueue::EndExpired() {
  const int64_t now = clock_->MonotonicNanos();
  absl::MutexLock lock(&mutex_);
  for (auto& [name, line] : lines_) {
    for (size_t i = 0; i < line->waiting.size();) {
      if (line->waiting[i].job.deadline_ns > now) {
        ++i;
      } else {
        EndWaiting(line.get(), i, line->down ? NoResult::kDown : NoResult::kExpired);
      }
    }
  }
}

void InferQueue::EndWaiting(Line* line, size_t place, NoResult why) {
  const auto at = line->waiting.begin() + static_cast<std::ptrdiff_t>(place);
  InferEnd end;
  end.why = why;
  end.status = StatusOf(why);
  end.waited = absl::Nanoseconds(clock_->MonotonicNanos() - at->offered_ns);
  End(line, std::move(at->job.done), std::move(end));
  line->waiting.erase(at);
}

void InferQueue::End(Line* line, std::function<void(InferEnd)> done, InferEnd end) {
  ++(end.why == NoResult::kNone ? line->results : line->without[static_cast<size_t>(end.why)]);
  // A task must be copyable, an end is not.
  const auto shared = std::make_shared<InferEnd>(std::move(end));
  ends_.push_back([done = std::move(done), shared] { done(std::move(*shared)); });
}

void InferQueue::RunDue() {
  const int64_t now = clock_->MonotonicNanos();
  std::vector<Task> due;
  {
    absl::MutexLock lock(&mutex_);
    while (!tasks_.empty() && tasks_.begin()->first <= now) {
      due.push_back(std::move(tasks_.begin()->second));
      tasks_.erase(tasks_.begin());
    }
  }
  for (const Task& task : due) task();
}

void InferQueue::Give() {
  Offers offers = AskInstances();
  for (Handing& handing : Choose(&offers)) HandOver(std::move(handing));
}

// Asks each instance for which something waits, without a lock: the answers are the plugin's.
InferQueue::Offers InferQueue::AskInstances() {
  Offers offers;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [name, line] : lines_) {
      if (line->waiting.empty()) continue;
      for (const std::string& instance : line->options.instances) offers[instance];
    }
  }
  for (auto& [instance, offer] : offers) {
    offer.inferer = find_(instance);
    offer.ready = offer.inferer != nullptr && offer.inferer->ready();
    if (offer.ready) offer.credit = offer.inferer->credit();
  }
  return offers;
}

std::vector<InferQueue::Handing> InferQueue::Choose(Offers* offers) {
  std::vector<Handing> chosen;
  absl::MutexLock lock(&mutex_);
  for (const auto& entry : lines_) {
    Line* const line = entry.second.get();
    const std::vector<std::string>& instances = line->options.instances;
    line->down = std::none_of(instances.begin(), instances.end(), [&](const std::string& instance) {
      const auto found = offers->find(instance);
      return found == offers->end() ? !line->down : found->second.ready;
    });
  }
  std::string instance;
  while (const LinePtr line = NextLine(*offers, &instance)) {
    Offer& offer = (*offers)[instance];
    --offer.credit;
    line->turn = ++turns_;
    Waiting waiting = std::move(line->waiting.front());
    line->waiting.pop_front();
    ++line->given;
    Given& given = given_[waiting.number];
    given.line = line;
    given.pair = line->pairs[instance];
    ++given.pair->given;
    given.inferer = offer.inferer;
    given.offered_ns = waiting.offered_ns;
    given.given_ns = clock_->MonotonicNanos();
    given.done = std::move(waiting.job.done);
    waiting.job.frame.deadline_ns = waiting.job.deadline_ns;
    chosen.push_back({waiting.number, offer.inferer, std::move(waiting.job.frame),
                      std::move(waiting.job.options_json)});
  }
  return chosen;
}

InferQueue::LinePtr InferQueue::NextLine(const Offers& offers, std::string* instance) {
  LinePtr next;
  for (const auto& [name, line] : lines_) {
    if (line->waiting.empty() || line->given >= line->options.max_given) continue;
    if (next != nullptr && next->turn <= line->turn) continue;
    for (const std::string& candidate : line->options.instances) {
      const auto offer = offers.find(candidate);
      if (offer == offers.end() || offer->second.credit == 0) continue;
      next = line;
      *instance = candidate;
      break;
    }
  }
  return next;
}

void InferQueue::HandOver(Handing handing) {
  const uint64_t number = handing.number;
  const absl::StatusOr<uint64_t> ticket =
      handing.inferer->Infer(std::move(handing.frame), std::move(handing.options_json),
                             [mailbox = mailbox_, number](InferResult result) {
                               mailbox->Put(number, std::move(result));
                             });
  if (!ticket.ok()) {
    InferResult result;
    result.outcome = ticket.status().code() == absl::StatusCode::kInvalidArgument ? Outcome::kReject
                                                                                  : Outcome::kRetry;
    result.status = ticket.status();
    EndGiven(number, std::move(result));
    return;
  }
  bool wanted = true;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = given_.find(number);
    wanted = found != given_.end();
    if (wanted) found->second.ticket = *ticket;
  }
  if (!wanted) handing.inferer->Cancel(*ticket);  // Cancelled while it was handed over.
}

void InferQueue::RunEnds() {
  std::vector<Task> ends;
  {
    absl::MutexLock lock(&mutex_);
    ends.swap(ends_);
    ending_ = true;
  }
  for (const Task& end : ends) end();
  absl::MutexLock lock(&mutex_);
  ending_ = false;
}

int64_t InferQueue::NextLook() const {
  const int64_t now = clock_->MonotonicNanos();
  int64_t next = now + absl::ToInt64Nanoseconds(absl::Hours(1));
  absl::MutexLock lock(&mutex_);
  if (!ends_.empty()) return now;
  if (!tasks_.empty()) next = std::min(next, tasks_.begin()->first);
  for (const auto& [name, line] : lines_) {
    if (line->waiting.empty()) continue;
    next = std::min(next, now + absl::ToInt64Nanoseconds(kAskAgain));
    for (const Waiting& waiting : line->waiting) next = std::min(next, waiting.job.deadline_ns);
  }
  return next;
}

std::vector<InferLineStats> InferQueue::Stats() const {
  std::vector<InferLineStats> all;
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, line] : lines_) {
    InferLineStats stats;
    stats.name = name;
    stats.offered = line->offered;
    stats.without = line->without;
    stats.results = line->results;
    stats.latency = line->latency.Read();
    stats.waiting = line->waiting.size();
    stats.given = line->given;
    for (const std::string& instance : line->options.instances) {
      const Pair& pair = *line->pairs.at(instance);
      stats.pairs.push_back({instance, pair.given, pair.results, pair.inference.Read()});
    }
    all.push_back(std::move(stats));
  }
  return all;
}

bool InferQueue::AwaitIdle(absl::Duration limit) const {
  const auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return given_.empty() && ends_.empty() && !ending_ &&
           std::all_of(lines_.begin(), lines_.end(),
                       [](const auto& line) { return line.second->waiting.empty(); });
  };
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&idle), limit);
}

}  // namespace viaduct
