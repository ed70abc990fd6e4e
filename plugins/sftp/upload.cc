#include "plugins/sftp/upload.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugins/common/remote_name.h"

namespace viaduct::sftp {
namespace {

constexpr uint64_t kTellBytes = 1u << 20;  // Progress is told when so much more has passed.
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// Of this one file, which no other road would mend.
absl::Status InTheWay(const std::string& path) {
  return absl::AlreadyExistsError(absl::StrCat("server: ", path, " is a folder"));
}

}  // namespace

Upload::Upload(FileJob job, std::string part, Requests* requests, Requests* syncs, Folders* folders,
               const Events* events)
    : job_(std::move(job)),
      folder_(FolderOf(job_.remote_name)),
      part_(std::move(part)),
      requests_(requests),
      syncs_(syncs),
      folders_(folders),
      events_(events),
      bucket_(job_.max_bytes_per_second, 0),
      durable_(std::min(job_.offset, job_.size)) {}

// Answers that come after the end are for nobody.
template <typename Method>
Requests::AnswerFn Upload::Then(Method method) {
  return [self = shared_from_this(), method](const Answer& answer) {
    if (!self->ended()) (self.get()->*method)(answer);
  };
}

void Upload::Start(int64_t now_ns) {
  bucket_ = TokenBucket(job_.max_bytes_per_second, now_ns);
  sync_due_ns_ = now_ns + kSyncNs;
  const absl::Status opened = OpenLocal();
  if (!opened.ok()) return EndLocally(opened);
  folders_->Need(folder_, [self = shared_from_this()](const absl::Status& status) {
    if (!self->ended()) self->OnFolder(status);
  });
}

absl::Status Upload::OpenLocal() {
  absl::StatusOr<LocalFile> file = LocalFile::Open(job_.local_path, job_.identity);
  if (!file.ok()) return file.status();
  const absl::StatusOr<uint64_t> size = file->Size();
  if (!size.ok()) return size.status();
  if (*size != job_.size) {
    return absl::AbortedError(absl::StrCat("local file: ", job_.local_path, ", has ", *size,
                                           " bytes instead of ", job_.size));
  }
  file_ = *std::move(file);
  return absl::OkStatus();
}

// The file itself is not what it should be, or this machine can not read it now.
void Upload::EndLocally(const absl::Status& why) {
  const bool passing = absl::IsDataLoss(why);
  End(passing ? FileOutcome::kRetry : FileOutcome::kReject, why, /*remove=*/!passing);
}

void Upload::OnFolder(const absl::Status& status) {
  if (!status.ok()) return End(FileOutcome::kRetry, status);
  Open();
}

void Upload::Open() {
  state_ = State::kOpening;
  if (durable_ > 0) return Resume();
  OpenExclusive(/*again=*/false);
}

// What bears the name of the part, a symbolic link too, is never written through.
void Upload::OpenExclusive(bool again) {
  const uint32_t flags = kOpenWrite | kOpenCreate | kOpenExclusive;
  requests_->Open(part_, flags, [self = shared_from_this(), again](const Answer& answer) {
    const bool opened = answer.type == AnswerType::kHandle;
    if (self->ended()) {
      if (opened) self->requests_->Close(answer.text, [](const Answer&) {});
      return;
    }
    if (opened) {
      self->handle_ = std::string(answer.text);
      return self->OnOpened();
    }
    if (answer.status == StatusCode::kNoSuchFile) return self->LoseFolder();
    if (again) return self->FailOpening(answer);
    if (answer.status != StatusCode::kFailure) return self->Fail(answer, "opening");
    self->requests_->Remove(self->part_, [](const Answer&) {});
    self->OpenExclusive(/*again=*/true);
  });
}

void Upload::LoseFolder() {
  folders_->Forget(folder_);
  if (std::exchange(folder_lost_, true)) {
    return End(FileOutcome::kRetry,
               absl::UnavailableError(absl::StrCat("server: folder ", folder_, " vanishes")));
  }
  state_ = State::kFolder;
  durable_ = 0;
  folders_->Need(folder_, [self = shared_from_this()](const absl::Status& status) {
    if (!self->ended()) self->OnFolder(status);
  });
}

void Upload::Resume() { requests_->Lstat(part_, Then(&Upload::OnLooked)); }

void Upload::OnLooked(const Answer& answer) {
  const Attributes& found = answer.attributes;
  // What only could not be looked at now is still there.
  if (!answer.ok() && answer.status != StatusCode::kNoSuchFile) return Fail(answer, "lstat");
  const bool usable = answer.ok() && found.is_file() && found.has_size && found.size <= job_.size;
  if (!usable) {
    durable_ = 0;
    if (answer.ok()) requests_->Remove(part_, [](const Answer&) {});
    return OpenExclusive(/*again=*/false);
  }
  part_bytes_ = found.size;
  durable_ = std::min(durable_, part_bytes_);
  requests_->Open(part_, kOpenWrite, [self = shared_from_this()](const Answer& opened) {
    if (opened.type != AnswerType::kHandle) {
      if (!self->ended()) self->Fail(opened, "opening");
    } else if (self->ended()) {
      self->requests_->Close(opened.text, [](const Answer&) {});
    } else {
      self->handle_ = std::string(opened.text);
      self->LookAgain();
    }
  });
}

// OPEN follows a symbolic link that was put there since the first look; one that is seen now is not
// written through.
void Upload::LookAgain() {
  requests_->Lstat(part_, [self = shared_from_this()](const Answer& answer) {
    if (self->ended()) return;
    if (!answer.ok()) return self->Fail(answer, "lstat");
    if (answer.attributes.is_file()) return self->OnOpened();
    self->End(FileOutcome::kRetry, absl::PermissionDeniedError(
                                       absl::StrCat("server: the part of ", self->job_.remote_name,
                                                    " has become something else than a file")));
  });
}

void Upload::OnOpened() {
  position_ = acknowledged_ = sync_asked_ = told_ = durable_;
  state_ = State::kHashing;
}

int64_t Upload::due_ns() const {
  int64_t due = kNever;
  if (state_ == State::kHashing) return 0;
  if (state_ != State::kSending) return due;
  if (!bucket_.unlimited() && !waits()) due = std::min(due, bucket_.next_ns());
  return syncable() > sync_asked_ && !syncing_ ? std::min(due, sync_due_ns_) : due;
}

void Upload::Expire(int64_t now_ns) {
  if (job_.deadline_ns == 0 || now_ns < job_.deadline_ns) return;
  End(FileOutcome::kRetry, absl::DeadlineExceededError("file: not sent in time"));
}

bool Upload::Turn(int64_t now_ns) {
  if (ended()) return false;
  if (state_ == State::kHashing && hashed_ < position_) {
    Hash();
    return false;  // The others, and the connection, come between.
  }
  if (state_ == State::kHashing) state_ = State::kSending;
  if (state_ != State::kSending) return false;
  const uint64_t before = position_;
  SendPiece(now_ns);
  return state_ == State::kSending && position_ > before;
}

void Upload::Hash() {
  const size_t size = static_cast<size_t>(std::min<uint64_t>(kHashBytes, position_ - hashed_));
  std::string octets(size, '\0');
  const absl::Status read = file_->Read(hashed_, octets.data(), size);
  if (!read.ok()) return EndLocally(read);
  digest_.Update(octets);
  hashed_ += size;
  events_->on_progress(job_.token, hashed_, durable_);
}

void Upload::SendPiece(int64_t now_ns) {
  const uint64_t left = job_.size - position_;
  const size_t largest = requests_->features().max_write_bytes;
  const size_t wanted = static_cast<size_t>(std::min<uint64_t>(left, largest));
  const size_t size = wanted == 0 || waits() ? 0 : bucket_.Take(wanted, now_ns);
  if (size > 0) {
    const uint64_t offset = position_;
    const absl::Status sent = requests_->Write(
        handle_, offset, size,
        [&](char* out) {
          const absl::Status read = file_->Read(offset, out, size);
          if (read.ok()) digest_.Update(std::string_view(out, size));
          return read;
        },
        [self = shared_from_this(), offset, size](const Answer& answer) {
          if (!self->ended()) self->OnWritten(offset, size, answer);
        });
    if (!sent.ok()) return EndLocally(sent);
    position_ += size;
    events_->on_sent(size);
  }
  if (position_ == job_.size) return Verify();
  SyncWhenDue(now_ns);
}

void Upload::OnWritten(uint64_t offset, size_t size, const Answer& answer) {
  if (!answer.ok()) return Fail(answer, "writing");
  Acknowledge(offset, size);
  // As durable as such a server makes it.
  if (!requests_->features().fsync) durable_ = acknowledged_;
  if (acknowledged_ >= told_ + kTellBytes) TellProgress();
}

// Most servers answer in order; where one does not, what has a gap before it counts later.
void Upload::Acknowledge(uint64_t offset, size_t size) {
  beyond_.emplace(offset, offset + size);
  while (!beyond_.empty() && beyond_.begin()->first == acknowledged_) {
    acknowledged_ = beyond_.begin()->second;
    beyond_.erase(beyond_.begin());
  }
}

// For what is sent to become durable, before it sends more.
bool Upload::waits() const { return syncs_apart() && position_ - durable_ >= kSyncBytes; }

// What an FSYNC would be of, if it were sent now: the other channel is not behind this one.
uint64_t Upload::syncable() const { return syncs_apart() ? acknowledged_ : position_; }

void Upload::SyncWhenDue(int64_t now_ns) {
  if (syncing_ || !requests_->features().fsync || syncable() == sync_asked_) return;
  const uint64_t most = syncs_apart() ? kParallelSyncBytes : kSyncBytes;
  if (syncable() - sync_asked_ >= most || now_ns >= sync_due_ns_ || waits()) Sync(now_ns);
}

void Upload::Sync(int64_t now_ns) {
  sync_due_ns_ = now_ns + kSyncNs;
  syncing_ = true;
  if (!syncs_apart()) return SyncOver(requests_, handle_, syncable());
  if (sync_handle_.empty()) return OpenForSyncs();
  SyncOver(syncs_, sync_handle_, syncable());
}

void Upload::SyncOver(Requests* requests, const std::string& handle, uint64_t position) {
  sync_asked_ = position;
  requests->Fsync(handle, [self = shared_from_this(), position](const Answer& answer) {
    if (!self->ended()) self->OnSynced(position, answer);
  });
}

void Upload::OpenForSyncs() {
  syncs_->Open(part_, kOpenWrite, [self = shared_from_this()](const Answer& answer) {
    const bool opened = answer.type == AnswerType::kHandle;
    if (self->ended()) {
      if (opened) self->syncs_->Close(answer.text, [](const Answer&) {});
    } else if (opened) {
      self->sync_handle_ = std::string(answer.text);
      self->SyncOver(self->syncs_, self->sync_handle_, self->syncable());
    } else if (self->state_ == State::kSending) {
      self->syncs_ = self->requests_;
      self->SyncOver(self->requests_, self->handle_, self->syncable());
    }
  });
}

void Upload::OnSynced(uint64_t position, const Answer& answer) {
  syncing_ = false;
  if (!answer.ok()) return Fail(answer, "fsync");
  durable_ = std::max(durable_, std::min(position, acknowledged_));
  TellProgress();
}

// The last of what can be sent without waiting. The digest of what was sent is compared first: a
// file that has changed is never named. The name of the part may have come to bear another file,
// from a session that was thought to be over: it is looked at, too.
void Upload::Verify() {
  state_ = State::kVerifying;
  sha256_ = digest_.Hex();
  const absl::StatusOr<uint64_t> size = file_->Size();
  const bool same = job_.sha256.empty() || sha256_ == job_.sha256;
  if (!size.ok()) return EndLocally(size.status());
  if (*size != job_.size || !same) {
    return End(FileOutcome::kReject,
               absl::AbortedError(absl::StrCat("local file: ", job_.local_path,
                                               ", is not what it was when it was queued")),
               /*remove=*/true);
  }
  unanswered_ = requests_->features().fsync ? 3 : 2;
  if (requests_->features().fsync) {
    requests_->Fsync(handle_, [self = shared_from_this(), at = position_](const Answer& answer) {
      if (self->ended()) return;
      self->OnSynced(at, answer);
      if (!self->ended() && --self->unanswered_ == 0) self->Name();
    });
  }
  requests_->Fstat(handle_, Then(&Upload::OnSize));
  requests_->Lstat(part_, Then(&Upload::OnPartLooked));
}

void Upload::OnSize(const Answer& answer) {
  if (!answer.ok()) return Fail(answer, "fstat");
  if (!answer.attributes.has_size || answer.attributes.size != job_.size) {
    durable_ = 0;
    return End(FileOutcome::kRetry,
               absl::DataLossError(absl::StrCat("server: has ", answer.attributes.size,
                                                " bytes instead of ", job_.size)),
               /*remove=*/true);
  }
  if (--unanswered_ == 0) Name();
}

void Upload::OnPartLooked(const Answer& answer) {
  const Attributes& found = answer.attributes;
  if (!answer.ok() && answer.status != StatusCode::kNoSuchFile) return Fail(answer, "lstat");
  if (!answer.ok() || !found.is_file() || !found.has_size || found.size != job_.size) {
    return Lose("the part");
  }
  if (--unanswered_ == 0) Name();
}

// What is there now may be somebody else's, and stays.
void Upload::Lose(const char* what) {
  durable_ = 0;
  End(FileOutcome::kRetry, absl::DataLossError(absl::StrCat("server: ", what, " of ",
                                                            job_.remote_name, " is not ours")));
}

// The second FSYNC is for the name: file systems with a journal write both together.
void Upload::Name() {
  if (acknowledged_ != job_.size) {
    return End(FileOutcome::kRetry, absl::DataLossError("server: has not answered every write"));
  }
  state_ = State::kNaming;
  const bool atomic = requests_->features().posix_rename;
  unanswered_ = 1;
  const auto renamed = [self = shared_from_this(), atomic](const Answer& answer) {
    if (self->ended()) return;
    self->OnRenamed(answer, atomic);
  };
  requests_->Rename(part_, folders_->PathOf(job_.remote_name), renamed);
  if (atomic) Settle();
}

// Why "Failure", the look at what bears the name may tell.
void Upload::OnRenamed(const Answer& answer, bool settling) {
  if (answer.status == StatusCode::kFailure) {
    rename_failed_ = StatusOf(answer, absl::StrCat("renaming ", job_.remote_name));
    if (!settling) LookAtName();
    return;
  }
  if (!answer.ok()) return Fail(answer, "renaming");
  if (!settling) Settle();
  OnStep();
}

void Upload::LookAtName() {
  requests_->Lstat(folders_->PathOf(job_.remote_name), Then(&Upload::OnNameLooked));
}

// Sent with the rename where that is one request, else after it.
void Upload::Settle() {
  const bool fsync = requests_->features().fsync;
  const auto step = [this](const char* doing) {
    return [self = shared_from_this(), doing](const Answer& answer) {
      if (self->ended()) return;
      if (!answer.ok()) return self->Fail(answer, doing);
      self->OnStep();
    };
  };
  unanswered_ += fsync ? 3 : 2;
  LookAtName();
  if (fsync) requests_->Fsync(handle_, step("fsync"));
  requests_->Close(handle_, step("closing"));
  handle_.clear();
}

// A receiver that is quick has taken it away already.
void Upload::OnNameLooked(const Answer& answer) {
  const Attributes& found = answer.attributes;
  if (!rename_failed_.ok()) {
    return End(FileOutcome::kRetry,
               found.is_folder() ? InTheWay(job_.remote_name) : rename_failed_);
  }
  const bool taken = answer.status == StatusCode::kNoSuchFile;
  if (!answer.ok() && !taken) return Fail(answer, "lstat");
  if (!taken && (!found.is_file() || !found.has_size || found.size != job_.size)) {
    return Lose("what bears the name");
  }
  OnStep();
}

void Upload::OnStep() {
  if (--unanswered_ > 0) return;
  durable_ = job_.size;
  End(FileOutcome::kDurable, absl::OkStatus());
}

void Upload::TellProgress() {
  told_ = acknowledged_;
  events_->on_progress(job_.token, acknowledged_, durable_);
}

void Upload::Fail(const Answer& answer, std::string_view doing) {
  absl::string_view text(doing.data(), doing.size());
  End(FileOutcome::kRetry, StatusOf(answer, absl::StrCat(text, " ", job_.remote_name)));
}

// What was removed before is still there.
void Upload::FailOpening(const Answer& answer) {
  if (answer.status != StatusCode::kFailure) return Fail(answer, "opening");
  const absl::Status failed = StatusOf(answer, absl::StrCat("opening ", job_.remote_name));
  requests_->Lstat(part_, [self = shared_from_this(), failed](const Answer& found) {
    if (self->ended()) return;
    const bool folder = found.attributes.is_folder();
    self->End(FileOutcome::kRetry, folder ? InTheWay(self->part_) : failed);
  });
}

void Upload::End(FileOutcome outcome, absl::Status status, bool remove) {
  if (ended()) return;
  state_ = State::kEnded;
  if (!handle_.empty()) requests_->Close(handle_, [](const Answer&) {});
  if (!sync_handle_.empty()) syncs_->Close(sync_handle_, [](const Answer&) {});
  const bool left = !std::exchange(handle_, "").empty() || job_.offset > 0;
  if (remove && left) requests_->Remove(part_, [](const Answer&) {});
  FileEnd end;
  end.token = job_.token;
  end.outcome = outcome;
  end.status = std::move(status);
  end.durable_offset = remove ? 0 : durable_;
  end.sha256 = sha256_;
  file_.reset();
  events_->on_end(end);
}

}  // namespace viaduct::sftp
