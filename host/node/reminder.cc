#include "host/node/reminder.h"

#include <utility>

namespace viaduct {

Reminder::Reminder(TimerQueue* timers, Executor* executor) : timers_(timers), executor_(executor) {}

void Reminder::Set(absl::Duration delay, WorkFn work) {
  absl::MutexLock lock(&mutex_);
  if (timer_ != 0) timers_->Cancel(timer_);
  work_ = std::move(work);
  Arm(++number_, delay);
}

void Reminder::TakeBack() {
  absl::MutexLock lock(&mutex_);
  if (timer_ != 0) timers_->Cancel(std::exchange(timer_, 0));
  ++number_;
  work_ = nullptr;
}

void Reminder::Arm(uint64_t number, absl::Duration delay) {
  timer_ = timers_->ArmAfter(delay, [this, number] { OnTime(number); });
}

// The timers' thread must not wait for the work.
void Reminder::OnTime(uint64_t number) {
  if (executor_->Submit([this, number] { Do(number); })) return;
  absl::MutexLock lock(&mutex_);
  if (number == number_) Arm(number, kPause);
}

void Reminder::Do(uint64_t number) {
  WorkFn work;
  {
    absl::MutexLock lock(&mutex_);
    if (number != number_) return;
    work = work_;
  }
  const bool done = work();
  absl::MutexLock lock(&mutex_);
  if (number != number_) return;
  timer_ = 0;
  if (done) {
    work_ = nullptr;
  } else {
    Arm(number, kPause);
  }
}

}  // namespace viaduct
