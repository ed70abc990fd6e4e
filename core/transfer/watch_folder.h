// A folder whose files are sent as they come: inotify tells of them, and now and then the folder is
// looked through for what it did not tell. One that cannot be read or is not there is tried again
// and again, and says so.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/message/envelope.h"
#include "core/observe/log.h"
#include "core/transfer/file_stamp.h"

namespace viaduct {

struct WatchFolderOptions {
  std::string path;  // Absolute.
  std::string device;
  Priority priority = Priority::kNormal;
  std::string kind = "file";
  bool remove = false;                       // Once it is confirmed; else it stays.
  absl::Duration settle = absl::Seconds(1);  // Unchanged for so long: it is complete.
  absl::Duration rescan = absl::Seconds(60);
};

struct WatchedFile {
  const WatchFolderOptions* folder = nullptr;
  std::string path;
  std::string id;  // The same for the same file with the same content and time.
  FileStamp stamp;
};

// Regular files of the folder itself, links and folders in it are left. Thread-safe.
class WatchFolder {
 public:
  static constexpr size_t kMaxPending = 10'000;  // Files that wait to settle.
  static constexpr size_t kMaxReported = 1'000;  // Names that were complained about, once each.
  static constexpr size_t kMaxKnown = 100'000;   // Files that are there and were taken.
  static constexpr size_t kMaxUnderWay = 2;      // Files that are being taken.
  // One that was not taken waits so long, twice as long each time.
  static constexpr absl::Duration kFirstDelay = absl::Seconds(1);
  static constexpr absl::Duration kLongestDelay = absl::Minutes(1);
  // While it is not as it should be it is looked through so often at least.
  static constexpr absl::Duration kTroubledRescan = absl::Seconds(5);
  static constexpr uint32_t kReportedRefusals = 3;  // In a row; then the file is complained about.

  // OK: it was taken. NOT_FOUND: it has gone. Anything else: it is tried again later.
  using TakenFn = std::function<void(absl::Status taken)>;
  // `take` gets every file that is complete, on the folder's thread, again and again until it was
  // taken.
  using TakeFn = std::function<void(const WatchedFile& file, TakenFn done)>;
  // `clock` and `log` outlive it. RESOURCE_EXHAUSTED: the machine has nothing left for it. A folder
  // that is not there is none: see state().
  static absl::StatusOr<std::unique_ptr<WatchFolder>> Start(WatchFolderOptions options,
                                                            const Clock* clock, Log* log,
                                                            TakeFn take);
  ~WatchFolder();  // Stop().
  // When it returns `take` is not called any more.
  void Stop();

  const std::string& path() const { return options_.path; }
  // OK: it is read and watched. RESOURCE_EXHAUSTED: its files are found by looks alone, or some are
  // not; FAILED_PRECONDITION: it cannot be read.
  absl::Status state() const;

 private:
  using Stamp = FileStamp;
  struct Pending {
    Stamp stamp;
    int64_t since_ns = 0;  // It has been as it is.
    int64_t due_ns = 0;    // Not before.
    uint32_t refusals = 0;
    bool under_way = false;
  };
  struct Results;  // Shared with what is under way.

  WatchFolder(WatchFolderOptions options, const Clock* clock, Log* log, TakeFn take);
  void Loop();
  void ReadEvents();
  void Scan();
  absl::Status LookThrough();
  absl::Status Attach();
  void SetState(const absl::Status& state);
  int64_t RescanNanos() const;
  void Note(const std::string& name);
  void HearResults();
  void Settle();
  void Take(const std::string& name, const Stamp& stamp);
  void Complain(const std::string& name, std::string_view why);
  bool StampOf(const std::string& name, Stamp* stamp);

  const WatchFolderOptions options_;
  const Clock* const clock_;
  Log* const log_;
  const TakeFn take_;
  const std::shared_ptr<Results> results_;
  int inotify_ = -1;
  int watch_ = -1;  // Of the folder that had the path at the last look.
  mutable absl::Mutex mutex_;
  absl::Status state_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> stopping_{false};
  // Of the thread.
  std::map<std::string, Pending> pending_;
  size_t under_way_ = 0;
  std::map<std::string, Stamp> known_;  // Taken.
  std::set<std::string> reported_;
  int64_t scanned_ns_ = 0;
  std::thread thread_;
};

}  // namespace viaduct
