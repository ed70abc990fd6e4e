#include "core/transfer/transfer_engine.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/executor.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

int64_t Nanos(absl::Duration duration) { return absl::ToInt64Nanoseconds(duration); }

}  // namespace

TransferEngine::TransferEngine(TransferEngineOptions options, Deps deps)
    : options_(std::move(options)),
      deps_(std::move(deps)),
      removal_(deps_.queue, deps_.owned, deps_.log),
      scheduler_(options_.scheduler),
      announcer_(deps_.queue, deps_.clock, deps_.announce,
                 [this](const TransferAnnouncer::Word& word, absl::Status told) {
                   OnAnswered(word, std::move(told));
                 }) {}

TransferEngine::~TransferEngine() { Stop(); }

absl::Status TransferEngine::Start() {
  const int64_t now = deps_.clock->MonotonicNanos();
  const auto take = [this](const Transfer& transfer) {
    scheduler_.Add({transfer.sequence, transfer.priority, transfer.size, transfer.strikes});
    if (!transfer.announced) announcer_.Add(transfer.sequence);
    return true;
  };
  VD_RETURN_IF_ERROR(deps_.queue->Each(TransferState::kQueued, take));
  VD_RETURN_IF_ERROR(
      deps_.queue->Each(TransferState::kWaitingConfirmation, [&](const Transfer& transfer) {
        unconfirmed_[transfer.sequence] = now + Nanos(options_.confirm_timeout);
        if (!transfer.announced) announcer_.Add(transfer.sequence);
        return true;
      }));
  // A file may be faster than the word of it.
  VD_RETURN_IF_ERROR(deps_.queue->Each(TransferState::kDone, [this](const Transfer& transfer) {
    if (!transfer.announced) announcer_.Add(transfer.sequence);
    return true;
  }));
  thread_ = std::thread([this] { Loop(); });
  return absl::OkStatus();
}

void TransferEngine::Stop() {
  if (stopping_.exchange(true)) return;
  std::vector<std::pair<std::shared_ptr<TransferRoad>, uint64_t>> running;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [sequence, active] : active_) running.emplace_back(active.road, active.ticket);
  }
  for (const auto& [road, ticket] : running) road->Cancel(ticket);
  waker_.Wake();
  if (thread_.joinable()) thread_.join();
  // What a road says from now on is not heard.
  absl::MutexLock lock(&mutex_);
  active_.clear();
  roads_.clear();
}

void TransferEngine::SetRoads(std::vector<RoadEntry> roads) {
  {
    absl::MutexLock lock(&mutex_);
    roads_ = std::move(roads);
  }
  waker_.Wake();
}

void TransferEngine::Post(Event event) {
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_.load()) return;
    events_.push_back(std::move(event));
  }
  waker_.Wake();
}

void TransferEngine::Later(int64_t at_ns, std::function<void()> work) {
  {
    absl::MutexLock lock(&mutex_);
    delayed_.emplace_back(at_ns, std::move(work));
  }
  waker_.Wake();
}

absl::StatusOr<Explanation> TransferEngine::Explain(uint64_t bytes, Priority priority) {
  struct Asked {
    absl::Notification done;
    Explanation answer;
  };
  if (stopping_.load()) return absl::UnavailableError("transfers: stopped");
  const auto asked = std::make_shared<Asked>();
  Later(0, [this, bytes, priority, asked] {
    std::vector<RoadEntry> roads;
    {
      absl::MutexLock lock(&mutex_);
      roads = roads_;
    }
    asked->answer =
        scheduler_.Explain(bytes, priority, Views(roads), deps_.clock->MonotonicNanos());
    asked->done.Notify();
  });
  if (!asked->done.WaitForNotificationWithTimeout(kExplainWait)) {
    return absl::UnavailableError("transfers: busy, ask again");
  }
  return asked->answer;
}

void TransferEngine::OnAdded(const Transfer& transfer) {
  Event event;
  event.kind = Event::Kind::kAdded;
  event.sequence = transfer.sequence;
  event.transfer = transfer;
  Post(std::move(event));
}

void TransferEngine::OnCancelled(const Transfer& transfer) {
  Event event;
  event.kind = Event::Kind::kCancelled;
  event.sequence = transfer.sequence;
  event.transfer = transfer;
  Post(std::move(event));
}

void TransferEngine::Loop() {
  SetThreadName("transfers");
  while (!stopping_.load()) {
    const int64_t next = Step();
    const int64_t now = deps_.clock->MonotonicNanos();
    waker_.Wait(next == TransferScheduler::kNever ? Waker::kForever : next - now);
  }
}

int64_t TransferEngine::Step() {
  std::vector<Event> events;
  {
    absl::MutexLock lock(&mutex_);
    events.swap(events_);
    for (auto& [at, work] : delayed_) later_[at].push_back(std::move(work));
    delayed_.clear();
  }
  for (Event& event : events) Take(std::move(event));
  const int64_t now = deps_.clock->MonotonicNanos();
  while (!later_.empty() && later_.begin()->first <= now) {
    for (const auto& work : later_.begin()->second) work();
    later_.erase(later_.begin());
  }
  LookAtActive();
  LookAtUnconfirmed();
  if (!paused_.load() && !stopping_.load()) BeginPlanned();
  int64_t next = std::min(scheduler_.NextDueNanos(now), announcer_.Turn());
  if (!later_.empty()) next = std::min(next, later_.begin()->first);
  // Credit, health and the time of the day change without a word.
  const bool busy =
      scheduler_.active() + scheduler_.waiting() + unconfirmed_.size() > 0 || !leftovers_.empty();
  return busy ? std::min(next, now + Nanos(kTick)) : next;
}

void TransferEngine::Take(Event event) {
  switch (event.kind) {
    case Event::Kind::kAdded: {
      const Transfer& transfer = event.transfer;
      offsets_.erase(event.sequence);
      scheduler_.Add({transfer.sequence, transfer.priority, transfer.size, transfer.strikes});
      if (!transfer.announced) announcer_.Add(event.sequence);
      absl::MutexLock lock(&mutex_);
      ++totals_.added;
      return;
    }
    case Event::Kind::kCancelled:
      return TakeCancelled(event.sequence);
    case Event::Kind::kAgain:
      return OnAgain(event.transfer);
    case Event::Kind::kEnded:
      return OnAttemptEnded(event.sequence, event.attempt, std::move(event.result));
    case Event::Kind::kConfirmed:
      return OnConfirmed(event.transfer);
    case Event::Kind::kTold:
      return announcer_.OnTold(event.sequence, event.told);
  }
}

void TransferEngine::TakeCancelled(int64_t sequence) {
  std::shared_ptr<TransferRoad> road;
  uint64_t ticket = 0;
  {
    absl::MutexLock lock(&mutex_);
    ++totals_.cancelled;
    const auto found = active_.find(sequence);
    if (found != active_.end()) {
      found->second.cancelled = true;
      found->second.asked_ns = deps_.clock->MonotonicNanos();
      road = found->second.road;
      ticket = found->second.ticket;
    }
  }
  unconfirmed_.erase(sequence);
  if (road != nullptr) return road->Cancel(ticket);  // The file goes when the road lets go.
  scheduler_.Remove(sequence);
  Settle(sequence);
}

std::vector<TransferScheduler::RoadView> TransferEngine::Views(
    const std::vector<RoadEntry>& roads) const {
  std::vector<TransferScheduler::RoadView> views;
  for (const RoadEntry& entry : roads) {
    TransferScheduler::RoadView view;
    view.name = entry.name;
    view.plugin = entry.plugin;
    view.metered = entry.metered;
    view.ready = entry.road->ready();
    view.credit = view.ready ? entry.road->credit() : 0;
    if (deps_.quality) {
      const RoadQuality quality = deps_.quality(entry.name);
      view.quality = quality.quality;
      view.score = quality.score;
    }
    views.push_back(std::move(view));
  }
  return views;
}

void TransferEngine::BeginPlanned() {
  const bool idle = scheduler_.waiting() == 0 && scheduler_.active() == 0;
  if (idle && leftovers_.empty()) return;
  std::vector<RoadEntry> roads;
  {
    absl::MutexLock lock(&mutex_);
    roads = roads_;
  }
  leftovers_.Turn(roads);
  if (idle) return;
  const auto views = Views(roads);
  const absl::Time wall = deps_.clock->Now();
  for (const int64_t sequence : scheduler_.Outside(views, wall)) {
    std::shared_ptr<TransferRoad> road;
    uint64_t ticket = 0;
    {
      absl::MutexLock lock(&mutex_);
      const auto found = active_.find(sequence);
      if (found == active_.end()) continue;
      road = found->second.road;
      ticket = found->second.ticket;
    }
    road->Cancel(ticket);
  }
  for (const auto& start : scheduler_.Plan(views, deps_.clock->MonotonicNanos(), wall)) {
    const auto road = std::find_if(roads.begin(), roads.end(), [&](const RoadEntry& entry) {
      return entry.name == start.road;
    });
    Begin(start, *road);
  }
}

FileJob TransferEngine::JobFor(const TransferScheduler::Start& start, Transfer* transfer) const {
  FileJob job;
  job.local_path = transfer->local_path;
  job.remote_name = transfer->remote_name;
  job.sha256 = transfer->sha256;
  job.size = transfer->size;
  const auto known = offsets_.find(start.sequence);
  if (known != offsets_.end()) {
    for (const auto& [name, offset] : known->second) transfer->durable[name] = offset;
  }
  const auto durable = transfer->durable.find(start.road);
  if (durable != transfer->durable.end()) job.offset = std::min(durable->second, transfer->size);
  job.max_bytes_per_second = start.bytes_per_second;
  return job;
}

void TransferEngine::Begin(const TransferScheduler::Start& start, const RoadEntry& road) {
  const int64_t sequence = start.sequence;
  absl::StatusOr<Transfer> transfer = deps_.queue->Get(sequence);
  if (!transfer.ok() || transfer->state != TransferState::kQueued) {
    scheduler_.Remove(sequence);           // Cancelled meanwhile, or lost with a damaged file,
    if (!transfer.ok()) Settle(sequence);  // or it cannot be read just now.
    return;
  }
  FileJob job = JobFor(start, &*transfer);
  const absl::StatusOr<FileStamp> file = deps_.check ? deps_.check(*transfer) : FileStamp();
  const absl::Status& right = file.status();
  if (right.ok()) {
    job.local_device = file->device;
    job.local_inode = file->inode;
  }
  const int64_t now = deps_.clock->MonotonicNanos();
  const uint64_t attempt = ++attempts_;
  {
    absl::MutexLock lock(&mutex_);
    Active& active = active_[sequence];
    active.transfer = *std::move(transfer);
    active.transfer.state = TransferState::kActive;
    active.transfer.road = road.name;
    active.road = road.road;
    active.road_name = road.name;
    active.attempt = attempt;
    active.begun_at = active.moved = active.durable = job.offset;
    active.begun_ns = active.progress_ns = now;
  }
  // Where the machine is in trouble, the road says what becomes of it.
  const bool passes = absl::IsUnavailable(right) || absl::IsResourceExhausted(right);
  if (right.ok() || passes) return Hand(sequence, attempt, std::move(job), road.road.get());
  FileResult result;
  result.status = right;
  result.outcome = Outcome::kReject;
  OnAttemptEnded(sequence, attempt, std::move(result));
}

void TransferEngine::Hand(int64_t sequence, uint64_t attempt, FileJob job, TransferRoad* road) {
  const absl::StatusOr<uint64_t> ticket = road->Begin(
      std::move(job),
      [this, sequence, attempt](uint64_t moved, uint64_t durable_offset) {
        OnProgress(sequence, attempt, moved, durable_offset);
      },
      [this, sequence, attempt](FileResult result) {
        Event event;
        event.kind = Event::Kind::kEnded;
        event.sequence = sequence;
        event.attempt = attempt;
        event.result = std::move(result);
        Post(std::move(event));
      });
  if (ticket.ok()) {
    absl::MutexLock lock(&mutex_);
    const auto found = active_.find(sequence);
    if (found != active_.end()) found->second.ticket = *ticket;
    return;
  }
  FileResult result;
  result.status = ticket.status();
  // A name that cannot be used never can; anything else was no attempt.
  result.outcome = absl::IsInvalidArgument(result.status) ? Outcome::kReject : Outcome::kCancelled;
  OnAttemptEnded(sequence, attempt, std::move(result));
}

// On a thread of the road.
void TransferEngine::OnProgress(int64_t sequence, uint64_t attempt, uint64_t moved,
                                uint64_t durable) {
  const int64_t now = deps_.clock->MonotonicNanos();
  Transfer told;
  std::string road;
  bool tell = false;
  bool save = false;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = active_.find(sequence);
    if (stopping_.load() || found == active_.end()) return;
    Active& active = found->second;
    if (active.attempt != attempt) return;
    durable = std::min(durable, active.transfer.size);
    moved = std::min(moved, active.transfer.size);
    if (moved > active.moved) totals_.bytes += moved - active.moved;
    if (moved != active.moved || durable > active.durable) active.progress_ns = now;
    active.moved = moved;
    save = durable > active.durable;
    active.durable = std::max(active.durable, durable);
    tell = deps_.moving != nullptr && now - active.told_ns >= Nanos(kTellEvery);
    if (tell) {
      active.told_ns = now;
      told = active.transfer;
    }
    road = active.road_name;
    if (save) told.id = active.transfer.id;
  }
  if (save) {
    deps_.queue->Change(
        told.id,
        [road, durable](Transfer* transfer) {
          uint64_t& known = transfer->durable[road];
          known = std::max(known, durable);
          return absl::OkStatus();
        },
        nullptr);
  }
  if (tell) deps_.moving(WithProgress(std::move(told)));
}

// A road is asked to end what stands still, again and again, and is then believed to have lost it.
void TransferEngine::LookAtActive() {
  const int64_t now = deps_.clock->MonotonicNanos();
  const int64_t patience = Nanos(options_.stall_timeout);
  std::vector<std::pair<std::shared_ptr<TransferRoad>, uint64_t>> asked;
  std::vector<std::pair<int64_t, uint64_t>> lost;
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [sequence, active] : active_) {
      const int64_t still = now - active.progress_ns;
      const bool first = !active.stalled && still >= patience;
      active.stalled = active.stalled || first;
      if (active.stalled && still >= 2 * patience) lost.emplace_back(sequence, active.attempt);
      const bool again =
          (active.stalled || active.cancelled) && now - active.asked_ns >= Nanos(kAskEvery);
      if (!first && !again) continue;
      active.asked_ns = now;
      asked.emplace_back(active.road, active.ticket);
    }
  }
  for (const auto& [road, ticket] : asked) road->Cancel(ticket);
  for (const auto& [sequence, attempt] : lost) {
    FileResult result;
    result.outcome = Outcome::kCancelled;  // Stalled: it counts as one that failed.
    OnAttemptEnded(sequence, attempt, std::move(result));
  }
}

Transfer TransferEngine::WithProgress(Transfer transfer) const {
  absl::MutexLock lock(&mutex_);
  const auto found = active_.find(transfer.sequence);
  if (found == active_.end()) return transfer;
  const Active& active = found->second;
  const double seconds = static_cast<double>(deps_.clock->MonotonicNanos() - active.begun_ns) / 1e9;
  transfer.state = TransferState::kActive;
  transfer.road = active.road_name;
  transfer.moved = active.moved;
  transfer.durable[active.road_name] = active.durable;
  if (seconds > 0) {
    transfer.bytes_per_second =
        static_cast<uint64_t>(static_cast<double>(active.moved - active.begun_at) / seconds);
  }
  return transfer;
}

std::vector<Transfer> TransferEngine::OnRoads(size_t most) const {
  std::vector<Transfer> out;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [sequence, active] : active_) {
      if (out.size() == most) break;
      out.push_back(active.transfer);
    }
  }
  for (Transfer& transfer : out) transfer = WithProgress(std::move(transfer));
  return out;
}

size_t TransferEngine::active() const {
  absl::MutexLock lock(&mutex_);
  return active_.size();
}

bool TransferEngine::AnyRoadReady() const {
  std::vector<RoadEntry> roads;
  {
    absl::MutexLock lock(&mutex_);
    roads = roads_;
  }
  return std::any_of(roads.begin(), roads.end(),
                     [](const RoadEntry& entry) { return entry.road->ready(); });
}

bool TransferEngine::IsActive(int64_t sequence) const {
  absl::MutexLock lock(&mutex_);
  return active_.contains(sequence);
}

TransferTotals TransferEngine::totals() const {
  absl::MutexLock lock(&mutex_);
  return totals_;
}

}  // namespace viaduct
