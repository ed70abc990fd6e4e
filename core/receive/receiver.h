// The receiving side of files: what devices have told of and what lies in their folders is brought
// together, compared, taken in and settled in the store; the device is told how it ended.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/observe/log.h"
#include "core/receive/arrivals.h"
#include "core/receive/incoming_cleanup.h"
#include "core/receive/incoming_folder.h"
#include "core/receive/incoming_watch.h"
#include "core/store/image_folder.h"
#include "core/store/store.h"
#include "core/transfer/local_file.h"

namespace viaduct {

struct ReceiverOptions {
  IncomingFolderOptions folder;
  std::string files;  // Where files that are no images are kept, by their transfer's id.
  ArrivalsOptions arrivals;
  IncomingWatchOptions watch;
  IncomingCleanupOptions cleanup;
  absl::Duration settle = absl::Seconds(10);  // A file that was changed since may be unfinished.
  absl::Duration rescan = absl::Minutes(1);   // Between looks through everything.
  absl::Duration wait = absl::Hours(7 * 24);  // For a file that was told of; then it has failed.
  absl::Duration keep_parts = absl::Hours(7 * 24);  // What was begun and given up.
};

// How a transfer stands, for the device that told of it.
struct FileAnswer {
  std::string transfer_id;
  std::string device_id;
  std::string node_id;  // That sends it for the device; "": the device itself.
  FileState state = FileState::kWaiting;
  std::string sha256;
  std::string detail;
};

struct ReceiverInfo {
  size_t waiting = 0;   // Announced, and not here or not yet compared.
  uint64_t stored = 0;  // Since start; so are the others that are not said to be of now.
  uint64_t failed = 0;
  uint64_t expired = 0;        // Of those: that did not come in time.
  uint64_t removed_files = 0;  // By age, quota and want of space.
  uint64_t removed_parts = 0;
  uint64_t not_removed = 0;                    // Files that the node may not remove.
  size_t files = 0;                            // In the last look.
  size_t unannounced = 0;                      // Of these: that nobody has told of.
  std::vector<std::string> unannounced_names;  // At most kMaxNamed.
  std::vector<std::string> over_quota;         // Devices, in the last cleaning.
  std::vector<std::string> cut;                // Devices with too many entries.
  bool short_of_space = false;
  bool watched = true;   // Else files are found by looks alone.
  size_t unwatched = 0;  // Folders beyond the watches.
};

// Thread-safe. One thread watches and looks; the comparing has a pool of its own.
class Receiver {
 public:
  static constexpr size_t kMaxNamed = 100;
  static constexpr size_t kMaxRechecks = 10'000;  // Files that are looked at again soon.
  static constexpr size_t kMaxLookups = 4'096;    // Repeated announcements that wait.
  static constexpr int kMaxPages = 20;            // Of waiting rows, taken up in one look.
  static constexpr absl::Duration kMinRescan = absl::Seconds(1);
  static constexpr absl::Duration kCleanupEvery = absl::Minutes(1);

  struct Deps {  // All outlive it.
    const Clock* clock = nullptr;
    Log* log = nullptr;
    Store* store = nullptr;
    ImageFolder* images = nullptr;
    std::function<void(const FileAnswer&)> answer;  // Any thread; must return at once.
  };

  // Takes up what the store says is waiting.
  static absl::StatusOr<std::unique_ptr<Receiver>> Start(ReceiverOptions options, Deps deps);
  // As Stop.
  ~Receiver();

  // The announcement is durable; `known`: it was before, and the device asks how it stands. Returns
  // at once.
  void OnAnnounced(const FileAnnouncement& announcement, bool known);
  // Of a stored one that is no image, for good. OK where there is none.
  absl::Status RemoveKept(const std::string& transfer_id) const {
    return files_->Remove(transfer_id);
  }
  // Waits for what is being compared.
  void Stop();

  ReceiverInfo Info() const;

 private:
  Receiver(ReceiverOptions options, Deps deps);
  absl::Status Open();

  // receiver.cc: of the thread.
  void Loop();
  void AwaitNews();
  void Wake();
  int64_t NextWork() const;
  void LookThrough();
  void TakeUpWaiting();
  bool TakeUp(const FileTransferRow& row);
  void Expire(const FileAnnouncement& announcement);
  void CleanUp();
  void HintRechecks();
  void LookUp(const FileAnnouncement& announcement);

  // receiver_check.cc: of the pool.
  absl::Status Check(const FileAnnouncement& announcement);
  absl::StatusOr<std::string> TakeIn(const FileAnnouncement& announcement);
  absl::Status Keep(const FileAnnouncement& announcement, const IncomingEntry& entry,
                    const std::string& path);
  absl::Status Refuse(const FileAnnouncement& announcement, const absl::Status& why, bool is_there);
  absl::Status Drop(const FileAnnouncement& announcement, const absl::Status& why);
  AppendResult Settle(const FileAnnouncement& announcement, FileState state,
                      const std::string& path, std::string_view detail);
  void RemoveSource(const IncomingEntry& entry);
  bool IsFresh(const IncomingEntry& entry) const;
  void RecheckLater(const std::string& name);
  void Answer(const FileAnnouncement& announcement, FileState state, std::string_view detail) const;

  const ReceiverOptions options_;
  const Deps deps_;
  std::unique_ptr<IncomingFolder> folder_;
  std::unique_ptr<OwnedFolder> files_;
  std::unique_ptr<OwnedFolder> staging_;  // Images on their way into the image folder.
  ThreadPool checks_;
  ThreadPool lookups_;
  std::unique_ptr<Arrivals> arrivals_;
  std::unique_ptr<Descriptor> news_;  // eventfd
  std::atomic<bool> stopping_{false};

  // Of the thread.
  std::unique_ptr<IncomingWatch> watch_;  // Null where the kernel has none.
  int64_t next_look_ns_ = 0;
  int64_t next_cleanup_ns_ = 0;
  int64_t taken_up_ = 0;  // FileTransferRow::number.

  mutable absl::Mutex mutex_;
  std::multimap<int64_t, std::string> rechecks_ ABSL_GUARDED_BY(mutex_);  // When; name.
  ReceiverInfo info_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace viaduct
