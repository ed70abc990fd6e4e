// The files of a node on their way to the server: taking them in, sending them, looking at them.
// See docs/TRANSFERS.md.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/observe/log.h"
#include "core/transfer/local_file.h"
#include "core/transfer/transfer_care.h"
#include "core/transfer/transfer_engine.h"
#include "core/transfer/transfer_queue.h"
#include "core/transfer/watch_folder.h"

namespace viaduct {

struct TransfersOptions {
  std::string node_id;             // Device of files that name none.
  std::string folder;              // Absolute; made where it is missing.
  std::vector<std::string> roots;  // Files may be given by a path below these and `outgoing`.
  uint64_t max_file_bytes = uint64_t{64} << 30;
  uint64_t min_free_bytes = 0;  // Of the disk, left to others: what would leave less is refused.
  TransferQueueOptions queue;   // `path` is set here.
  TransferEngineOptions engine;
  TransferCareOptions care;
  std::vector<WatchFolderOptions> watch;
};

// What a sender says of a file.
struct FileRequest {
  std::string id;  // A UUID; "": the node makes one, and a repetition is then a new transfer.
  std::string device;
  std::string name;  // Below the device's folder; "": by day and the name of the file.
  Priority priority = Priority::kNormal;
  std::string kind;  // "image", "plate" or "file"; "": file.
  uint32_t index = 0;
  std::string message_id;
  absl::Time captured = absl::InfinitePast();  // That: now.
  uint64_t size = 0;                           // 0: not known.
  std::string sha256;                          // "": not known.
};

enum class FileTake : uint8_t {
  kReference,  // It stays where it is, unchanged, until it is confirmed.
  kLink,       // The node links it into its own folder, or copies it where that cannot be.
  kCopy,
};

// Thread-safe.
class Transfers {
 public:
  static constexpr int kFileThreads = 2;        // Read and digest.
  static constexpr size_t kMaxFileTasks = 256;  // That wait for them.
  static constexpr int kUploadThreads = 2;
  static constexpr absl::Duration kCareEvery = absl::Seconds(10);
  static constexpr absl::Duration kRecoverEvery = absl::Minutes(10);
  // A file without a row is left to its sender, who got no answer and sends it again, so long.
  static constexpr absl::Duration kOrphanAge = absl::Minutes(10);

  using AnswerFn = std::function<void(absl::StatusOr<TransferQueue::Added>)>;
  using ChangeFn = std::function<void(absl::StatusOr<Transfer>)>;

  struct Deps {
    const Clock* clock = nullptr;
    Log* log = nullptr;
    std::function<RoadQuality(const std::string& road)> quality;  // As of TransferEngine.
    std::function<void(const Transfer&, std::function<void(absl::Status)>)> announce;
    std::function<void(const Transfer&)> changed;  // Every change of a row, and how it moves on.
    std::function<bool()> heard;                   // As of TransferEngine.
  };

  // Opens queue and folders. All of `deps` outlive the transfers.
  static absl::StatusOr<std::unique_ptr<Transfers>> Open(TransfersOptions options, Deps deps);
  ~Transfers();

  // Takes up what waits; begins to watch folders.
  absl::Status Start();
  // Takes nothing more in and sends nothing more. When it returns no road is used any more.
  void Stop();
  // Closes the queue: nothing that was given to the transfers is called any more.
  void Close();
  // Begins nothing more.
  void Pause() { engine_->Pause(); }

  // A file by its path. `answer` comes once, when it is durable or refused; on any thread.
  void SendPath(FileRequest request, const std::string& path, FileTake take, AnswerFn answer);

  // A file in pieces. Thread-compatible; Write and Finish may block on the disk. What there is no
  // room for is refused as soon as that is known, before anything is read where the sender has said
  // how large it is: RESOURCE_EXHAUSTED.
  class Upload {
   public:
    ~Upload();
    absl::Status Write(std::string_view octets);
    // INVALID_ARGUMENT: `size` (not 0) or `sha256` (not "") is not that of what was written.
    void Finish(uint64_t size, const std::string& sha256, AnswerFn answer);

   private:
    friend class Transfers;
    // Takes the room for a file of that size, as soon as it is known to be so large.
    absl::Status TakeRoom(uint64_t bytes);
    void Drop();
    Transfers* transfers_ = nullptr;
    Transfer transfer_;
    FileRequest request_;
    std::unique_ptr<IncomingFile> file_;
    bool repeated_ = false;
    bool reserved_ = false;
    uint64_t room_ = 0;  // Of Transfers::coming_bytes_.
  };
  absl::StatusOr<std::unique_ptr<Upload>> BeginUpload(FileRequest request);

  // FAILED_PRECONDITION: finished already.
  void Cancel(const std::string& id, ChangeFn done);
  // Digests a failed or cancelled one anew and queues it. FAILED_PRECONDITION: it is neither.
  void Retry(const std::string& id, ChangeFn done);

  absl::StatusOr<Transfer> Get(const std::string& id) const;
  absl::StatusOr<TransferPage> List(const TransferFilter& filter, size_t page_size,
                                    const std::string& page_token) const;

  // Some that are not finished: those on a road, then those that wait longest.
  std::vector<Transfer> UnderWay(size_t most) const;

  TransferCounts Counts() const { return queue_->Counts(); }
  TransferTotals Totals() const { return engine_->totals(); }
  size_t active() const { return engine_->active(); }
  uint64_t max_files() const { return options_.queue.max_files; }
  uint64_t max_bytes() const { return options_.queue.max_bytes; }
  // Folders that are not watched as they should be, and why.
  std::vector<std::pair<std::string, absl::Status>> WatchTroubles() const;
  // Below which files may be given by their path.
  const std::vector<std::string>& roots() const { return options_.roots; }
  TransferEngine* engine() { return engine_.get(); }
  // For the pieces of uploads, which may block on the disk.
  Executor* uploads() { return &upload_pool_; }
  // Removes confirmed files whose time is over, and sends what has no row; every kCareEvery. May
  // block on the disk.
  void Care();

 private:
  Transfers(TransfersOptions options, Deps deps);
  absl::Status OpenAll();
  absl::StatusOr<Transfer> Read(FileRequest* request, const std::string& path) const;
  void TakePath(FileRequest request, Transfer transfer, FileTake take, AnswerFn answer);
  void TakeReserved(const FileRequest& request, Transfer transfer, const LocalFile& file,
                    FileTake take, AnswerFn answer);
  // From before its file is looked at until its row is there, one call has an id. ABORTED: another
  // has it.
  absl::Status Reserve(const std::string& id);
  void Release(const std::string& id);
  // Of an id that is reserved. `fresh`: its file was taken in by this call.
  void Enqueue(const FileRequest& request, Transfer transfer, bool fresh, AnswerFn answer);
  void RemoveRefused(const std::string& id);
  // Below which the file of that row may lie.
  std::vector<std::string> RootsOf(const Transfer& transfer) const;
  absl::StatusOr<FileStamp> CheckLocal(const Transfer& transfer) const;
  absl::StatusOr<LocalFile> OpenToRetry(const Transfer& transfer) const;
  void RetryNow(const std::string& id, const ChangeFn& done);
  void Recover();
  void RecoverOne(const std::string& id);
  void DigestWatched(const FileRequest& request, const WatchedFile& file,
                     const WatchFolderOptions& folder, const WatchFolder::TakenFn& done);
  void TakeWatched(const WatchedFile& file, WatchFolder::TakenFn done);

  TransfersOptions options_;
  const Deps deps_;
  std::unique_ptr<OwnedFolder> owned_;
  std::unique_ptr<TransferQueue> queue_;
  std::unique_ptr<TransferEngine> engine_;
  std::unique_ptr<TransferCare> care_;
  ThreadPool pool_{{"transfer-files", kFileThreads, kMaxFileTasks}};
  ThreadPool upload_pool_{{"transfer-take", kUploadThreads, kMaxFileTasks}};
  std::vector<std::unique_ptr<WatchFolder>> watches_;
  absl::Mutex mutex_;
  absl::flat_hash_set<std::string> reserved_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> stopped_{false};
  std::atomic<uint64_t> coming_bytes_{0};  // Of uploads that have no row yet.
  std::atomic<int64_t> recovered_ns_{0};
};

}  // namespace viaduct
