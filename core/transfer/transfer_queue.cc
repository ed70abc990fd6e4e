#include "core/transfer/transfer_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crash_point.h"
#include "core/base/executor.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/transfer/remote_name.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "transfers";

absl::Status Closed() { return absl::UnavailableError("transfers: the queue is closed"); }

absl::Status Broken() {
  return absl::UnavailableError("transfers: the queue was damaged again and again");
}

bool IsOnItsWay(TransferState state) {
  return state == TransferState::kQueued || state == TransferState::kWaitingConfirmation;
}

// Its file is still ours to remove, or the server is still to be told of it.
bool IsPinned(const Transfer& transfer) {
  const bool done = transfer.state == TransferState::kDone;
  return IsFinished(transfer.state) && (transfer.held || (done && !transfer.announced));
}

}  // namespace

// One thing to do, and what came of it.
struct TransferQueue::Order {
  Transfer transfer;  // To add; or as the change left it.
  std::string id;     // To change.
  Edit edit;          // Null: add.
  AddDone add_done;
  ChangeDone change_done;
  absl::Status status;
  bool duplicate = false;
  bool written = false;
};

TransferQueue::TransferQueue(TransferQueueOptions options, const Clock* clock, Log* log)
    : options_(std::move(options)),
      clock_(clock),
      log_(log),
      reserve_(options_.path + ".reserve", options_.reserve_bytes) {}

TransferQueue::~TransferQueue() { Close(); }

absl::StatusOr<std::unique_ptr<TransferQueue>> TransferQueue::Open(TransferQueueOptions options,
                                                                   const Clock* clock, Log* log) {
  std::unique_ptr<TransferQueue> queue(new TransferQueue(std::move(options), clock, log));
  VD_RETURN_IF_ERROR(queue->OpenFiles());
  queue->thread_ = std::thread([raw = queue.get()] { raw->Loop(); });
  return queue;
}

absl::Status TransferQueue::OpenFiles() {
  VD_ASSIGN_OR_RETURN(lock_, disk::LockFile::Acquire(options_.path + ".lock"));
  absl::Status prepared = Prepare();
  if (absl::IsResourceExhausted(prepared)) {
    reserve_.Release();
    prepared = Prepare();
  }
  VD_RETURN_IF_ERROR(prepared);
  VD_RETURN_IF_ERROR(Connect());
  reserve_.Ensure();
  return absl::OkStatus();
}

absl::Status TransferQueue::Prepare() {
  std::optional<TransferDamage> damage;
  VD_RETURN_IF_ERROR(PrepareTransferFile(options_.path, &damage));
  if (damage.has_value()) NoteDamage(*damage);
  return absl::OkStatus();
}

absl::Status TransferQueue::Connect() {
  absl::Status status = OpenConnections();
  if (status.ok()) status = CountAll();
  if (status.ok()) return status;
  writer_.reset();
  absl::MutexLock lock(&read_mutex_);
  reader_.reset();
  return status;
}

absl::Status TransferQueue::OpenConnections() {
  VD_ASSIGN_OR_RETURN(writer_,
                      TransferDatabase::Open(options_.path, TransferDatabase::Mode::kWrite));
  absl::MutexLock lock(&read_mutex_);
  VD_ASSIGN_OR_RETURN(reader_,
                      TransferDatabase::Open(options_.path, TransferDatabase::Mode::kRead));
  return absl::OkStatus();
}

absl::Status TransferQueue::CountAll() {
  counting_.files.fill(0);
  counting_.bytes.fill(0);
  counting_.pinned.fill(0);
  counting_.held_bytes = 0;
  names_.Clear();
  files_.Clear();
  VD_RETURN_IF_ERROR(writer_->Scan(0, [this](const Transfer& transfer) {
    Move(nullptr, &transfer);
    return true;
  }));
  names_.Commit();
  files_.Commit();
  absl::MutexLock lock(&mutex_);
  counts_ = counting_;
  return absl::OkStatus();
}

void TransferQueue::NoteDamage(const TransferDamage& damage) {
  log_->Error(kComponent, "the queue of files was damaged and has been made anew",
              {{"reason", damage.reason},
               {"set_aside", damage.set_aside},
               {"salvaged", absl::StrCat(damage.salvaged)}});
  ++counting_.damages;
  absl::MutexLock lock(&mutex_);
  damages_.push_back(damage);
}

// Counts `after` in place of `before`; either may be none.
void TransferQueue::Move(const Transfer* before, const Transfer* after) {
  const auto count = [this](const Transfer& transfer, uint64_t sign) {
    const bool active = transfer.state == TransferState::kActive;
    const auto state =
        static_cast<size_t>(active ? TransferState::kQueued : transfer.state) % kTransferStates;
    counting_.files[state] += sign;
    counting_.bytes[state] += sign * transfer.size;
    if (IsPinned(transfer)) counting_.pinned[state] += sign;
    if (transfer.owner == FileOwner::kNode && transfer.held) {
      counting_.held_bytes += sign * transfer.size;
    }
  };
  names_.Move(before, after);
  files_.Move(before, after);
  if (before != nullptr) count(*before, ~uint64_t{0});
  if (after != nullptr) count(*after, 1);
}

void TransferQueue::Add(Transfer transfer, AddDone done) {
  auto order = std::make_unique<Order>();
  order->transfer = std::move(transfer);
  order->add_done = std::move(done);
  Enqueue(std::move(order));
}

void TransferQueue::Change(std::string id, Edit edit, ChangeDone done) {
  auto order = std::make_unique<Order>();
  order->id = std::move(id);
  order->edit = std::move(edit);
  order->change_done = std::move(done);
  Enqueue(std::move(order));
}

void TransferQueue::Enqueue(std::unique_ptr<Order> order) {
  {
    absl::MutexLock lock(&mutex_);
    // Changes of what is in the queue are never refused for their number: there are few for each.
    const bool room = order->edit != nullptr || waiting_.size() < options_.max_waiting;
    if (!closing_ && room) {
      waiting_.push_back(std::move(order));
      work_.Signal();
      return;
    }
    order->status = closing_ ? Closed()
                             : absl::ResourceExhaustedError(absl::StrCat(
                                   "transfers: too many wait to be written, ", waiting_.size()));
  }
  std::vector<std::unique_ptr<Order>> refused;
  refused.push_back(std::move(order));
  Answer(&refused);
}

void TransferQueue::Loop() {
  SetThreadName("transfer-queue");
  while (true) {
    std::vector<std::unique_ptr<Order>> group = TakeGroup();
    if (group.empty() && writer_ != nullptr) return;
    WriteGroup(&group);
    {
      absl::MutexLock lock(&mutex_);
      if (group.empty() && closing_) return;
      counts_ = counting_;
    }
    VD_CRASH_POINT("transfer.done.after");
    Answer(&group);
  }
}

std::vector<std::unique_ptr<TransferQueue::Order>> TransferQueue::TakeGroup() {
  absl::MutexLock lock(&mutex_);
  while (waiting_.empty() && !closing_) {
    // What a failed repair has left closed opens again without being asked for anything.
    if (writer_ != nullptr || counting_.failed) {
      work_.Wait(&mutex_);
    } else if (work_.WaitWithTimeout(&mutex_, kReopenEvery)) {
      break;
    }
  }
  std::vector<std::unique_ptr<Order>> group;
  while (!waiting_.empty() && group.size() < kMaxGroup) {
    group.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return group;
}

void TransferQueue::WriteGroup(std::vector<std::unique_ptr<Order>>* group) {
  absl::Status status = counting_.failed ? Broken() : Reopen();
  TransferCounts before = counting_;
  if (status.ok()) status = Attempt(*group);
  if (absl::IsDataLoss(status)) {
    counting_ = before;
    status = Repair(status);
    before = counting_;
    if (status.ok()) status = Attempt(*group);
  } else if (absl::IsResourceExhausted(status) && reserve_.held()) {
    counting_ = before;
    reserve_.Release();
    status = Attempt(*group);
  }
  counting_.disk_full = absl::IsResourceExhausted(status);
  if (status.ok()) {
    ++counting_.commits;
    reserve_.Ensure();
    return;
  }
  counting_ = before;
  counting_.disk_full = absl::IsResourceExhausted(status);
  for (auto& order : *group) {
    order->status = status;
    order->written = false;
  }
}

// All or nothing, but for orders that are refused by themselves.
absl::Status TransferQueue::Attempt(const std::vector<std::unique_ptr<Order>>& group) {
  absl::Status status = writer_->Begin();
  for (size_t i = 0; status.ok() && i < group.size(); ++i) {
    group[i]->status = absl::OkStatus();
    group[i]->duplicate = group[i]->written = false;
    status = Apply(group[i].get());
  }
  if (status.ok()) status = Prune();
  if (status.ok()) status = writer_->Commit();
  if (status.ok()) {
    names_.Commit();
    files_.Commit();
    return status;
  }
  names_.Rollback();
  files_.Rollback();
  writer_->Rollback();
  return status;
}

absl::Status TransferQueue::Apply(Order* order) {
  return order->edit == nullptr ? ApplyAdd(order) : ApplyChange(order);
}

absl::Status TransferQueue::ApplyAdd(Order* order) {
  Transfer& transfer = order->transfer;
  absl::StatusOr<Transfer> known = writer_->Find(transfer.id);
  if (known.ok()) {
    order->duplicate = known->sha256 == transfer.sha256 && known->size == transfer.size;
    if (!order->duplicate) {
      order->status = absl::AlreadyExistsError(
          absl::StrCat("transfers: the id is that of another file, ", transfer.id));
      return absl::OkStatus();
    }
    transfer = *std::move(known);
    return absl::OkStatus();
  }
  if (!absl::IsNotFound(known.status())) return known.status();
  order->status = CheckRoom(counting_, transfer);
  if (order->status.ok()) VD_RETURN_IF_ERROR(CheckName(&transfer, &order->status));
  if (!order->status.ok()) return absl::OkStatus();
  VD_CRASH_POINT("transfer.add.before");
  VD_RETURN_IF_ERROR(writer_->Insert(&transfer));
  VD_CRASH_POINT("transfer.add.after");
  Move(nullptr, &transfer);
  order->written = true;
  return absl::OkStatus();
}

absl::Status TransferQueue::ApplyChange(Order* order) {
  absl::StatusOr<Transfer> before = writer_->Find(order->id);
  if (absl::IsNotFound(before.status())) {
    order->status = before.status();
    return absl::OkStatus();
  }
  VD_RETURN_IF_ERROR(before.status());
  Transfer after = *before;
  order->status = order->edit(&after);
  const bool back = !IsOnItsWay(before->state) && IsOnItsWay(after.state);
  if (order->status.ok() && back) VD_RETURN_IF_ERROR(CheckName(&after, &order->status));
  if (!order->status.ok()) return absl::OkStatus();
  VD_CRASH_POINT("transfer.change.before");
  VD_RETURN_IF_ERROR(writer_->Update(after));
  VD_CRASH_POINT("transfer.change.after");
  Move(&*before, &after);
  order->transfer = std::move(after);
  order->written = true;
  return absl::OkStatus();
}

absl::StatusOr<Transfer> TransferQueue::NamesakeOf(const Transfer& transfer, bool on_its_way) {
  for (const int64_t sequence : names_.Candidates(transfer.remote_name)) {
    absl::StatusOr<Transfer> other = writer_->Find(sequence);
    if (absl::IsNotFound(other.status())) continue;
    const bool is = other.ok() && other->remote_name == transfer.remote_name &&
                    other->id != transfer.id && (!on_its_way || IsOnItsWay(other->state));
    if (!other.ok() || is) return other;
  }
  return absl::NotFoundError("no other has the name");
}

// What is done may be replaced by who gives the same name again; what is on its way may not, and a
// name that the node gives is nobody else's as long as that is remembered.
absl::Status TransferQueue::CheckName(Transfer* transfer, absl::Status* refused) {
  const absl::StatusOr<Transfer> other = NamesakeOf(*transfer, transfer->named);
  if (absl::IsNotFound(other.status())) return absl::OkStatus();
  VD_RETURN_IF_ERROR(other.status());
  if (!transfer->named) {
    transfer->remote_name = NameOfItsOwn(transfer->remote_name, transfer->id);
  } else {
    *refused = absl::AlreadyExistsError(
        absl::StrCat("transfers: the name is that of another file on its way, ",
                     transfer->remote_name, ", ", other->id));
  }
  return absl::OkStatus();
}

absl::Status TransferQueue::HasRoom(const Transfer& transfer) const {
  absl::MutexLock lock(&mutex_);
  return CheckRoom(counts_, transfer);
}

absl::Status TransferQueue::CheckRoom(const TransferCounts& counts,
                                      const Transfer& transfer) const {
  uint64_t files = 0;
  for (size_t i = 0; i < kTransferStates; ++i) {
    if (!IsFinished(static_cast<TransferState>(i))) files += counts.files[i];
  }
  if (files >= options_.max_files) {
    return absl::ResourceExhaustedError(absl::StrCat("transfers: full, ", files, " files wait"));
  }
  const bool ours = transfer.owner == FileOwner::kNode;
  if (ours && counts.held_bytes + transfer.size > options_.max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("transfers: full, ", counts.held_bytes, " of ",
                                                     options_.max_bytes, " bytes wait"));
  }
  return absl::OkStatus();
}

// Finished ones beyond the bound; never one whose file is still ours to remove, or of which the
// server is still to be told.
absl::Status TransferQueue::Prune() {
  for (const TransferState state : {TransferState::kDone, TransferState::kCancelled}) {
    const auto number = static_cast<size_t>(state);
    const uint64_t most = options_.max_finished;
    const uint64_t pinned = counting_.pinned[number];
    const uint64_t loose = counting_.files[number] - pinned;
    if (pinned + loose <= most || loose <= most / 2) continue;
    const uint64_t surplus = std::min(pinned + loose - most, loose - most / 2);
    // Those that are pinned are passed by each time: not for each row.
    if (pinned > most / 2 && surplus < std::min<uint64_t>(most / 8, kMaxGroup)) continue;
    std::vector<Transfer> old;
    VD_RETURN_IF_ERROR(writer_->ScanState(state, 0, [&](const Transfer& transfer) {
      if (!IsPinned(transfer)) old.push_back(transfer);
      return old.size() < surplus && old.size() < kMaxGroup;
    }));
    for (const Transfer& transfer : old) {
      VD_RETURN_IF_ERROR(writer_->Erase(transfer.sequence));
      Move(&transfer, nullptr);
    }
  }
  return absl::OkStatus();
}

absl::Status TransferQueue::Repair(const absl::Status& why) {
  const int64_t now = clock_->MonotonicNanos();
  const int64_t since = now - absl::ToInt64Nanoseconds(kRepairWindow);
  repairs_.erase(
      std::remove_if(repairs_.begin(), repairs_.end(), [since](int64_t at) { return at < since; }),
      repairs_.end());
  if (repairs_.size() >= kMaxRepairs) {
    counting_.failed = true;
    return Broken();
  }
  repairs_.push_back(now);
  writer_.reset();
  {
    absl::MutexLock lock(&read_mutex_);
    reader_.reset();
  }
  reserve_.Release();  // For the second copy.
  const absl::StatusOr<TransferDamage> damage =
      SalvageTransferFile(options_.path, std::string(why.message()));
  if (!damage.ok()) {
    log_->Error(kComponent, "the damaged queue of files cannot be made anew yet",
                {{"reason", StdView(damage.status().message())}});
    return absl::UnavailableError(damage.status().message());
  }
  NoteDamage(*damage);
  const absl::Status connected = Connect();
  return connected.ok() ? connected : absl::UnavailableError(connected.message());
}

absl::Status TransferQueue::Reopen() {
  if (writer_ != nullptr) return absl::OkStatus();
  const int64_t now = clock_->MonotonicNanos();
  if (absl::Nanoseconds(now - reopened_ns_) < kReopenEvery) return Closed();
  reopened_ns_ = now;
  absl::Status status = Prepare();
  if (status.ok()) status = Connect();
  return status.ok() ? status : absl::UnavailableError(status.message());
}

void TransferQueue::Answer(std::vector<std::unique_ptr<Order>>* group) {
  for (auto& order : *group) {
    if (order->written && changed_) changed_(order->transfer);
    const bool ok = order->status.ok();
    if (order->add_done) {
      order->add_done(
          ok ? absl::StatusOr<Added>(Added{std::move(order->transfer), order->duplicate})
             : order->status);
    } else if (order->change_done) {
      order->change_done(ok ? absl::StatusOr<Transfer>(std::move(order->transfer)) : order->status);
    }
  }
}

void TransferQueue::Close() {
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(closing_, true)) return;
    work_.Signal();
  }
  if (thread_.joinable()) thread_.join();
  writer_.reset();
  absl::MutexLock lock(&read_mutex_);
  reader_.reset();
}

}  // namespace viaduct
