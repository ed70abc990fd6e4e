// Every configuration that a node was given, on disk, under one counter; and what keeps a bad one
// from taking the node down: a mark while it starts, and the last one that was good.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/observe/log.h"

namespace viaduct {

enum class RevisionState : uint8_t {
  kRunning,
  kUnconfirmed,  // Runs, and is to be rolled back unless it is confirmed by `confirm_by`.
  kSuperseded,
  kRolledBack,
  kFailed,  // Did not start, or crashed the node while it started.
};
std::string_view RevisionStateName(RevisionState state);

enum class RevisionOrigin : uint8_t { kFile, kApply, kRollback };
std::string_view RevisionOriginName(RevisionOrigin origin);  // "file", "apply", "rollback"

struct Revision {
  uint64_t number = 0;  // From 1.
  RevisionState state = RevisionState::kRunning;
  RevisionOrigin origin = RevisionOrigin::kFile;
  absl::Time applied_at;
  std::string author;
  std::string comment;
  std::string request_id;
  std::string reason;  // Why it failed or was rolled back.
  absl::Time confirm_by = absl::InfiniteFuture();
  uint64_t based_on = 0;   // The head it took the place of.
  bool good = false;       // Has been seen to work, see MarkGood.
  bool last_good = false;  // The newest of those.
  std::string sha256;      // Of the text.
};

// Thread-safe. One process only: Open takes a lock file. Every change is on disk when the call
// returns. Texts may hold secrets: folder 0700, files 0600.
class RevisionStore {
 public:
  static constexpr size_t kMaxRevisions = 100;  // Older ones go; head and last good never do.
  static constexpr size_t kMaxTextBytes = 1u << 20;
  static constexpr size_t kMaxTagBytes = 1024;  // Author, comment, request id, reason.
  static constexpr int kMaxStartAttempts = 2;   // Starts of one revision that may die in a row.

  // `dir` is made if it is not there. A damaged record is set aside and logged; the rest goes on.
  // FAILED_PRECONDITION: another process has it.
  static absl::StatusOr<std::unique_ptr<RevisionStore>> Open(const std::string& dir,
                                                             const Clock* clock, Log* log);
  virtual ~RevisionStore() = default;

  struct Proposal {
    std::string yaml;
    RevisionOrigin origin = RevisionOrigin::kApply;
    std::string author;
    std::string comment;
    std::string request_id;               // "" : never the same as another.
    std::optional<uint64_t> if_revision;  // Compare-and-set with the head's number.
    absl::Duration confirm_within = absl::ZeroDuration();
  };
  struct Committed {
    Revision revision;
    bool replayed = false;  // The same request_id came before; nothing was changed.
  };
  // Makes it the head. The head before becomes kSuperseded, or kRolledBack where the origin is
  // kRollback. ABORTED: `if_revision` is not the head; INVALID_ARGUMENT: too large, a tag that is
  // too long or not UTF-8, or a request_id used before with another text.
  virtual absl::StatusOr<Committed> Commit(const Proposal& proposal) = 0;
  // What Commit would say to this request_id and text: the earlier revision, nothing, or the error.
  virtual absl::StatusOr<std::optional<Revision>> FindRequest(std::string_view request_id,
                                                              std::string_view yaml) const = 0;
  // What was made for this request_id, whatever its text; nothing for "".
  virtual std::optional<Revision> FindRequest(std::string_view request_id) const = 0;
  // It is the text that was last taken over from the file of --config.
  virtual bool IsLastFile(std::string_view text) const = 0;

  // The head did not work and another takes over: the head becomes `state` (kFailed or
  // kRolledBack) and a new revision with the text of `to` is made head, origin kRollback.
  virtual absl::StatusOr<Revision> FallBack(uint64_t to, RevisionState state,
                                            std::string_view reason, std::string_view author) = 0;
  // kUnconfirmed -> kRunning. FAILED_PRECONDITION: it is not the head or not unconfirmed.
  virtual absl::Status Confirm(uint64_t number) = 0;

  virtual std::optional<Revision> head() const = 0;
  virtual std::optional<Revision> last_good() const = 0;
  virtual absl::StatusOr<Revision> Get(uint64_t number) const = 0;          // NOT_FOUND
  virtual absl::StatusOr<std::string> ReadYaml(uint64_t number) const = 0;  // DATA_LOSS: damaged
  virtual std::vector<Revision> List(size_t limit) const = 0;               // Newest first.

  // --- start-up ---------------------------------------------------------------------------------
  struct StartChoice {
    Revision revision;  // What to start with; already the head.
    std::string yaml;
    bool from_file = false;  // The file had changed since it was last taken over.
    bool fell_back = false;  // Its predecessor died too often; `reason` says so.
    std::string reason;
  };
  // Chooses what this process starts with. `file_text` should have passed validation: a file with
  // mistakes is for its author, not for the history. It (absent: no --config) becomes a new
  // revision when it differs from the last one that came from the file. A head that died in
  // kMaxStartAttempts starts, and an unconfirmed head of a process that is gone, fall back to the
  // last good one. FAILED_PRECONDITION: nothing to start with.
  virtual absl::StatusOr<StartChoice> ChooseForStart(
      const std::optional<std::string>& file_text) = 0;
  // Call before anything of the head is applied: notes on disk that a start of it has begun.
  virtual absl::Status MarkStarting() = 0;
  // Call when the node is ready (and has been for a while): the head is now last_good.
  virtual absl::Status MarkGood() = 0;
  // The node stops in good order before MarkGood: this start does not count against the head.
  virtual absl::Status MarkStoppedInOrder() = 0;
};

}  // namespace viaduct
