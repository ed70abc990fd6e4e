// Brings announcements and files together, whichever comes first, and has each pair compared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "core/receive/announcement.h"

namespace viaduct {

struct ArrivalsOptions {
  size_t max_waiting = 100'000;            // Announcements without their file.
  size_t max_waiting_per_device = 20'000;  // One device takes no other one's room.
  int max_checks = 2;                      // At once.
};

// Thread-safe. What waits is in memory; who owns it keeps the announcements and gives them again
// after a restart, and gives those again for which there was no room.
class Arrivals {
 public:
  // Begins to compare; `done` is called once, on any thread, not before `check` returns. OK or
  // DATA_LOSS: settled, and forgotten here. Others: the file is not (yet) there or could not be
  // read, it waits for the next hint.
  using CheckFn = std::function<void(const FileAnnouncement& announcement,
                                     std::function<void(absl::Status)> done)>;

  // `check` is never called with a lock held.
  Arrivals(ArrivalsOptions options, CheckFn check);
  // As Stop.
  ~Arrivals();
  // Begins no more and waits until all that was begun is done.
  void Stop();

  // The file may be there already: it is looked for at once. The same transfer again is a hint;
  // what it tells now counts, and what is found out about what it told before does not.
  // RESOURCE_EXHAUSTED: too many wait.
  absl::Status Announce(const FileAnnouncement& announcement);
  // A file of that name may be complete.
  void Hint(std::string_view name);
  // A transfer that was settled in another way. One that is being compared goes when that is done.
  void Forget(std::string_view transfer_id);
  // How many transfers, waiting or being compared, are of that name. A file that is not what one of
  // several announced may be what another one did.
  size_t WaitingFor(std::string_view name) const;

  size_t waiting() const;

 private:
  enum class State : uint8_t {
    kIdle,     // Until a hint.
    kQueued,   // To be compared.
    kChecked,  // Is being compared.
    kAgain,    // That, with a hint since.
  };
  struct Waiting {
    FileAnnouncement announcement;
    State state = State::kIdle;
    bool forgotten = false;  // While it is compared; so is the next.
    bool replaced = false;   // By what was announced since.
  };
  using ById = absl::flat_hash_map<std::string, Waiting>;

  void Replace(const FileAnnouncement& announcement, Waiting* waiting)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EraseName(const FileAnnouncement& gone) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Queue(Waiting* waiting) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Erase(ById::iterator it) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Work();
  void Done(const std::string& transfer_id, const absl::Status& status);

  const ArrivalsOptions options_;
  const CheckFn check_;
  mutable absl::Mutex mutex_;
  ById waiting_ ABSL_GUARDED_BY(mutex_);
  std::multimap<std::string, std::string, std::less<>> by_name_ ABSL_GUARDED_BY(mutex_);  // To id.
  absl::flat_hash_map<std::string, size_t> per_device_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> queue_ ABSL_GUARDED_BY(mutex_);  // Ids; what is gone is passed over.
  int checks_ ABSL_GUARDED_BY(mutex_) = 0;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;  // Checks that have begun and not come back.
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace viaduct
