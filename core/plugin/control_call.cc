#include "core/plugin/control_call.h"

#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/executor.h"

namespace viaduct {
namespace {

struct Pending {
  absl::Mutex mutex;
  bool done ABSL_GUARDED_BY(mutex) = false;
  absl::Status status ABSL_GUARDED_BY(mutex);
};

// Holds what KeepForever was given. Never destroyed: its contents must outlive even exit().
struct Attic {
  absl::Mutex mutex;
  std::vector<std::shared_ptr<const void>> things ABSL_GUARDED_BY(mutex);
};

}  // namespace

ControlOutcome RunControlCall(std::string_view thread_name, absl::Duration limit,
                              std::function<absl::Status()> call) {
  const auto pending = std::make_shared<Pending>();
  std::thread thread;
  try {
    thread = std::thread([pending, name = std::string(thread_name), call = std::move(call)] {
      SetThreadName(name);
      absl::Status status = call();
      absl::MutexLock lock(&pending->mutex);
      pending->status = std::move(status);
      pending->done = true;
    });
  } catch (const std::system_error& error) {
    return {true, absl::InternalError(error.what())};
  }
  bool done = false;
  absl::Status status;
  {
    absl::MutexLock lock(&pending->mutex);
    done = pending->mutex.AwaitWithTimeout(absl::Condition(&pending->done), limit);
    status = pending->status;
  }
  if (!done) {
    thread.detach();
    return {false, absl::OkStatus()};
  }
  thread.join();
  return {true, std::move(status)};
}

void KeepForever(std::shared_ptr<const void> thing) {
  static Attic* const attic = std::make_unique<Attic>().release();
  absl::MutexLock lock(&attic->mutex);
  attic->things.push_back(std::move(thing));
}

}  // namespace viaduct
