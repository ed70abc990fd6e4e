#include "core/vision/vision.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/ids.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "vision";
constexpr std::string_view kAskedPrefix = "gateway/";  // No instance is called so.
constexpr absl::Duration kLogEvery = absl::Seconds(10);

// Whether the same detection may be taken later.
bool Passes(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status) ||
         absl::IsAborted(status) || absl::IsDeadlineExceeded(status);
}

Outcome OutcomeOf(NoResult why) {
  switch (why) {
    case NoResult::kNone:
      return Outcome::kDurable;
    case NoResult::kRejected:
      return Outcome::kReject;
    case NoResult::kFailed:
    case NoResult::kCancelled:
      return Outcome::kCancelled;
    default:
      return Outcome::kExpired;
  }
}

// When the light fell in, as far as that can be a time of a message.
absl::Time CapturedAt(int64_t capture_ns, const Clock& clock) {
  const absl::Time captured = absl::FromUnixNanos(capture_ns);
  return capture_ns > 0 && CheckTimestampRange(captured).ok() ? captured : clock.Now();
}

}  // namespace

// Counters go on when the options change.
struct FeedCounts {
  std::atomic<uint64_t> detections{0};
  std::atomic<uint64_t> empty{0};
  std::atomic<uint64_t> refused{0};
  std::atomic<uint64_t> images_left_out{0};
  std::atomic<int64_t> logged_ns{0};
};

struct Vision::Feed {
  FeedOptions options;
  Priority priority = Priority::kNormal;
  std::shared_ptr<FeedCounts> counts;
  absl::Mutex mutex;
  Vision* owner ABSL_GUARDED_BY(mutex) = nullptr;  // Null once it is closed.
  std::shared_ptr<FrameSource> source ABSL_GUARDED_BY(mutex);
};

struct Vision::Unsent {
  FeedPtr feed;
  Envelope envelope;
  FrameDoneFn done;
};

Vision::Vision(Deps deps)
    : deps_(std::move(deps)), queue_(deps_.clock, [this](const std::string& instance) {
        const auto inferer = deps_.inferer(instance);
        return inferer.ok() ? *inferer : nullptr;
      }) {}

Vision::~Vision() { Stop(); }

std::vector<Vision::FeedPtr> Vision::feeds() const {
  absl::MutexLock lock(&mutex_);
  return feeds_;
}

// ---- feeds
// -------------------------------------------------------------------------------------------

void Vision::Apply(const std::vector<FeedOptions>& wanted) {
  absl::MutexLock applying(&applying_);
  if (closed_) return;
  const std::vector<FeedPtr> before = feeds();
  std::vector<FeedPtr> next;
  for (const FeedOptions& options : wanted) {
    const auto same = std::find_if(before.begin(), before.end(), [&](const FeedPtr& feed) {
      return feed->options.source == options.source;
    });
    if (same != before.end() && (*same)->options == options) {
      next.push_back(*same);
      continue;
    }
    auto feed = std::make_shared<Feed>();
    feed->options = options;
    feed->priority = ParsePriority(options.priority).value_or(Priority::kNormal);
    feed->counts = same != before.end() ? (*same)->counts : std::make_shared<FeedCounts>();
    queue_.SetLine(options.source, {options.infer, options.waiting, true, kMaxGiven});
    next.push_back(feed);
  }
  {
    absl::MutexLock lock(&mutex_);
    feeds_ = next;
  }
  for (const FeedPtr& feed : before) {
    if (std::find(next.begin(), next.end(), feed) != next.end()) continue;
    Close(feed);
    const bool changed = std::any_of(next.begin(), next.end(), [&](const FeedPtr& other) {
      return other->options.source == feed->options.source;
    });
    if (!changed) queue_.RemoveLine(feed->options.source);
  }
  for (const FeedPtr& feed : next) Connect(feed);
}

void Vision::Sync() {
  absl::MutexLock applying(&applying_);
  if (closed_) return;
  for (const FeedPtr& feed : feeds()) Connect(feed);
  std::set<std::string> gone;
  {
    absl::MutexLock lock(&mutex_);
    gone = asked_;
  }
  for (const std::string& name : deps_.inferers()) gone.erase(name);
  for (const std::string& name : gone) {
    queue_.RemoveLine(absl::StrCat(AbslView(kAskedPrefix), name));
    absl::MutexLock lock(&mutex_);
    asked_.erase(name);
  }
}

void Vision::Connect(const FeedPtr& feed) {
  const auto source = deps_.source(feed->options.source);
  {
    absl::MutexLock lock(&feed->mutex);
    feed->owner = this;
    feed->source = source.ok() ? *source : nullptr;
  }
  if (!source.ok()) return;
  (*source)->SetConsumer([feed](Frame frame, FrameDoneFn done) {
    if (!Offer(feed, &frame, done)) done(Outcome::kCancelled);
  });
}

void Vision::Close(const FeedPtr& feed) {
  std::shared_ptr<FrameSource> source;
  {
    absl::MutexLock lock(&feed->mutex);
    feed->owner = nullptr;
    source.swap(feed->source);
  }
  if (source != nullptr) source->SetConsumer(nullptr);
}

bool Vision::Offer(const FeedPtr& feed, Frame* frame, FrameDoneFn done) {
  absl::MutexLock lock(&feed->mutex);
  Vision* const owner = feed->owner;
  if (owner == nullptr) return false;
  const Clock& clock = *owner->deps_.clock;
  InferJob job;
  job.options_json = feed->options.options_json;
  job.deadline_ns = clock.MonotonicNanos() + absl::ToInt64Nanoseconds(feed->options.deadline);
  if (frame->deadline_ns != 0) job.deadline_ns = std::min(job.deadline_ns, frame->deadline_ns);
  Shown shown{frame->source, frame->sequence, CapturedAt(frame->capture_ns, clock),
              std::move(done)};
  job.frame = std::move(*frame);
  job.done = [owner, feed, shown = std::move(shown)](const InferEnd& end) {
    owner->OnEnd(feed, shown, end);
  };
  return owner->queue_.Add(feed->options.source, &job) != 0;
}

void Vision::OnEnd(const FeedPtr& feed, const Shown& shown, const InferEnd& end) {
  if (end.why != NoResult::kNone) return shown.done(OutcomeOf(end.why));
  const FeedResults results = feed->options.results;
  absl::StatusOr<bool> found = results == FeedResults::kAll;
  if (results == FeedResults::kFound) {
    found = FindsSomething(end.result_json, deps_.max_message_bytes);
  }
  if (found.ok() && !*found) {
    ++feed->counts->empty;
    return shown.done(Outcome::kDurable);
  }
  DetectionFacts facts;
  facts.message_id = NewUuid(deps_.clock->Now());
  facts.device = feed->options.device;
  facts.checkpoint = feed->options.checkpoint;
  facts.captured = shown.captured;
  facts.priority = feed->priority;
  facts.source = feed->options.source;
  facts.stream = shown.stream;
  facts.instance = end.instance;
  facts.sequence = shown.sequence;
  absl::StatusOr<MadeDetection> made =
      found.ok() ? MakeDetection(end.result_json, end.crops, facts, deps_.max_message_bytes)
                 : absl::StatusOr<MadeDetection>(found.status());
  if (!made.ok()) {
    Refuse(feed, made.status());
    return shown.done(Outcome::kReject);
  }
  feed->counts->images_left_out += made->images_left_out;
  Send(std::make_shared<Unsent>(Unsent{feed, std::move(made->envelope), shown.done}));
}

// ---- detections
// --------------------------------------------------------------------------------------

void Vision::Send(const UnsentPtr& unsent) {
  {
    absl::MutexLock lock(&mutex_);
    ++sending_;
  }
  deps_.ingest({unsent->envelope}, [this, unsent](const std::vector<AcceptResult>& results) {
    const absl::Status status =
        results.size() == 1 ? results.front().status : absl::InternalError("no result came");
    // The source must not keep the thread that answers.
    if (!queue_.RunAfter(absl::ZeroDuration(),
                         [this, unsent, status] { OnAnswer(unsent, status); })) {
      OnAnswer(unsent, status);
    }
  });
}

void Vision::OnAnswer(const UnsentPtr& unsent, const absl::Status& status) {
  if (status.ok()) {
    ++unsent->feed->counts->detections;
    unsent->done(Outcome::kDurable);
  } else if (!Passes(status)) {
    Refuse(unsent->feed, status);
    unsent->done(Outcome::kReject);
  } else if (Keep(unsent)) {
    queue_.RunAfter(kSendAgain, [this, unsent] { Send(unsent); });
  } else {
    Refuse(unsent->feed, status);
    unsent->done(Outcome::kCancelled);
  }
  if (status.ok() || !Passes(status)) Forget(unsent);
  absl::MutexLock lock(&mutex_);
  --sending_;
}

bool Vision::Keep(const UnsentPtr& unsent) {
  absl::MutexLock lock(&mutex_);
  if (std::find(unsent_.begin(), unsent_.end(), unsent) != unsent_.end()) return true;
  const size_t bytes = unsent->envelope.payload_json.size();
  if (unsent_.size() >= kMaxUnsent || unsent_bytes_ + bytes > kMaxUnsentBytes) return false;
  unsent_.push_back(unsent);
  unsent_bytes_ += bytes;
  return true;
}

void Vision::Forget(const UnsentPtr& unsent) {
  absl::MutexLock lock(&mutex_);
  const auto found = std::find(unsent_.begin(), unsent_.end(), unsent);
  if (found == unsent_.end()) return;
  unsent_.erase(found);
  unsent_bytes_ -= unsent->envelope.payload_json.size();
}

void Vision::Refuse(const FeedPtr& feed, const absl::Status& why) {
  ++feed->counts->refused;
  const int64_t now = deps_.clock->MonotonicNanos();
  int64_t last = feed->counts->logged_ns.load();
  if (last != 0 && absl::Nanoseconds(now - last) < kLogEvery) return;
  if (!feed->counts->logged_ns.compare_exchange_strong(last, now)) return;
  deps_.log->Warning(kComponent, "a result did not become a detection",
                     {{"feed", feed->options.source}, {"reason", StdView(why.message())}});
}

// ---- callers
// -----------------------------------------------------------------------------------------

absl::StatusOr<std::string> Vision::Resolve(std::string_view instance) const {
  if (!instance.empty()) return std::string(instance);
  const std::vector<std::string> all = deps_.inferers();
  if (all.size() == 1) return all.front();
  if (all.empty()) return absl::NotFoundError("instance: none of this node infers");
  return absl::InvalidArgumentError(
      absl::StrCat("instance: needed, there are ", absl::StrJoin(all, ", ")));
}

std::string Vision::AskedLine(const std::string& instance) {
  std::string line = absl::StrCat(AbslView(kAskedPrefix), instance);
  absl::MutexLock lock(&mutex_);
  if (asked_.count(instance) != 0) return line;
  if (!queue_.SetLine(line, {{instance}, kMaxAskedWaiting, false, kMaxAskedGiven})) return "";
  asked_.insert(instance);
  return line;
}

absl::StatusOr<uint64_t> Vision::Infer(std::string_view instance, absl::Duration patience,
                                       InferJob job) {
  VD_ASSIGN_OR_RETURN(const std::string name, Resolve(instance));
  VD_ASSIGN_OR_RETURN(const std::shared_ptr<Inferer> inferer, deps_.inferer(name));
  if (!inferer->ready()) {
    return absl::UnavailableError(absl::StrCat("infer: ", name, " does not run"));
  }
  const size_t bytes = job.frame.buffer.octets().size();
  if (asked_bytes_->fetch_add(bytes) + bytes > kMaxAskedBytes) {
    asked_bytes_->fetch_sub(bytes);
    return absl::ResourceExhaustedError("infer: too many pictures are under way");
  }
  job.done = [asked = asked_bytes_, bytes, done = std::move(job.done)](InferEnd end) {
    asked->fetch_sub(bytes);
    done(std::move(end));
  };
  job.deadline_ns = deps_.clock->MonotonicNanos() + absl::ToInt64Nanoseconds(patience);
  const std::string line = AskedLine(name);
  const uint64_t number = line.empty() ? 0 : queue_.Add(line, &job);
  if (number != 0) return number;
  asked_bytes_->fetch_sub(bytes);
  return absl::ResourceExhaustedError(absl::StrCat("infer: too many pictures wait for ", name));
}

// ---- the end
// -----------------------------------------------------------------------------------------

void Vision::CloseAll() {
  absl::MutexLock applying(&applying_);
  closed_ = true;
  for (const FeedPtr& feed : feeds()) Close(feed);
}

bool Vision::Drain(absl::Duration limit) {
  const absl::Time deadline = deps_.clock->Now() + limit;
  CloseAll();
  if (!queue_.AwaitIdle(limit)) return false;
  const auto sent = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return sending_ == 0 && unsent_.empty();
  };
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&sent), deadline - deps_.clock->Now());
}

void Vision::Stop() {
  CloseAll();
  queue_.Stop();
  std::vector<UnsentPtr> lost;
  {
    const auto answered = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return sending_ == 0; };
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&answered));
    lost.swap(unsent_);
    unsent_bytes_ = 0;
  }
  for (const UnsentPtr& unsent : lost) {
    Refuse(unsent->feed, absl::UnavailableError("the node stops, and it could not be taken"));
    unsent->done(Outcome::kCancelled);
  }
}

// ---- numbers
// -----------------------------------------------------------------------------------------

std::vector<FeedStats> Vision::Stats() const {
  const std::vector<InferLineStats> lines = queue_.Stats();
  std::vector<FeedStats> all;
  for (const FeedPtr& feed : feeds()) {
    FeedStats stats;
    stats.options = feed->options;
    const auto source = deps_.source(feed->options.source);
    stats.source_ready = source.ok() && (*source)->ready();
    for (const std::string& name : feed->options.infer) {
      const auto inferer = deps_.inferer(name);
      stats.infer_ready = stats.infer_ready || (inferer.ok() && (*inferer)->ready());
    }
    stats.detections = feed->counts->detections;
    stats.empty = feed->counts->empty;
    stats.refused = feed->counts->refused;
    stats.images_left_out = feed->counts->images_left_out;
    for (const InferLineStats& line : lines) {
      if (line.name == feed->options.source) stats.line = line;
    }
    absl::MutexLock lock(&mutex_);
    stats.unsent = static_cast<size_t>(
        std::count_if(unsent_.begin(), unsent_.end(), [&](const UnsentPtr& unsent) {
          return unsent->feed->options.source == feed->options.source;
        }));
    all.push_back(std::move(stats));
  }
  return all;
}

std::vector<InferLineStats> Vision::Asked() const {
  std::vector<InferLineStats> asked;
  for (InferLineStats& line : queue_.Stats()) {
    if (line.name.compare(0, kAskedPrefix.size(), kAskedPrefix) != 0) continue;
    line.name.erase(0, kAskedPrefix.size());
    asked.push_back(std::move(line));
  }
  return asked;
}

}  // namespace viaduct
