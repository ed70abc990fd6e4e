// One file on its way to the server: OPEN; WRITE, FSYNC and FSTAT without waiting between them;
// then the name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "plugins/common/file_job.h"
#include "plugins/common/local_file.h"
#include "plugins/sftp/folders.h"
#include "plugins/sftp/requests.h"
#include "plugins/sftp/token_bucket.h"

namespace viaduct::sftp {

// Lives on the session's thread.
class Upload : public std::enable_shared_from_this<Upload> {
 public:
  // What is sent between two FSYNC at most, in octets and time; a break costs no more than this and
  // the window.
  static constexpr uint64_t kSyncBytes = 8u << 20;
  // The same over a channel of its own: writing goes on, until kSyncBytes are not durable.
  static constexpr uint64_t kParallelSyncBytes = kSyncBytes / 2;
  static constexpr int64_t kSyncNs = 2'000'000'000;
  static constexpr size_t kHashBytes = 1u << 20;  // Of what is durable already, in one turn.

  struct Events {
    // `moved`: of the file, so far acknowledged;
    // while what is there already is read again, of that.
    std::function<void(uint64_t token, uint64_t moved, uint64_t durable)> on_progress;
    std::function<void(size_t bytes)> on_sent;
    std::function<void(const FileEnd& end)> on_end;
  };

  // `syncs`: the channel for FSYNC while it is sent; may be the same.
  // `part`: where it grows, as the server takes it.
  Upload(FileJob job, std::string part, Requests* requests, Requests* syncs, Folders* folders,
         const Events* events);

  void Start(int64_t now_ns);
  // Sends the next piece, or reads on. False: there is nothing to do before something is answered
  // or due_ns() has come.
  bool Turn(int64_t now_ns);
  // Ends it when its deadline has come.
  void Expire(int64_t now_ns);
  // Ends it, keeping what is durable; with `remove` nothing is kept.
  void End(FileOutcome outcome, absl::Status status, bool remove = false);

  const FileJob& job() const { return job_; }
  const std::string& part() const { return part_; }
  // Room for its next piece.
  bool may_send() const { return requests_->has_room(); }
  bool ended() const { return state_ == State::kEnded; }
  // When Turn has something to do without an answer; INT64_MAX: never.
  int64_t due_ns() const;

 private:
  enum class State : uint8_t {
    kFolder,   // Waits for its folder.
    kOpening,  // Waits for the handle.
    kHashing,  // Reads again what is durable already.
    kSending,
    kVerifying,  // All is sent; waits for FSYNC and FSTAT.
    kNaming,     // Waits for the rename.
    kEnded,
  };

  absl::Status OpenLocal();
  void OnFolder(const absl::Status& status);
  void Open();
  void OpenExclusive(bool again);
  void Resume();
  void OnLooked(const Answer& answer);
  void LookAgain();
  void OnOpened();
  void Hash();
  void SendPiece(int64_t now_ns);
  void OnWritten(uint64_t offset, size_t size, const Answer& answer);
  void Acknowledge(uint64_t offset, size_t size);
  bool waits() const;
  uint64_t syncable() const;
  void Sync(int64_t now_ns);
  void SyncWhenDue(int64_t now_ns);
  void SyncOver(Requests* requests, const std::string& handle, uint64_t position);
  void OpenForSyncs();
  bool syncs_apart() const { return syncs_ != requests_; }
  void OnSynced(uint64_t position, const Answer& answer);
  void Verify();
  void OnSize(const Answer& answer);
  void OnPartLooked(const Answer& answer);
  void Name();
  void OnRenamed(const Answer& answer, bool settling);
  void LookAtName();
  void Settle();
  void OnNameLooked(const Answer& answer);
  void OnStep();
  void Lose(const char* what);
  void TellProgress();
  void Fail(const Answer& answer, std::string_view doing);
  void LoseFolder();
  void FailOpening(const Answer& answer);
  void EndLocally(const absl::Status& why);
  template <typename Method>
  Requests::AnswerFn Then(Method method);

  const FileJob job_;
  const std::string folder_;
  const std::string part_;
  Requests* const requests_;
  Requests* syncs_;
  Folders* const folders_;
  const Events* const events_;
  TokenBucket bucket_;
  State state_ = State::kFolder;
  std::optional<LocalFile> file_;
  Sha256 digest_;
  absl::Status rename_failed_;
  std::string sha256_;  // When all is read.
  std::string handle_;
  std::string sync_handle_;   // Of syncs_.
  bool folder_lost_ = false;  // Once, and made anew.
  uint64_t part_bytes_ = 0;   // There, when it is resumed.
  uint64_t hashed_ = 0;
  uint64_t position_ = 0;      // Sent up to here.
  uint64_t acknowledged_ = 0;  // Written up to here, without a gap.
  // Written behind a gap: where each begins and ends. No more than the window lets be under way.
  std::map<uint64_t, uint64_t> beyond_;
  uint64_t durable_ = 0;
  uint64_t sync_asked_ = 0;  // The last FSYNC is of what is before.
  bool syncing_ = false;
  int64_t sync_due_ns_ = 0;
  uint64_t told_ = 0;
  int unanswered_ = 0;  // Of the group before or after the name.
};

}  // namespace viaduct::sftp
