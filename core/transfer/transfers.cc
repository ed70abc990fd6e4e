#include "core/transfer/transfers.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/ids.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/transfer/remote_name.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "transfers";
constexpr size_t kMaxIdBytes = 128;
constexpr size_t kDigestDigits = 64;

absl::Status MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0750) == 0 || errno == EEXIST) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("transfers: cannot make ", path, ", ", std::strerror(errno)));
}

absl::Status Wrong(const char* field, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", AbslView(what)));
}

absl::Status CheckDigest(std::string* digest) {
  absl::AsciiStrToLower(digest);
  const bool hex = std::all_of(digest->begin(), digest->end(), [](char c) {
    return absl::ascii_isxdigit(static_cast<unsigned char>(c));
  });
  if (digest->empty() || (digest->size() == kDigestDigits && hex)) return absl::OkStatus();
  return Wrong("sha256", "expected 64 hexadecimal digits");
}

absl::Status CheckRequest(FileRequest* request) {
  if (!request->id.empty() && !IsUuid(request->id)) return Wrong("transfer_id", "not a UUID");
  absl::AsciiStrToLower(&request->id);
  if (request->device.size() > kMaxIdBytes) return Wrong("edge_device_id", "too long");
  if (request->message_id.size() > kMaxIdBytes) return Wrong("message_id", "too long");
  if (request->kind.empty()) request->kind = "file";
  if (request->kind != "file" && request->kind != "image" && request->kind != "plate") {
    return Wrong("kind", "expected image, plate or file");
  }
  return CheckDigest(&request->sha256);
}

// As long as the answer is not given.
Transfers::AnswerFn Holding(std::shared_ptr<const void> claim, Transfers::AnswerFn answer) {
  return [claim = std::move(claim), answer = std::move(answer)](
             absl::StatusOr<TransferQueue::Added> added) { answer(std::move(added)); };
}

absl::Status CheckContent(const FileRequest& request, const Transfer& transfer) {
  if (request.size != 0 && request.size != transfer.size) {
    return Wrong("size", absl::StrCat("expected ", request.size, ", got ", transfer.size));
  }
  if (!request.sha256.empty() && request.sha256 != transfer.sha256) {
    return Wrong("sha256", absl::StrCat("expected ", request.sha256, ", got ", transfer.sha256));
  }
  return absl::OkStatus();
}

}  // namespace

Transfers::Transfers(TransfersOptions options, Deps deps)
    : options_(std::move(options)), deps_(std::move(deps)) {}

Transfers::~Transfers() {
  Stop();
  Close();
}

absl::StatusOr<std::unique_ptr<Transfers>> Transfers::Open(TransfersOptions options, Deps deps) {
  std::unique_ptr<Transfers> transfers(new Transfers(std::move(options), std::move(deps)));
  VD_RETURN_IF_ERROR(transfers->OpenAll());
  return transfers;
}

absl::Status Transfers::OpenAll() {
  const std::string outgoing = options_.folder + "/outgoing";
  VD_RETURN_IF_ERROR(MakeFolder(options_.folder));
  VD_RETURN_IF_ERROR(MakeFolder(outgoing));
  options_.roots.push_back(outgoing);
  const std::string files = options_.folder + "/files";
  VD_ASSIGN_OR_RETURN(owned_, OwnedFolder::Open(files, options_.min_free_bytes));
  options_.queue.path = options_.folder + "/transfers.db";
  VD_ASSIGN_OR_RETURN(queue_, TransferQueue::Open(options_.queue, deps_.clock, deps_.log));
  if (deps_.changed) {
    queue_->SetChanged(
        [this](const Transfer& transfer) { deps_.changed(engine_->WithProgress(transfer)); });
  }
  TransferEngine::Deps engine;
  engine.queue = queue_.get();
  engine.owned = owned_.get();
  engine.clock = deps_.clock;
  engine.log = deps_.log;
  engine.quality = deps_.quality;
  engine.announce = deps_.announce;
  engine.moving = deps_.changed;
  engine.check = [this](const Transfer& transfer) { return CheckLocal(transfer); };
  engine.heard = deps_.heard;
  options_.care.max_held_bytes = options_.queue.max_bytes / 10 * 9;
  options_.engine.keep_confirmed = options_.care.keep > absl::ZeroDuration();
  engine_ = std::make_unique<TransferEngine>(options_.engine, std::move(engine));
  care_ = std::make_unique<TransferCare>(options_.care, queue_.get(), owned_.get(), deps_.clock,
                                         deps_.log, [files] { return disk::FreeBytes(files); });
  return absl::OkStatus();
}

absl::Status Transfers::Start() {
  VD_RETURN_IF_ERROR(engine_->Start());
  for (const WatchFolderOptions& options : options_.watch) {
    auto watch = WatchFolder::Start(options, deps_.clock, deps_.log,
                                    [this](const WatchedFile& file, WatchFolder::TakenFn done) {
                                      TakeWatched(file, std::move(done));
                                    });
    if (!watch.ok()) return watch.status();
    watches_.push_back(*std::move(watch));
  }
  return absl::OkStatus();
}

std::vector<std::pair<std::string, absl::Status>> Transfers::WatchTroubles() const {
  std::vector<std::pair<std::string, absl::Status>> troubles;
  for (const auto& watch : watches_) {
    const absl::Status state = watch->state();
    if (!state.ok()) troubles.emplace_back(watch->path(), state);
  }
  return troubles;
}

void Transfers::Care() {
  care_->Look();
  const int64_t now = deps_.clock->MonotonicNanos();
  const int64_t last = recovered_ns_.load();
  if (last != 0 && absl::Nanoseconds(now - last) < kRecoverEvery) return;
  recovered_ns_.store(now);
  Recover();
}

void Transfers::Stop() {
  if (stopped_.exchange(true)) return;
  for (auto& watch : watches_) watch->Stop();
  pool_.Stop();
  upload_pool_.Stop();
  if (engine_ != nullptr) engine_->Stop();
}

void Transfers::Close() {
  if (queue_ != nullptr) queue_->Close();
}

// Files that came in whole and have no row: their row was lost with a damaged queue, or the node
// died before it was written. They were perhaps acknowledged, so they are sent.
void Transfers::Recover() {
  for (const std::string& id : owned_->List()) {
    if (stopped_.load()) return;
    struct stat info {};
    if (stat(owned_->PathOf(id).c_str(), &info) != 0) continue;
    if (deps_.clock->Now() - absl::TimeFromTimespec(info.st_ctim) < kOrphanAge) continue;
    if (Reserve(id).ok()) RecoverOne(id);
  }
}

// Of an id that is reserved. What the queue refuses stays for the next time.
void Transfers::RecoverOne(const std::string& id) {
  const absl::StatusOr<Transfer> known = queue_->Get(id);
  // A crash came between the row, which says that it is gone, and the file.
  const bool left = known.ok() && IsFinished(known->state) && !known->held;
  if (left) owned_->Remove(id).IgnoreError();
  if (!absl::IsNotFound(known.status())) return Release(id);
  FileRequest request;
  request.id = id;
  request.name = absl::StrCat("recovered/", id);
  absl::StatusOr<Transfer> transfer = Read(&request, owned_->PathOf(id));
  absl::StatusOr<LocalFile> file = OpenBelow({owned_->path()}, owned_->PathOf(id));
  if (!transfer.ok() || !file.ok()) return Release(id);
  file->stop = &stopped_;
  const absl::StatusOr<FileDigest> digest = DigestOf(*file);
  if (!digest.ok()) return Release(id);
  transfer->owner = FileOwner::kNode;
  transfer->held = true;
  transfer->size = digest->size;
  transfer->sha256 = digest->sha256;
  deps_.log->Warning(kComponent, "a file without a row is sent under a name of its own",
                     {{"transfer", id}, {"name", transfer->remote_name}});
  Enqueue(request, *std::move(transfer), /*fresh=*/false, nullptr);
}

absl::StatusOr<Transfer> Transfers::Read(FileRequest* request, const std::string& path) const {
  VD_RETURN_IF_ERROR(CheckRequest(request));
  const absl::Time now = deps_.clock->Now();
  Transfer transfer;
  transfer.id = request->id.empty() ? NewUuid(now) : request->id;
  transfer.device = request->device.empty() ? options_.node_id : request->device;
  transfer.captured = request->captured == absl::InfinitePast() ? now : request->captured;
  VD_ASSIGN_OR_RETURN(transfer.remote_name,
                      MakeRemoteName(transfer.device, request->name, path, transfer.captured));
  transfer.named = !request->name.empty();
  transfer.announced = deps_.announce == nullptr;
  transfer.local_path = path;
  transfer.priority = request->priority;
  transfer.kind = request->kind;
  transfer.index = request->index;
  transfer.message_id = request->message_id;
  transfer.created = transfer.changed = now;
  if (request->size > options_.max_file_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("size: larger than transfers.max_file_bytes, ", request->size));
  }
  return transfer;
}

void Transfers::SendPath(FileRequest request, const std::string& path, FileTake take,
                         AnswerFn answer) {
  absl::StatusOr<Transfer> transfer = Read(&request, path);
  if (!transfer.ok()) return answer(transfer.status());
  auto shared = std::make_shared<AnswerFn>(std::move(answer));
  const bool queued = pool_.Submit([this, request, transfer = *std::move(transfer), take, shared] {
    TakePath(request, transfer, take, *shared);
  });
  if (queued) return;
  (*shared)(absl::ResourceExhaustedError("transfers: too many files wait to be read"));
}

void Transfers::TakePath(FileRequest request, Transfer transfer, FileTake take, AnswerFn answer) {
  absl::StatusOr<LocalFile> file = OpenBelow(options_.roots, transfer.local_path);
  if (!file.ok()) return answer(file.status());
  if (file->size > options_.max_file_bytes) {
    return answer(
        Wrong("path", absl::StrCat("larger than transfers.max_file_bytes, ", file->size)));
  }
  file->stop = &stopped_;
  const absl::Status reserved = Reserve(transfer.id);
  if (!reserved.ok()) return answer(reserved);
  TakeReserved(request, std::move(transfer), *file, take, std::move(answer));
}

void Transfers::TakeReserved(const FileRequest& request, Transfer transfer, const LocalFile& file,
                             FileTake take, AnswerFn answer) {
  // A repetition must not touch the file that was taken the first time.
  const absl::Status known = queue_->Get(transfer.id).status();
  const bool taken = take != FileTake::kReference && absl::IsNotFound(known);
  const bool unknown = !known.ok() && !absl::IsNotFound(known);
  absl::Status refused = unknown ? known : absl::OkStatus();
  transfer.size = file.size;
  transfer.owner = taken ? FileOwner::kNode : FileOwner::kSender;
  if (absl::IsNotFound(known)) refused = queue_->HasRoom(transfer);
  const bool copied = taken && take == FileTake::kCopy;
  if (copied && refused.ok()) refused = owned_->HasSpace(file.size);
  // Nobody removes it from here on, and nobody had before.
  std::shared_ptr<const void> claim;
  if (!taken) claim = queue_->files()->Claim(file.stamp);
  if (!taken && refused.ok()) refused = CheckStillThere(file);
  const TakeMode mode = take == FileTake::kLink ? TakeMode::kLink : TakeMode::kCopy;
  const absl::StatusOr<FileDigest> digest = !refused.ok() ? absl::StatusOr<FileDigest>(refused)
                                            : taken       ? owned_->Take(file, transfer.id, mode)
                                                          : DigestOf(file);
  if (!digest.ok()) {
    Release(transfer.id);
    return answer(digest.status());
  }
  transfer.size = digest->size;
  transfer.sha256 = digest->sha256;
  transfer.stamp = file.stamp;
  if (taken) {
    transfer.held = true;
    transfer.local_path = owned_->PathOf(transfer.id);
  }
  Enqueue(request, std::move(transfer), taken, Holding(std::move(claim), std::move(answer)));
}

absl::Status Transfers::Reserve(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  if (reserved_.insert(id).second) return absl::OkStatus();
  return absl::AbortedError(
      absl::StrCat("transfers: the same file is being taken in already, ", id));
}

void Transfers::Release(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  reserved_.erase(id);
}

// What this call took in and is refused goes again, unless a row has it nevertheless.
void Transfers::RemoveRefused(const std::string& id) {
  if (absl::IsNotFound(queue_->Get(id).status())) owned_->Remove(id).IgnoreError();
}

void Transfers::Enqueue(const FileRequest& request, Transfer transfer, bool fresh,
                        AnswerFn answer) {
  const std::string id = transfer.id;
  const absl::Status right = CheckContent(request, transfer);
  if (!right.ok()) {
    if (fresh) RemoveRefused(id);
    Release(id);
    if (answer) answer(right);
    return;
  }
  queue_->Add(std::move(transfer), [this, id, fresh, answer = std::move(answer)](
                                       absl::StatusOr<TransferQueue::Added> added) {
    if (!added.ok() && fresh) RemoveRefused(id);
    Release(id);
    if (added.ok() && !added->duplicate) engine_->OnAdded(added->transfer);
    if (answer) answer(std::move(added));
  });
}

absl::StatusOr<std::unique_ptr<Transfers::Upload>> Transfers::BeginUpload(FileRequest request) {
  if (request.name.empty()) {
    return Wrong("name", "missing, a file that comes in pieces has none of its own");
  }
  auto upload = std::make_unique<Upload>();
  VD_ASSIGN_OR_RETURN(upload->transfer_, Read(&request, ""));
  upload->transfers_ = this;
  // A repetition is read to its end and compared, and takes no place on the disk meanwhile.
  const std::string& id = upload->transfer_.id;
  VD_RETURN_IF_ERROR(Reserve(id));
  upload->reserved_ = true;
  const absl::Status known = queue_->Get(id).status();
  if (!known.ok() && !absl::IsNotFound(known)) return known;
  upload->transfer_.owner = FileOwner::kNode;
  upload->repeated_ = known.ok();
  VD_RETURN_IF_ERROR(upload->TakeRoom(request.size));
  VD_ASSIGN_OR_RETURN(upload->file_, owned_->Begin(known.ok() ? NewUuid(deps_.clock->Now()) : id));
  upload->transfer_.held = true;
  upload->transfer_.local_path = owned_->PathOf(id);
  upload->request_ = std::move(request);
  return upload;
}

Transfers::Upload::~Upload() { Drop(); }

// All uploads under way count: each as large as it says, or as it has become.
absl::Status Transfers::Upload::TakeRoom(uint64_t bytes) {
  if (repeated_ || bytes <= room_) return absl::OkStatus();
  Transfer coming = transfer_;
  coming.size = transfers_->coming_bytes_.fetch_add(bytes - room_) + bytes - room_;
  const uint64_t more = bytes - std::exchange(room_, bytes);
  VD_RETURN_IF_ERROR(transfers_->queue_->HasRoom(coming));
  return transfers_->owned_->HasSpace(more);
}

void Transfers::Upload::Drop() {
  if (room_ > 0) transfers_->coming_bytes_ -= std::exchange(room_, 0);
  file_.reset();
  if (std::exchange(reserved_, false)) transfers_->Release(transfer_.id);
}

absl::Status Transfers::Upload::Write(std::string_view octets) {
  const uint64_t most = transfers_->options_.max_file_bytes;
  if (file_->size() + octets.size() > most) {
    return Wrong("data", absl::StrCat("more than transfers.max_file_bytes, ", most));
  }
  if (file_->size() + octets.size() > room_) {
    VD_RETURN_IF_ERROR(TakeRoom(file_->size() + octets.size()));
  }
  return file_->Write(octets);
}

void Transfers::Upload::Finish(uint64_t size, const std::string& sha256, AnswerFn answer) {
  if (size != 0) request_.size = size;
  if (!sha256.empty()) request_.sha256 = sha256;
  const absl::Status form = CheckDigest(&request_.sha256);
  if (!form.ok()) {
    Drop();  // Before the answer, as always: its name is free again.
    return answer(form);
  }
  FileDigest digest;
  if (repeated_) {
    digest = file_->Digest();
    transfer_.owner = FileOwner::kSender;  // Nothing of it stays.
    file_.reset();
  } else {
    const absl::StatusOr<FileDigest> finished = file_->Finish();
    if (!finished.ok()) {
      Drop();
      return answer(finished.status());
    }
    digest = *finished;
  }
  transfer_.size = digest.size;
  transfer_.sha256 = digest.sha256;
  reserved_ = false;  // It is the queue's now.
  Transfers* const transfers = transfers_;
  transfers->Enqueue(request_, std::move(transfer_), !repeated_,
                     [transfers, room = std::exchange(room_, 0),
                      answer = std::move(answer)](absl::StatusOr<TransferQueue::Added> added) {
                       transfers->coming_bytes_ -= room;
                       answer(std::move(added));
                     });
}

void Transfers::TakeWatched(const WatchedFile& file, WatchFolder::TakenFn done) {
  const WatchFolderOptions folder = *file.folder;
  FileRequest request;
  request.id = file.id;
  request.device = folder.device;
  request.priority = folder.priority;
  request.kind = folder.kind;
  const bool queued = pool_.Submit(
      [this, request, file, folder, done] { DigestWatched(request, file, folder, done); });
  if (!queued) done(absl::ResourceExhaustedError("too many files wait to be read"));
}

void Transfers::DigestWatched(const FileRequest& asked, const WatchedFile& file,
                              const WatchFolderOptions& folder, const WatchFolder::TakenFn& done) {
  FileRequest request = asked;
  absl::StatusOr<Transfer> transfer = Read(&request, file.path);
  absl::StatusOr<LocalFile> opened = OpenBelow({folder.path}, file.path);
  if (!transfer.ok()) return done(transfer.status());
  if (!opened.ok()) return done(opened.status());
  if (!(opened->stamp == file.stamp)) return done(absl::AbortedError("it is another since"));
  transfer->owner = FileOwner::kWatch;
  const bool fresh = absl::IsNotFound(queue_->Get(transfer->id).status());
  const absl::Status room = fresh ? queue_->HasRoom(*transfer) : absl::OkStatus();
  if (!room.ok()) return done(room);  // Not read for nothing.
  std::shared_ptr<const void> claim = queue_->files()->Claim(file.stamp);
  const absl::Status there = CheckStillThere(*opened);
  if (!there.ok()) return done(there);
  opened->stop = &stopped_;
  const absl::StatusOr<FileDigest> digest = DigestOf(*opened);
  if (!digest.ok()) return done(digest.status());
  transfer->held = folder.remove;
  transfer->stamp = file.stamp;
  transfer->size = digest->size;
  transfer->sha256 = digest->sha256;
  const absl::Status reserved = Reserve(transfer->id);
  if (!reserved.ok()) return done(reserved);
  Enqueue(request, *std::move(transfer), /*fresh=*/false,
          Holding(std::move(claim), [done](const absl::StatusOr<TransferQueue::Added>& added) {
            done(absl::IsAlreadyExists(added.status()) ? absl::OkStatus() : added.status());
          }));
}

void Transfers::Cancel(const std::string& id, ChangeFn done) {
  queue_->Change(
      absl::AsciiStrToLower(id),
      [now = deps_.clock->Now()](Transfer* transfer) -> absl::Status {
        if (IsFinished(transfer->state)) {
          return absl::FailedPreconditionError(
              absl::StrCat("transfers: ", transfer->id, " is ",
                           AbslView(TransferStateName(transfer->state)), " already"));
        }
        transfer->state = TransferState::kCancelled;
        transfer->changed = now;
        return absl::OkStatus();
      },
      [this, done = std::move(done)](absl::StatusOr<Transfer> changed) {
        if (changed.ok()) engine_->OnCancelled(*changed);
        done(std::move(changed));
      });
}

absl::StatusOr<Transfer> Transfers::Get(const std::string& id) const {
  absl::StatusOr<Transfer> transfer = queue_->Get(absl::AsciiStrToLower(id));
  if (transfer.ok()) return engine_->WithProgress(*std::move(transfer));
  return transfer;
}

absl::StatusOr<TransferPage> Transfers::List(const TransferFilter& filter, size_t page_size,
                                             const std::string& page_token) const {
  VD_ASSIGN_OR_RETURN(TransferPage page, queue_->List(filter, page_size, page_token));
  for (Transfer& transfer : page.transfers) transfer = engine_->WithProgress(std::move(transfer));
  return page;
}

std::vector<Transfer> Transfers::UnderWay(size_t most) const {
  std::vector<Transfer> out = engine_->OnRoads(most);
  const auto add = [&](const Transfer& transfer) {
    if (out.size() < most && !engine_->IsActive(transfer.sequence)) out.push_back(transfer);
    return out.size() < most;
  };
  for (const TransferState state : {TransferState::kQueued, TransferState::kWaitingConfirmation}) {
    // What cannot be read now is told of by the health of the node.
    if (out.size() < most) queue_->Each(state, add).IgnoreError();
  }
  return out;
}

}  // namespace viaduct
