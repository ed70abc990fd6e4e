#include "core/transfer/transfer_scheduler.h"

#include <algorithm>

#include "core/gateway/selection_rules.h"

namespace viaduct {
namespace {

constexpr double kOrdinaryShare = 0.75;    // Of the bandwidth: the rest is for what is urgent.
constexpr uint64_t kLeastRate = 16 << 10;  // Less makes no sense for a file.
constexpr int64_t kReleasedNanos = 100'000'000;  // A file that nobody tried waits so long.

bool IsUrgent(const std::pair<int, int64_t>& key) {
  return key.first == static_cast<int>(Priority::kHigh);
}

// Nothing that the file or its receiver could mend: the road is not there, or full.
bool IsOutage(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kDeadlineExceeded ||
         code == absl::StatusCode::kResourceExhausted ||
         code == absl::StatusCode::kUnauthenticated ||
         code == absl::StatusCode::kFailedPrecondition;
}

std::unique_ptr<Selector> MakeRules(const TransferSchedulerOptions& options) {
  RuleSelector::Options rules = SizePriorityRules();
  rules.falls_back = options.falls_back;
  rules.measured = options.measured;
  rules.fallback = options.fallback;
  rules.return_ns = 0;  // A file takes longer than a road needs to change.
  return std::make_unique<RuleSelector>(std::move(rules));
}

}  // namespace

TransferScheduler::TransferScheduler(TransferSchedulerOptions options)
    : options_(std::move(options)), selector_(MakeRules(options_)) {}

void TransferScheduler::Add(const File& file) {
  if (active_.contains(file.sequence)) return;
  const Key key(static_cast<int>(file.priority), file.sequence);
  Waiting waiting;
  waiting.size = file.size;
  waiting.strikes = file.strikes;
  waiting.due_ns = file.due_ns;
  waiting_.try_emplace(key, std::move(waiting));
}

void TransferScheduler::Remove(int64_t sequence) {
  active_.erase(sequence);
  for (int priority = 0; priority <= static_cast<int>(Priority::kLow); ++priority) {
    waiting_.erase(Key(priority, sequence));
  }
}

TransferScheduler::Load TransferScheduler::LoadNow() const {
  Load load;
  for (const auto& [sequence, active] : active_) {
    ++load.files;
    load.rate += active.rate;
    if (active.file.size >= options_.large_from) {
      ++load.large;
    } else {
      load.small_bytes += active.file.size;
    }
  }
  return load;
}

// One small file always finds room among small ones, whatever the bound says.
bool TransferScheduler::HasRoom(const Key& key, const Waiting& file, const Load& load) const {
  const bool urgent = IsUrgent(key);
  if (load.files >= options_.files + (urgent ? options_.urgent : 0)) return false;
  if (urgent) return true;
  if (file.size >= options_.large_from) return load.large < options_.large;
  return load.small_bytes == 0 || load.small_bytes + file.size <= options_.bytes;
}

bool TransferScheduler::IsOpen(absl::Time wall) const {
  const std::vector<TransferWindow>& windows = options_.schedule.windows;
  if (windows.empty()) return true;
  const auto now = options_.schedule.zone.At(wall).cs;
  const int minute = now.hour() * 60 + now.minute();
  return std::any_of(windows.begin(), windows.end(), [minute](const TransferWindow& window) {
    if (window.from_minute <= window.to_minute) {
      return minute >= window.from_minute && minute < window.to_minute;
    }
    return minute >= window.from_minute || minute < window.to_minute;
  });
}

bool TransferScheduler::MayUse(const RoadView& road, Priority priority) const {
  const TransferSchedule& schedule = options_.schedule;
  if (priority == Priority::kHigh && !schedule.urgent) return true;
  if (schedule.unmetered_only && road.metered) return false;
  return schedule.min_quality == LinkQuality::kUnknown || road.quality >= schedule.min_quality;
}

std::vector<LinkView> TransferScheduler::ViewsFor(const std::vector<RoadView>& roads,
                                                  Priority priority,
                                                  const std::vector<size_t>& used,
                                                  int64_t now_ns) const {
  std::vector<LinkView> views;
  views.reserve(roads.size());
  for (size_t i = 0; i < roads.size(); ++i) {
    LinkView view;
    view.name = roads[i].name;
    view.plugin = roads[i].plugin;
    const BreakerState state = breaker(roads[i].name, now_ns);
    // Half open, one file finds out.
    const bool busy = std::any_of(active_.begin(), active_.end(), [&](const auto& active) {
      return active.second.road == roads[i].name;
    });
    view.ready = roads[i].ready && MayUse(roads[i], priority) && state != BreakerState::kOpen &&
                 !(state == BreakerState::kHalfOpen && busy);
    view.room = roads[i].credit > used[i] ? roads[i].credit - used[i] : 0;
    view.backlog_room = view.room;
    view.quality = roads[i].quality;
    view.score = roads[i].score;
    view.metered = roads[i].metered;
    views.push_back(view);
  }
  return views;
}

bool TransferScheduler::WaitsForRetry(const Waiting& file, const std::vector<RoadView>& roads,
                                      int64_t now_ns) const {
  if (file.failed.empty() || file.retry_ns <= now_ns) return false;
  if (!options_.falls_back) return true;
  return std::all_of(roads.begin(), roads.end(), [&](const RoadView& road) {
    return !road.ready ||
           std::find(file.failed.begin(), file.failed.end(), road.name) != file.failed.end();
  });
}

int TransferScheduler::PickRoad(const Key& key, Waiting* file, const std::vector<RoadView>& roads,
                                const std::vector<size_t>& used, int64_t now_ns) {
  SelectorMessage message;
  message.bytes = file->size;
  message.priority = static_cast<Priority>(key.first);
  message.is_file = true;
  message.now_ns = now_ns;
  if (!options_.falls_back) file->failed.clear();  // It waits for its road alone, and has waited.
  for (size_t i = 0; i < std::min(roads.size(), kMaxLinks); ++i) {
    const bool failed =
        std::find(file->failed.begin(), file->failed.end(), roads[i].name) != file->failed.end();
    if (failed) message.tried |= uint64_t{1} << i;
  }
  const int pick = selector_->Pick(message, ViewsFor(roads, message.priority, used, now_ns)).link;
  if (pick == Choice::kNone || (message.tried >> pick & 1) == 0) return pick;
  if (file->retry_ns > now_ns) return Choice::kNone;
  file->failed.clear();  // All have failed it; now they are tried again.
  return pick;
}

Explanation TransferScheduler::Explain(uint64_t bytes, Priority priority,
                                       const std::vector<RoadView>& roads, int64_t now_ns) const {
  SelectorMessage message;
  message.bytes = bytes;
  message.priority = priority;
  message.is_file = true;
  message.now_ns = now_ns;
  const std::vector<size_t> used(roads.size(), 0);
  return selector_->Explain(message, ViewsFor(roads, priority, used, now_ns));
}

bool TransferScheduler::AnyRoom(const std::vector<RoadView>& roads,
                                const std::vector<size_t>& used) {
  for (size_t i = 0; i < roads.size(); ++i) {
    if (roads[i].ready && roads[i].credit > used[i]) return true;
  }
  return false;
}

// The share of the bandwidth that a file gets for its whole way, which cannot be changed later;
// none: it has to wait for one.
std::optional<uint64_t> TransferScheduler::RateFor(const Key& key, const Load& load,
                                                   size_t candidates) const {
  const uint64_t all = options_.bytes_per_second;
  if (all == 0) return 0;
  const auto ordinary = static_cast<uint64_t>(static_cast<double>(all) * kOrdinaryShare);
  const uint64_t limit = IsUrgent(key) ? all : ordinary;
  const uint64_t free = limit > load.rate ? limit - load.rate : 0;
  const uint64_t share = free / std::max<size_t>(candidates, 1);
  const uint64_t least = std::min(std::max<uint64_t>(all / 8, kLeastRate), limit);
  if (free < least) return std::nullopt;
  return std::max(share, least);
}

std::vector<TransferScheduler::Start> TransferScheduler::Plan(const std::vector<RoadView>& roads,
                                                              int64_t now_ns, absl::Time wall) {
  std::vector<Start> starts;
  const bool open = IsOpen(wall);
  std::vector<size_t> used(roads.size(), 0);
  Load load = LoadNow();
  size_t looked = 0;
  size_t asked = 0;
  size_t left = std::min<size_t>(waiting_.size(), options_.files);
  for (auto it = waiting_.begin(); it != waiting_.end() && ++looked <= kMaxLooked;) {
    if (load.files >= options_.files + options_.urgent || asked >= kMaxAsked) break;
    if (!IsUrgent(it->first) && load.files >= options_.files) break;  // So it is for all behind.
    if (!AnyRoom(roads, used)) break;
    const bool exempt = IsUrgent(it->first) && !options_.schedule.urgent;
    const bool may = (open || exempt) && it->second.due_ns <= now_ns &&
                     HasRoom(it->first, it->second, load) &&
                     !WaitsForRetry(it->second, roads, now_ns);
    const std::optional<uint64_t> rate =
        may ? RateFor(it->first, load, left) : std::optional<uint64_t>();
    if (rate.has_value()) ++asked;
    const int pick =
        rate.has_value() ? PickRoad(it->first, &it->second, roads, used, now_ns) : Choice::kNone;
    if (pick == Choice::kNone) {
      ++it;
      continue;
    }
    const auto index = static_cast<size_t>(pick);
    ++used[index];
    if (left > 1) --left;
    const int64_t sequence = it->first.second;
    active_[sequence] = {it->first, std::move(it->second), roads[index].name, now_ns, *rate};
    starts.push_back({sequence, roads[index].name, *rate});
    it = waiting_.erase(it);
    load = LoadNow();
  }
  return starts;
}

std::vector<int64_t> TransferScheduler::Outside(const std::vector<RoadView>& roads,
                                                absl::Time wall) const {
  std::vector<int64_t> outside;
  const bool open = IsOpen(wall);
  for (const auto& [sequence, active] : active_) {
    if (IsUrgent(active.key) && !options_.schedule.urgent) continue;
    const auto road =
        std::find_if(roads.begin(), roads.end(),
                     [&, &name = active.road](const RoadView& view) { return view.name == name; });
    // A quality that gets worse ends nothing: what is under way may be what made it so.
    const bool metered = options_.schedule.unmetered_only && road != roads.end() && road->metered;
    if (!open || metered) outside.push_back(sequence);
  }
  return outside;
}

CircuitBreaker* TransferScheduler::BreakerOf(const std::string& road) {
  return &breakers_.try_emplace(road, options_.failures_to_open).first->second;
}

BreakerState TransferScheduler::breaker(const std::string& road, int64_t now_ns) const {
  const auto found = breakers_.find(road);
  return found == breakers_.end() ? BreakerState::kClosed : found->second.state(now_ns);
}

int64_t TransferScheduler::DelayNanos(uint32_t failures) {
  return absl::ToInt64Nanoseconds(RetryPolicy::DelayAfter(options_.retry, failures, random_));
}

TransferScheduler::Verdict TransferScheduler::OnEnded(int64_t sequence, const Ended& ended,
                                                      int64_t now_ns) {
  const auto found = active_.find(sequence);
  if (found == active_.end()) return {Next::kGiveUp, false, false};
  Active active = std::move(found->second);
  active_.erase(found);
  switch (ended.outcome) {
    case Outcome::kDurable:
      BreakerOf(active.road)->OnSuccess();
      return {Next::kDone, false, false};
    case Outcome::kReject:
      return {Next::kGiveUp, true, true};
    case Outcome::kCancelled:
      active.file.due_ns = now_ns + kReleasedNanos;
      waiting_[active.key] = std::move(active.file);
      return {Next::kAgain, false, false};
    case Outcome::kExpired:
    case Outcome::kRetry:
      break;
  }
  return Postpone(active, ended, now_ns);
}

TransferScheduler::Verdict TransferScheduler::Postpone(const Active& active, const Ended& ended,
                                                       int64_t now_ns) {
  const bool strike = !IsOutage(ended.code) && !ended.progressed;
  // A road is not to blame for what is wrong with one file.
  if (!strike) {
    BreakerOf(active.road)
        ->OnFailure(active.begun_ns, absl::ToInt64Nanoseconds(ended.retry_after), now_ns,
                    [this](uint32_t times) { return DelayNanos(times); });
  }
  Waiting file = active.file;
  if (ended.progressed) file.failures = file.strikes = 0;
  if (strike) ++file.strikes;
  if (file.strikes >= options_.max_attempts) return {Next::kGiveUp, true, strike};
  // Another road takes it at once; those that failed wait.
  const auto known = std::find(file.failed.begin(), file.failed.end(), active.road);
  if (known == file.failed.end()) file.failed.push_back(active.road);
  ++file.failures;
  file.retry_ns =
      now_ns + std::max(DelayNanos(file.failures), absl::ToInt64Nanoseconds(ended.retry_after));
  waiting_[active.key] = std::move(file);
  return {Next::kAgain, true, strike};
}

int64_t TransferScheduler::NextDueNanos(int64_t now_ns) const {
  int64_t next = kNever;
  size_t looked = 0;
  for (const auto& [key, file] : waiting_) {
    if (++looked > kMaxLooked) break;
    const int64_t due = std::max(file.due_ns, file.failed.empty() ? 0 : file.retry_ns);
    if (due > now_ns) next = std::min(next, due);
  }
  for (const auto& [road, state] : breakers_) {
    if (state.open_until_ns() > now_ns) next = std::min(next, state.open_until_ns());
  }
  return next;
}

}  // namespace viaduct
