// Tells ThreadSanitizer about Abseil's locks. Debian's libabsl is not instrumented, so that TSan
// sees neither absl::Mutex nor what is built on it, and every guarded field would look like a race.
// These definitions come before the library's, because the executable is searched first, also for
// calls from plugins and from gRPC. Each one reports the lock to TSan and calls the library's own.
//
// "Released" is reported before the real release and "acquired" after the real acquisition, so that
// TSan never sees two owners. Between a pre and a post call TSan ignores memory accesses:
// conditions of other waiters, which Abseil evaluates inside Unlock(), are therefore no false
// reports.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace {

template <typename Function>
Function* Next(const char* symbol) {
  void* found = dlsym(RTLD_NEXT, symbol);
  if (found == nullptr) {
    std::fprintf(stderr, "tsan_absl: no symbol %s, is this another Abseil?\n", symbol);
    std::abort();
  }
  return reinterpret_cast<Function*>(found);
}

constexpr unsigned kWrite = 0;
constexpr unsigned kRead = __tsan_mutex_read_lock;

void Released(void* mutex, unsigned flags) {
  __tsan_mutex_pre_unlock(mutex, flags);
  __tsan_mutex_post_unlock(mutex, flags);
}

void AboutToLock(void* mutex, unsigned flags) { __tsan_mutex_pre_lock(mutex, flags); }

void Locked(void* mutex, unsigned flags) { __tsan_mutex_post_lock(mutex, flags, 0); }

void TriedToLock(void* mutex, unsigned flags, bool locked) {
  __tsan_mutex_post_lock(
      mutex, flags | __tsan_mutex_try_lock | (locked ? 0 : __tsan_mutex_try_lock_failed), 0);
}

void Acquired(const std::atomic<bool>& flag) {
  __tsan_acquire(const_cast<std::atomic<bool>*>(&flag));
}

}  // namespace

// The library's function of this name, with `this` as its first argument.
#define VD_NEXT(symbol, ...) static auto* const next = Next<__VA_ARGS__>("_ZN4absl7debian3" symbol)
#define VD_NEXT_CONST(symbol, ...) \
  static auto* const next = Next<__VA_ARGS__>("_ZNK4absl7debian3" symbol)

namespace absl {
ABSL_NAMESPACE_BEGIN

Mutex::~Mutex() {
  VD_NEXT("5MutexD1Ev", void(Mutex*));
  next(this);
  __tsan_mutex_destroy(this, __tsan_mutex_not_static);
}

void Mutex::Lock() {
  VD_NEXT("5Mutex4LockEv", void(Mutex*));
  AboutToLock(this, kWrite);
  next(this);
  Locked(this, kWrite);
}

void Mutex::Unlock() {
  VD_NEXT("5Mutex6UnlockEv", void(Mutex*));
  __tsan_mutex_pre_unlock(this, kWrite);
  next(this);
  __tsan_mutex_post_unlock(this, kWrite);
}

bool Mutex::TryLock() {
  VD_NEXT("5Mutex7TryLockEv", bool(Mutex*));
  AboutToLock(this, kWrite | __tsan_mutex_try_lock);
  const bool locked = next(this);
  TriedToLock(this, kWrite, locked);
  return locked;
}

void Mutex::ReaderLock() {
  VD_NEXT("5Mutex10ReaderLockEv", void(Mutex*));
  AboutToLock(this, kRead);
  next(this);
  Locked(this, kRead);
}

void Mutex::ReaderUnlock() {
  VD_NEXT("5Mutex12ReaderUnlockEv", void(Mutex*));
  __tsan_mutex_pre_unlock(this, kRead);
  next(this);
  __tsan_mutex_post_unlock(this, kRead);
}

bool Mutex::ReaderTryLock() {
  VD_NEXT("5Mutex13ReaderTryLockEv", bool(Mutex*));
  AboutToLock(this, kRead | __tsan_mutex_try_lock);
  const bool locked = next(this);
  TriedToLock(this, kRead, locked);
  return locked;
}

void Mutex::LockWhen(const Condition& condition) {
  VD_NEXT("5Mutex8LockWhenERKNS0_9ConditionE", void(Mutex*, const Condition&));
  AboutToLock(this, kWrite);
  next(this, condition);
  Locked(this, kWrite);
}

bool Mutex::LockWhenWithTimeout(const Condition& condition, Duration timeout) {
  return LockWhenWithDeadline(condition, Now() + timeout);
}

bool Mutex::LockWhenWithDeadline(const Condition& condition, Time deadline) {
  VD_NEXT("5Mutex20LockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE",
          bool(Mutex*, const Condition&, Time));
  AboutToLock(this, kWrite);
  const bool result = next(this, condition, deadline);
  Locked(this, kWrite);
  return result;
}

void Mutex::ReaderLockWhen(const Condition& condition) {
  VD_NEXT("5Mutex14ReaderLockWhenERKNS0_9ConditionE", void(Mutex*, const Condition&));
  AboutToLock(this, kRead);
  next(this, condition);
  Locked(this, kRead);
}

// Await is called with the lock held, as writer in this project.
void Mutex::Await(const Condition& condition) {
  VD_NEXT("5Mutex5AwaitERKNS0_9ConditionE", void(Mutex*, const Condition&));
  Released(this, kWrite);
  AboutToLock(this, kWrite);
  next(this, condition);
  Locked(this, kWrite);
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  return AwaitWithDeadline(condition, Now() + timeout);
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  VD_NEXT("5Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE",
          bool(Mutex*, const Condition&, Time));
  Released(this, kWrite);
  AboutToLock(this, kWrite);
  const bool result = next(this, condition, deadline);
  Locked(this, kWrite);
  return result;
}

void CondVar::Wait(Mutex* mutex) {
  VD_NEXT("7CondVar4WaitEPNS0_5MutexE", void(CondVar*, Mutex*));
  Released(mutex, kWrite);
  AboutToLock(mutex, kWrite);
  next(this, mutex);
  Locked(mutex, kWrite);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  return WaitWithDeadline(mutex, Now() + timeout);
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  VD_NEXT("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE", bool(CondVar*, Mutex*, Time));
  Released(mutex, kWrite);
  AboutToLock(mutex, kWrite);
  const bool result = next(this, mutex, deadline);
  Locked(mutex, kWrite);
  return result;
}

// HasBeenNotified() is inline and reads the flag that Notify() writes unseen.
void Notification::Notify() {
  VD_NEXT("12Notification6NotifyEv", void(Notification*));
  __tsan_release(&notified_yet_);
  next(this);
}

void Notification::WaitForNotification() const {
  VD_NEXT_CONST("12Notification19WaitForNotificationEv", void(const Notification*));
  next(this);
  Acquired(notified_yet_);
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  return WaitForNotificationWithDeadline(Now() + timeout);
}

bool Notification::WaitForNotificationWithDeadline(Time deadline) const {
  VD_NEXT_CONST("12Notification31WaitForNotificationWithDeadlineENS0_4TimeE",
                bool(const Notification*, Time));
  const bool notified = next(this, deadline);
  if (notified) Acquired(notified_yet_);
  return notified;
}

bool BlockingCounter::DecrementCount() {
  VD_NEXT("15BlockingCounter14DecrementCountEv", bool(BlockingCounter*));
  __tsan_release(this);
  return next(this);
}

void BlockingCounter::Wait() {
  VD_NEXT("15BlockingCounter4WaitEv", void(BlockingCounter*));
  next(this);
  __tsan_acquire(this);
}

ABSL_NAMESPACE_END
}  // namespace absl
