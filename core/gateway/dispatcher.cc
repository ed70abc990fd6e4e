#include "core/gateway/dispatcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

// Honest links have at most their window in flight each; more is a plugin that floods.
constexpr size_t kMaxArrivals = 262'144;
constexpr size_t kMaxWork = 1'024;  // Probes that wait to be noted; more are forgotten.

}  // namespace

Dispatcher::Dispatcher(const DispatcherOptions& options, Outbox* outbox,
                       std::unique_ptr<Selector> selector, Clock* clock, Log* log)
    : clock_(clock),
      log_(log),
      outbox_(outbox),
      selector_(std::move(selector)),
      core_(options, outbox, selector_.get(), clock, random_, log) {
  outbox_->SetReadyHandler([this] { waker_.Wake(); });
  thread_ = std::thread([this] { Run(); });
}

Dispatcher::~Dispatcher() { Stop(absl::ZeroDuration()); }

bool Dispatcher::RunOnThread(std::function<void()> work) {
  absl::Notification done;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return false;
    work_.push_back([&] {
      work();
      done.Notify();
    });
  }
  waker_.Wake();
  done.WaitForNotification();
  return true;
}

absl::StatusOr<LinkId> Dispatcher::AddLink(Link* link, LinkTraits traits) {
  Member member;
  member.link = link;
  member.name = std::string(link->name());
  member.metered = traits.metered;
  member.counters = std::make_shared<LinkCounters>();
  {
    absl::MutexLock lock(&mutex_);
    member.id = next_id_++;
  }
  bool added = false;
  const bool ran = RunOnThread([&] {
    added = core_.AddLink(member.id, link, std::move(traits), member.counters);
    if (!added) return;
    {
      absl::MutexLock lock(&mutex_);
      members_.push_back(member);
    }
    const LinkId id = member.id;
    link->SetHandlers([this, id](absl::Span<const Completion> c) { OnComplete(id, c); },
                      [this, id] { OnReady(id); });
  });
  if (!ran) return absl::FailedPreconditionError("gateway: stopped");
  if (!added) return absl::ResourceExhaustedError(absl::StrCat("gateway: ", kMaxLinks, " links"));
  return member.id;
}

void Dispatcher::SetOrder(const std::vector<LinkId>& ids) {
  RunOnThread([&] {
    {
      absl::MutexLock lock(&mutex_);
      std::stable_sort(members_.begin(), members_.end(), [&](const Member& a, const Member& b) {
        return std::find(ids.begin(), ids.end(), a.id) < std::find(ids.begin(), ids.end(), b.id);
      });
    }
    core_.SetOrder(ids);
  });
}

void Dispatcher::SetSelector(std::unique_ptr<Selector> selector) {
  RunOnThread([&] {
    core_.SetSelector(selector.get());
    std::swap(selector_, selector);
  });
}

void Dispatcher::NoteProbe(LinkId id, bool answered, absl::Duration round_trip, uint64_t bytes) {
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_ || work_.size() >= kMaxWork) return;
    work_.push_back([=] { core_.NoteProbe(id, answered, round_trip, bytes); });
  }
  waker_.Wake();
}

Explanation Dispatcher::Explain(const SelectorMessage& message) {
  Explanation out;
  RunOnThread([&] { out = core_.Explain(message); });
  return out;
}

void Dispatcher::NoteSwitches() {
  for (LinkSwitch& change : core_.TakeSwitches()) {
    log_->Info("gateway", "another link",
               {{"from", change.from},
                {"to", change.to},
                {"why", change.why},
                {"priority", PriorityName(change.priority)},
                {"bytes", absl::StrCat(change.bytes)}});
    absl::MutexLock lock(&mutex_);
    ++switched_;
    if (switches_.size() >= DispatchCore::kMaxSwitches) switches_.pop_front();
    switches_.push_back(std::move(change));
  }
}

std::vector<LinkSwitch> Dispatcher::Switches(uint64_t* total) const {
  absl::MutexLock lock(&mutex_);
  *total = switched_;
  return {switches_.begin(), switches_.end()};
}

void Dispatcher::RemoveLink(LinkId id) {
  Link* link = nullptr;
  const bool ran = RunOnThread([&] {
    {
      absl::MutexLock lock(&mutex_);
      const auto it = std::find_if(members_.begin(), members_.end(),
                                   [id](const Member& member) { return member.id == id; });
      if (it == members_.end()) return;
      link = it->link;
      members_.erase(it);
    }
    core_.RemoveLink(id);
  });
  if (!ran) {
    absl::MutexLock stopped(&stop_mutex_);  // Stop lets go of all links; wait for its end.
    return;
  }
  if (link != nullptr) link->SetHandlers(nullptr, nullptr);
}

void Dispatcher::OnComplete(LinkId id, absl::Span<const Completion> completions) {
  {
    absl::MutexLock lock(&mutex_);
    for (const Completion& completion : completions) {
      if (arrivals_.size() >= kMaxArrivals) {
        ++overrun_;  // Those deliveries time out.
        continue;
      }
      arrivals_.push_back({id, completion});
    }
  }
  waker_.Wake();
}

void Dispatcher::OnReady(LinkId id) {
  {
    absl::MutexLock lock(&mutex_);
    if (std::find(ready_.begin(), ready_.end(), id) == ready_.end()) ready_.push_back(id);
  }
  waker_.Wake();
}

void Dispatcher::DeliverArrivals(std::vector<Arrival>* arrivals) {
  size_t i = 0;
  while (i < arrivals->size()) {  // Runs of the same link together.
    const LinkId id = (*arrivals)[i].link;
    completions_.clear();
    for (; i < arrivals->size() && (*arrivals)[i].link == id; ++i) {
      completions_.push_back(std::move((*arrivals)[i].completion));
    }
    core_.Complete(id, completions_);
  }
  arrivals->clear();
}

// False: stopping, and nothing is left to wait for.
bool Dispatcher::HandleEvents() {
  std::vector<LinkId> ready;
  std::vector<std::function<void()>> work;
  bool stopping = false;
  int64_t stop_at = 0;
  uint64_t overrun = 0;
  {
    absl::MutexLock lock(&mutex_);
    std::swap(batch_, arrivals_);
    std::swap(ready, ready_);
    std::swap(work, work_);
    stopping = stopping_;
    stop_at = stop_at_ns_;
    std::swap(overrun, overrun_);
  }
  if (overrun > 0) {
    log_->Error("gateway", "too many completions, dropped", {{"count", absl::StrCat(overrun)}});
  }
  DeliverArrivals(&batch_);
  for (const LinkId id : ready) core_.LinkReady(id);
  for (const std::function<void()>& task : work) task();
  if (!stopping) return true;
  core_.StopClaiming();
  return core_.in_flight() > 0 && clock_->MonotonicNanos() < stop_at;
}

void Dispatcher::Run() {
  while (HandleEvents()) {
    int64_t wake = core_.Step();
    NoteSwitches();
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) wake = std::min(wake, stop_at_ns_);
    }
    const int64_t now = clock_->MonotonicNanos();
    waker_.Wait(wake == DispatchCore::kNever ? Waker::kForever : wake - now);
  }
  absl::MutexLock lock(&mutex_);
  clean_ = core_.in_flight() == 0;
}

bool Dispatcher::Stop(absl::Duration grace) {
  absl::MutexLock stop(&stop_mutex_);
  {
    absl::MutexLock lock(&mutex_);
    if (!stopping_) stop_at_ns_ = clock_->MonotonicNanos() + absl::ToInt64Nanoseconds(grace);
    stopping_ = true;
  }
  waker_.Wake();
  if (!thread_.joinable()) {
    absl::MutexLock lock(&mutex_);
    return clean_;
  }
  thread_.join();
  std::vector<Member> members;
  {
    absl::MutexLock lock(&mutex_);
    std::swap(members, members_);
  }
  for (const Member& member : members) member.link->SetHandlers(nullptr, nullptr);
  outbox_->SetReadyHandler(nullptr);
  // Completions that came in between still count; what is left goes back.
  HandleEvents();
  core_.GiveBackAll();
  absl::MutexLock lock(&mutex_);
  return clean_;
}

std::vector<LinkStats> Dispatcher::Stats() const {
  std::vector<Member> members;
  {
    absl::MutexLock lock(&mutex_);
    members = members_;
  }
  std::vector<LinkStats> stats;
  for (const Member& member : members) {
    LinkStats one = member.counters->Read(clock_->MonotonicNanos());
    one.id = member.id;
    one.name = member.name;
    one.metered = member.metered;
    stats.push_back(std::move(one));
  }
  return stats;
}

size_t Dispatcher::in_flight() const {
  uint64_t total = 0;
  absl::MutexLock lock(&mutex_);
  for (const Member& member : members_) {
    total += member.counters->in_flight.load(std::memory_order_relaxed);
  }
  return static_cast<size_t>(total);
}

}  // namespace viaduct
