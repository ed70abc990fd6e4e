#include "core/config/revision_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crash_point.h"
#include "core/base/durable_file.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/config/revision_files.h"
#include "core/config/revision_index.h"
#include "core/observe/utf8.h"

namespace viaduct {
namespace {

constexpr std::string_view kComponent = "config";
constexpr std::string_view kIndexName = "index.json";

// Cut at a character: it goes into messages that are UTF-8.
std::string Clip(std::string text) {
  if (text.size() <= RevisionStore::kMaxTagBytes) return text;
  size_t end = RevisionStore::kMaxTagBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) --end;
  text.resize(end);
  return text;
}

// A tag that somebody sent is refused rather than cut.
absl::Status CheckTag(std::string_view what, std::string_view text) {
  if (text.size() > RevisionStore::kMaxTagBytes) {
    return absl::InvalidArgumentError(absl::StrCat("config: ", AbslView(what), " too long, ",
                                                   text.size(), " bytes, at most ",
                                                   RevisionStore::kMaxTagBytes));
  }
  if (IsUtf8(text)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("config: ", AbslView(what), " is not UTF-8"));
}

// Thread-safe. `writing_` is held over a whole change with its I/O, so that changes come one after
// the other; `mutex_` only to look at or swap the index, so that readers never wait for the disk.
class FileRevisionStore final : public RevisionStore {
 public:
  FileRevisionStore(std::string dir, int lock_file, const Clock* clock, Log* log)
      : dir_(std::move(dir)), lock_file_(lock_file), clock_(clock), log_(log) {}
  ~FileRevisionStore() override { ::close(lock_file_); }

  absl::Status Load();

  absl::StatusOr<Committed> Commit(const Proposal& proposal) override;
  absl::StatusOr<std::optional<Revision>> FindRequest(std::string_view request_id,
                                                      std::string_view yaml) const override;
  std::optional<Revision> FindRequest(std::string_view request_id) const override;
  bool IsLastFile(std::string_view text) const override;
  absl::StatusOr<Revision> FallBack(uint64_t to, RevisionState state, std::string_view reason,
                                    std::string_view author) override;
  absl::Status Confirm(uint64_t number) override;

  std::optional<Revision> head() const override;
  std::optional<Revision> last_good() const override;
  absl::StatusOr<Revision> Get(uint64_t number) const override;
  absl::StatusOr<std::string> ReadYaml(uint64_t number) const override;
  std::vector<Revision> List(size_t limit) const override;

  absl::StatusOr<StartChoice> ChooseForStart(const std::optional<std::string>& file_text) override;
  absl::Status MarkStarting() override;
  absl::Status MarkGood() override;
  absl::Status MarkStoppedInOrder() override;

 private:
  RevisionIndex Snapshot() const {
    absl::MutexLock lock(&mutex_);
    return index_;
  }
  std::optional<Revision> Numbered(uint64_t number) const;
  // Adds a revision with this text as head to `index` and puts both on disk.
  absl::StatusOr<Revision> Append(RevisionIndex index, Revision revision, const std::string& yaml,
                                  RevisionState old_head) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_);
  absl::Status Save(RevisionIndex index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_);
  static std::vector<uint64_t> Trim(RevisionIndex* index);
  absl::StatusOr<Revision> FallBackLocked(uint64_t to, RevisionState state, std::string_view reason,
                                          std::string_view author)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_);
  absl::Status TakeFile(const std::string& text, StartChoice* choice)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_);
  absl::Status FallBackIfNeeded(StartChoice* choice) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_);
  void Salvage(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_);

  const std::string dir_;
  const int lock_file_;
  const Clock* const clock_;
  Log* const log_;
  absl::Mutex writing_;
  mutable absl::Mutex mutex_;
  RevisionIndex index_ ABSL_GUARDED_BY(mutex_);
};

absl::Status FileRevisionStore::Load() {
  absl::MutexLock writing(&writing_);
  const absl::StatusOr<std::string> text =
      ReadWholeFile(absl::StrCat(dir_, "/", AbslView(kIndexName)), kMaxIndexBytes);
  absl::StatusOr<RevisionIndex> index = RevisionIndex();
  const std::vector<std::string> names = FilesIn(dir_);
  const bool has_texts = std::any_of(names.begin(), names.end(),
                                     [](const std::string& name) { return NumberOf(name) != 0; });
  if (text.ok()) {
    index = ReadIndex(*text);
  } else if (!absl::IsNotFound(text.status()) || has_texts) {
    index = text.status();
  }
  if (!index.ok()) {
    Salvage(index.status());
  } else if (!text.ok()) {
    VD_RETURN_IF_ERROR(Save(*std::move(index)));  // From now on a missing index is a lost one.
  } else {
    absl::MutexLock lock(&mutex_);
    index_ = *std::move(index);
  }
  // What a crash between text and index has left.
  const RevisionIndex known = Snapshot();
  for (const std::string& name : names) {
    const uint64_t number = NumberOf(name);
    const bool unfinished = name.size() > 4 && name.substr(name.size() - 4) == ".new";
    if (unfinished || (number != 0 && known.Find(number) == nullptr)) {
      ::unlink(absl::StrCat(dir_, "/", name).c_str());
    }
  }
  return absl::OkStatus();
}

void FileRevisionStore::Salvage(const absl::Status& why) {
  const std::string path = absl::StrCat(dir_, "/", AbslView(kIndexName));
  const std::string aside = absl::StrCat(path, ".damaged");
  ::rename(path.c_str(), aside.c_str());
  RevisionIndex index;
  for (const std::string& name : FilesIn(dir_)) {
    const uint64_t number = NumberOf(name);
    const auto text = ReadWholeFile(absl::StrCat(dir_, "/", name), kMaxTextBytes);
    if (number == 0 || !text.ok()) continue;
    Revision revision;
    revision.number = number;
    revision.state = RevisionState::kSuperseded;
    revision.reason = "found again after the index was damaged";
    revision.sha256 = HexSha256(*text);
    index.revisions[number] = std::move(revision);
  }
  if (!index.revisions.empty()) {
    index.head = index.revisions.rbegin()->first;
    index.next = index.head + 1;
    index.revisions.rbegin()->second.state = RevisionState::kRunning;
  }
  log_->Error(kComponent, "the index of revisions is damaged or missing",
              {{"reason", StdView(why.message())},
               {"aside", aside},
               {"found_again", absl::StrCat(index.revisions.size())}});
  absl::MutexLock lock(&mutex_);
  index_ = std::move(index);
}

absl::Status FileRevisionStore::Save(RevisionIndex index) {
  VD_CRASH_POINT("config.index.before");
  VD_RETURN_IF_ERROR(WriteFileDurably(dir_, std::string(kIndexName), WriteIndex(index)));
  VD_CRASH_POINT("config.index.after");
  absl::MutexLock lock(&mutex_);
  index_ = std::move(index);
  return absl::OkStatus();
}

// Gives the numbers whose texts may go once the index is on disk.
std::vector<uint64_t> FileRevisionStore::Trim(RevisionIndex* index) {
  std::vector<uint64_t> gone;
  const Revision* head = index->Find(index->head);
  const uint64_t based_on = head == nullptr ? 0 : head->based_on;
  for (auto it = index->revisions.begin();
       it != index->revisions.end() && index->revisions.size() > kMaxRevisions;) {
    if (it->first == index->head || it->first == index->last_good || it->first == based_on) {
      ++it;
      continue;
    }
    gone.push_back(it->first);
    it = index->revisions.erase(it);
  }
  return gone;
}

absl::StatusOr<Revision> FileRevisionStore::Append(RevisionIndex index, Revision revision,
                                                   const std::string& yaml,
                                                   RevisionState old_head) {
  if (yaml.size() > kMaxTextBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("config: the document has ", yaml.size(), " bytes, at most ", kMaxTextBytes));
  }
  revision.number = index.next++;
  revision.applied_at = clock_->Now();
  revision.author = Clip(std::move(revision.author));
  revision.comment = Clip(std::move(revision.comment));
  revision.based_on = index.head;
  revision.sha256 = HexSha256(yaml);
  const auto head = index.revisions.find(index.head);
  if (head != index.revisions.end() && (head->second.state == RevisionState::kRunning ||
                                        head->second.state == RevisionState::kUnconfirmed)) {
    head->second.state = old_head;
  }
  index.head = revision.number;
  index.starting = 0;
  index.attempts = 0;
  if (revision.origin == RevisionOrigin::kFile) index.file_sha256 = revision.sha256;
  index.revisions[revision.number] = revision;
  const std::vector<uint64_t> gone = Trim(&index);
  VD_RETURN_IF_ERROR(WriteFileDurably(dir_, TextName(revision.number), yaml));
  VD_RETURN_IF_ERROR(Save(std::move(index)));
  for (const uint64_t number : gone) {
    ::unlink(absl::StrCat(dir_, "/", TextName(number)).c_str());
  }
  return revision;
}

absl::StatusOr<std::optional<Revision>> FileRevisionStore::FindRequest(
    std::string_view request_id, std::string_view yaml) const {
  std::optional<Revision> earlier = FindRequest(request_id);
  if (!earlier.has_value() || earlier->sha256 == HexSha256(yaml)) return earlier;
  return absl::InvalidArgumentError(absl::StrCat(
      "config: request id used before for another document, revision ", earlier->number));
}

std::optional<Revision> FileRevisionStore::FindRequest(std::string_view request_id) const {
  if (request_id.empty()) return std::nullopt;
  const RevisionIndex index = Snapshot();
  for (const auto& [number, revision] : index.revisions) {
    if (revision.request_id == request_id) return Numbered(number);
  }
  return std::nullopt;
}

bool FileRevisionStore::IsLastFile(std::string_view text) const {
  absl::MutexLock lock(&mutex_);
  return index_.file_sha256 == HexSha256(text);
}

absl::StatusOr<RevisionStore::Committed> FileRevisionStore::Commit(const Proposal& proposal) {
  VD_RETURN_IF_ERROR(CheckTag("request id", proposal.request_id));
  VD_RETURN_IF_ERROR(CheckTag("comment", proposal.comment));
  absl::MutexLock writing(&writing_);
  VD_ASSIGN_OR_RETURN(std::optional<Revision> earlier,
                      FindRequest(proposal.request_id, proposal.yaml));
  if (earlier.has_value()) return Committed{*std::move(earlier), true};
  RevisionIndex index = Snapshot();
  if (proposal.if_revision.has_value() && *proposal.if_revision != index.head) {
    return absl::AbortedError(
        absl::StrCat("config: revision ", index.head, " is running, not ", *proposal.if_revision));
  }
  Revision revision;
  revision.origin = proposal.origin;
  revision.author = proposal.author;
  revision.comment = proposal.comment;
  revision.request_id = proposal.request_id;
  if (proposal.confirm_within > absl::ZeroDuration()) {
    revision.state = RevisionState::kUnconfirmed;
    revision.confirm_by = clock_->Now() + proposal.confirm_within;
  }
  RevisionState old_head = RevisionState::kSuperseded;
  if (const auto head = index.revisions.find(index.head);
      proposal.origin == RevisionOrigin::kRollback && head != index.revisions.end()) {
    old_head = RevisionState::kRolledBack;
    head->second.reason = Clip(absl::StrCat("rolled back by ", proposal.author));
  }
  VD_ASSIGN_OR_RETURN(revision,
                      Append(std::move(index), std::move(revision), proposal.yaml, old_head));
  return Committed{std::move(revision), false};
}

absl::StatusOr<Revision> FileRevisionStore::FallBack(uint64_t to, RevisionState state,
                                                     std::string_view reason,
                                                     std::string_view author) {
  absl::MutexLock writing(&writing_);
  return FallBackLocked(to, state, reason, author);
}

absl::StatusOr<Revision> FileRevisionStore::FallBackLocked(uint64_t to, RevisionState state,
                                                           std::string_view reason,
                                                           std::string_view author) {
  RevisionIndex index = Snapshot();
  if (index.Find(to) == nullptr) {
    return absl::NotFoundError(absl::StrCat("config: no revision ", to));
  }
  VD_ASSIGN_OR_RETURN(const std::string yaml, ReadYaml(to));
  if (const auto head = index.revisions.find(index.head); head != index.revisions.end()) {
    head->second.reason = Clip(std::string(reason));
  }
  Revision revision;
  revision.origin = RevisionOrigin::kRollback;
  revision.author = std::string(author);
  revision.comment = absl::StrCat("back to revision ", to);
  return Append(std::move(index), std::move(revision), yaml, state);
}

absl::Status FileRevisionStore::Confirm(uint64_t number) {
  absl::MutexLock writing(&writing_);
  RevisionIndex index = Snapshot();
  const auto found = index.revisions.find(number);
  if (number != index.head || found == index.revisions.end() ||
      found->second.state != RevisionState::kUnconfirmed) {
    return absl::FailedPreconditionError(
        absl::StrCat("config: revision ", number, " is not waiting for a confirmation"));
  }
  found->second.state = RevisionState::kRunning;
  found->second.confirm_by = absl::InfiniteFuture();
  return Save(std::move(index));
}

std::optional<Revision> FileRevisionStore::Numbered(uint64_t number) const {
  absl::MutexLock lock(&mutex_);
  const Revision* found = index_.Find(number);
  if (found == nullptr) return std::nullopt;
  Revision revision = *found;
  revision.last_good = number == index_.last_good;
  return revision;
}

std::optional<Revision> FileRevisionStore::head() const { return Numbered(Snapshot().head); }
std::optional<Revision> FileRevisionStore::last_good() const {
  return Numbered(Snapshot().last_good);
}

absl::StatusOr<Revision> FileRevisionStore::Get(uint64_t number) const {
  std::optional<Revision> found = Numbered(number);
  if (found.has_value()) return *std::move(found);
  return absl::NotFoundError(absl::StrCat("config: no revision ", number));
}

absl::StatusOr<std::string> FileRevisionStore::ReadYaml(uint64_t number) const {
  VD_ASSIGN_OR_RETURN(const Revision revision, Get(number));
  absl::StatusOr<std::string> text =
      ReadWholeFile(absl::StrCat(dir_, "/", TextName(number)), kMaxTextBytes);
  if (text.ok() && HexSha256(*text) == revision.sha256) return text;
  return absl::DataLossError(absl::StrCat("config: the text of revision ", number, " is damaged",
                                          text.ok() ? "" : " or missing"));
}

std::vector<Revision> FileRevisionStore::List(size_t limit) const {
  const RevisionIndex index = Snapshot();
  std::vector<Revision> out;
  for (auto it = index.revisions.rbegin(); it != index.revisions.rend() && out.size() < limit;
       ++it) {
    out.push_back(it->second);
    out.back().last_good = it->first == index.last_good;
  }
  return out;
}

absl::Status FileRevisionStore::TakeFile(const std::string& text, StartChoice* choice) {
  RevisionIndex index = Snapshot();
  const bool changed = index.head == 0 || index.file_sha256 != HexSha256(text);
  const bool nothing_else =
      index.Find(index.last_good) == nullptr && absl::IsDataLoss(ReadYaml(index.head).status());
  if (!changed && !nothing_else) return absl::OkStatus();
  Revision revision;
  revision.origin = RevisionOrigin::kFile;
  revision.author = "file";
  choice->from_file = true;
  return Append(std::move(index), std::move(revision), text, RevisionState::kSuperseded).status();
}

absl::Status FileRevisionStore::FallBackIfNeeded(StartChoice* choice) {
  const RevisionIndex index = Snapshot();
  const Revision* head = index.Find(index.head);
  const Revision* good = index.Find(index.last_good);
  if (head == nullptr) return absl::OkStatus();
  RevisionState state = RevisionState::kFailed;
  const bool damaged = absl::IsDataLoss(ReadYaml(index.head).status());
  if (damaged) {
    choice->reason = absl::StrCat("the text of revision ", index.head, " is damaged");
  } else if (head->state == RevisionState::kUnconfirmed) {
    state = RevisionState::kRolledBack;
    choice->reason = absl::StrCat("revision ", index.head, " was not confirmed");
    if (good == nullptr) good = index.Find(head->based_on);
  } else if (index.starting == index.head && index.attempts >= kMaxStartAttempts) {
    choice->reason = absl::StrCat("the node died ", index.attempts, " times while revision ",
                                  index.head, " started");
    // The same text again would only die again.
    if (good != nullptr && good->sha256 == head->sha256) good = nullptr;
  } else {
    return absl::OkStatus();
  }
  if (good == nullptr || good->number == head->number) {
    choice->reason.clear();
    return absl::OkStatus();
  }
  VD_RETURN_IF_ERROR(FallBackLocked(good->number, state, choice->reason, "node").status());
  choice->fell_back = true;
  return absl::OkStatus();
}

absl::StatusOr<RevisionStore::StartChoice> FileRevisionStore::ChooseForStart(
    const std::optional<std::string>& file_text) {
  absl::MutexLock writing(&writing_);
  StartChoice choice;
  if (file_text.has_value()) VD_RETURN_IF_ERROR(TakeFile(*file_text, &choice));
  if (!choice.from_file) VD_RETURN_IF_ERROR(FallBackIfNeeded(&choice));
  const std::optional<Revision> head = this->head();
  if (!head.has_value()) {
    return absl::FailedPreconditionError("config: no configuration, start with --config FILE");
  }
  choice.revision = *head;
  VD_ASSIGN_OR_RETURN(choice.yaml, ReadYaml(head->number));
  return choice;
}

absl::Status FileRevisionStore::MarkStarting() {
  absl::MutexLock writing(&writing_);
  RevisionIndex index = Snapshot();
  index.attempts = index.starting == index.head ? index.attempts + 1 : 1;
  index.starting = index.head;
  return Save(std::move(index));
}

absl::Status FileRevisionStore::MarkGood() {
  absl::MutexLock writing(&writing_);
  RevisionIndex index = Snapshot();
  const auto head = index.revisions.find(index.head);
  if (head == index.revisions.end()) {
    return absl::FailedPreconditionError("config: there is no revision");
  }
  // What still waits for its confirmation has not proved anything yet.
  if (head->second.state != RevisionState::kUnconfirmed) {
    index.last_good = index.head;
    head->second.good = true;
  }
  index.starting = 0;
  index.attempts = 0;
  return Save(std::move(index));
}

absl::Status FileRevisionStore::MarkStoppedInOrder() {
  absl::MutexLock writing(&writing_);
  RevisionIndex index = Snapshot();
  if (index.starting == 0) return absl::OkStatus();
  index.starting = 0;
  index.attempts = 0;
  return Save(std::move(index));
}

}  // namespace

absl::StatusOr<std::unique_ptr<RevisionStore>> RevisionStore::Open(const std::string& dir,
                                                                   const Clock* clock, Log* log) {
  VD_RETURN_IF_ERROR(MakeFolder(dir));
  const std::string path = absl::StrCat(dir, "/lock");
  const int lock = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock < 0) {
    return absl::UnavailableError(
        absl::StrCat("config: ", path, ": cannot open, ", std::strerror(errno)));
  }
  auto store = std::make_unique<FileRevisionStore>(dir, lock, clock, log);
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("config: ", dir, " is in use by another process"));
  }
  VD_RETURN_IF_ERROR(store->Load());
  return store;
}

}  // namespace viaduct
