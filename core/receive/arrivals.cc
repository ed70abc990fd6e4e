#include "core/receive/arrivals.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"

namespace viaduct {

Arrivals::Arrivals(ArrivalsOptions options, CheckFn check)
    : options_(options), check_(std::move(check)) {}

Arrivals::~Arrivals() { Stop(); }

void Arrivals::Stop() {
  const absl::MutexLock lock(&mutex_);
  stopping_ = true;
  mutex_.Await(absl::Condition(
      +[](int* calls) { return *calls == 0; }, &calls_));
}

absl::Status Arrivals::Announce(const FileAnnouncement& announcement) {
  {
    const absl::MutexLock lock(&mutex_);
    const auto known = waiting_.find(announcement.transfer_id);
    if (known != waiting_.end()) {
      known->second.forgotten = false;
      Replace(announcement, &known->second);
      Queue(&known->second);
    } else if (waiting_.size() >= options_.max_waiting) {
      return absl::ResourceExhaustedError(
          absl::StrCat("files: too many are announced and not here, limit ", options_.max_waiting));
    } else if (size_t& count = per_device_[announcement.device_id];
               count >= options_.max_waiting_per_device) {
      return absl::ResourceExhaustedError(
          absl::StrCat("files: too many of this device are announced and not here, limit ",
                       options_.max_waiting_per_device));
    } else {
      ++count;
      by_name_.emplace(announcement.file.name, announcement.transfer_id);
      Waiting& added = waiting_[announcement.transfer_id];
      added.announcement = announcement;
      Queue(&added);
    }
  }
  Work();
  return absl::OkStatus();
}

void Arrivals::Hint(std::string_view name) {
  {
    const absl::MutexLock lock(&mutex_);
    const auto [begin, end] = by_name_.equal_range(name);
    for (auto it = begin; it != end; ++it) Queue(&waiting_.at(it->second));
  }
  Work();
}

void Arrivals::Forget(std::string_view transfer_id) {
  const absl::MutexLock lock(&mutex_);
  const auto it = waiting_.find(AbslView(transfer_id));
  if (it == waiting_.end()) return;
  const State state = it->second.state;
  if (state == State::kChecked || state == State::kAgain) {
    it->second.forgotten = true;
  } else {
    Erase(it);
  }
}

size_t Arrivals::WaitingFor(std::string_view name) const {
  const absl::MutexLock lock(&mutex_);
  const auto [begin, end] = by_name_.equal_range(name);
  return static_cast<size_t>(std::distance(begin, end));
}

size_t Arrivals::waiting() const {
  const absl::MutexLock lock(&mutex_);
  return waiting_.size();
}

void Arrivals::Replace(const FileAnnouncement& announcement, Waiting* waiting) {
  const IncomingAnnouncement& before = waiting->announcement.file;
  const IncomingAnnouncement& now = announcement.file;
  const bool same =
      before.name == now.name && before.size == now.size && before.sha256 == now.sha256;
  if (!same) {
    EraseName(waiting->announcement);
    by_name_.emplace(now.name, announcement.transfer_id);
    waiting->replaced = waiting->state == State::kChecked || waiting->state == State::kAgain;
  }
  waiting->announcement = announcement;
}

void Arrivals::Queue(Waiting* waiting) {
  if (waiting->state == State::kChecked) waiting->state = State::kAgain;
  if (waiting->state != State::kIdle) return;
  waiting->state = State::kQueued;
  queue_.push_back(waiting->announcement.transfer_id);
}

// Its place in the queue, if it has one, stays and is passed over.
void Arrivals::Erase(ById::iterator it) {
  const FileAnnouncement& gone = it->second.announcement;
  const auto count = per_device_.find(gone.device_id);
  if (--count->second == 0) per_device_.erase(count);
  EraseName(gone);
  waiting_.erase(it);
}

void Arrivals::EraseName(const FileAnnouncement& gone) {
  const auto [begin, end] = by_name_.equal_range(gone.file.name);
  for (auto name = begin; name != end; ++name) {
    if (name->second != gone.transfer_id) continue;
    by_name_.erase(name);
    return;
  }
}

void Arrivals::Work() {
  while (true) {
    FileAnnouncement next;
    {
      const absl::MutexLock lock(&mutex_);
      if (stopping_ || queue_.empty() || checks_ >= options_.max_checks) return;
      const auto it = waiting_.find(queue_.front());
      queue_.pop_front();
      if (it == waiting_.end() || it->second.state != State::kQueued) continue;
      it->second.state = State::kChecked;
      next = it->second.announcement;
      ++checks_;
      ++calls_;
    }
    check_(next, [this, id = next.transfer_id](const absl::Status& status) { Done(id, status); });
  }
}

void Arrivals::Done(const std::string& transfer_id, const absl::Status& status) {
  {
    const absl::MutexLock lock(&mutex_);
    --checks_;
    const auto it = waiting_.find(transfer_id);
    const bool replaced = std::exchange(it->second.replaced, false);
    const bool again = it->second.state == State::kAgain || replaced;
    const bool settled = (status.ok() || absl::IsDataLoss(status)) && !replaced;
    it->second.state = State::kIdle;
    if (settled || it->second.forgotten) {
      Erase(it);
    } else if (again) {
      Queue(&it->second);
    }
  }
  Work();
  const absl::MutexLock lock(&mutex_);
  --calls_;
}

}  // namespace viaduct
