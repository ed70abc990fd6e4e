#include "core/spool/spool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crash_point.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/spool/spool_impl.h"

namespace viaduct {

using spool_internal::FirstKey;
using spool_internal::kClasses;
using spool_internal::KeyClass;
using spool_internal::kRemovalsAtOnce;
using spool_internal::MakeKey;

namespace {

constexpr int64_t kNanosPerMilli = 1'000'000;
constexpr size_t kMaxReasonBytes = 256;

}  // namespace

Spool::Impl::Impl(SpoolOptions options, Clock* clock, Log* log)
    : options_(std::move(options)),
      clock_(clock),
      log_(log),
      reserve_(options_.path + ".reserve", options_.reserve_bytes),
      index_({options_.max_claimed, options_.max_ready_messages, options_.max_ready_bytes}) {}

Spool::Impl::~Impl() { Close(); }

absl::Status Spool::Impl::Open() {
  VD_ASSIGN_OR_RETURN(lock_, spool_internal::LockFile::Acquire(options_.path + ".lock"));
  absl::StatusOr<spool_internal::OpenedSpool> opened =
      spool_internal::OpenSpoolFile(options_.path, options_.vfs, log_);
  if (absl::IsResourceExhausted(opened.status())) {
    reserve_.Release();
    opened = spool_internal::OpenSpoolFile(options_.path, options_.vfs, log_);
  }
  VD_RETURN_IF_ERROR(opened.status());
  VD_RETURN_IF_ERROR(CheckKeys(opened->writer.get()));
  disk_full_ = !reserve_.Ensure();
  opened_at_ns_ = clock_->MonotonicNanos();
  spool_base_ms_ = opened->state.spool_ms;
  state_ = opened->state;
  writer_ = std::move(opened->writer);
  for (const DamageReport& report : opened->damages) LogDamage(report);
  {
    absl::MutexLock read(&read_mutex_);
    absl::MutexLock lock(&mutex_);
    reader_ = std::move(opened->reader);
    published_ = state_;
    damages_ = std::move(opened->damages);
    index_.Restart(state_);
  }
  for (int c = 0; c < kClasses; ++c) sweep_cursor_[static_cast<size_t>(c)] = FirstKey(c);
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

void Spool::Impl::LogDamage(const DamageReport& report) {
  log_->Warning("spool", "file was damaged and is replaced",
                {{"reason", report.reason},
                 {"set_aside", report.set_aside},
                 {"salvaged", absl::StrCat(report.salvaged)},
                 {"lost", absl::StrCat(report.lost)}});
}

int64_t Spool::Impl::SpoolNowMs() const {
  return spool_base_ms_ + (clock_->MonotonicNanos() - opened_at_ns_) / kNanosPerMilli;
}

int64_t Spool::Impl::TimeToLiveMs(DataType type) const {
  const absl::Duration life = options_.time_to_live[static_cast<size_t>(type)];
  return life == absl::InfiniteDuration() ? 0 : absl::ToInt64Milliseconds(life);
}

Spool::Impl::LoadedMessage Spool::Impl::Load(SpoolRow row) const {
  const uint64_t stream = StreamOf(row.key, row.device, row.type);
  LoadedMessage loaded = spool_internal::LoadedFrom(std::move(row));
  loaded.stream = stream;
  return loaded;
}

absl::Status Spool::Impl::Append(std::vector<Envelope> envelopes, AppendDone done) {
  AppendGroup group;
  group.rows.reserve(envelopes.size());
  const int64_t accepted_ms = absl::ToUnixMillis(clock_->Now());
  for (Envelope& envelope : envelopes) {
    SpoolRow row;
    const bool ordered = Ordered(envelope.data_type);
    const Priority priority = ordered ? Priority::kNormal : envelope.metadata.priority;
    row.key = MakeKey(priority, 0);  // The writer adds the sequence.
    row.type = envelope.data_type;
    row.captured_ms = absl::ToUnixMillis(envelope.timestamp);
    row.accepted_ms = accepted_ms;
    row.envelope_json = WriteEnvelope(envelope);
    row.message_id = std::move(envelope.message_id);
    row.device = std::move(envelope.edge_device_id);
    VD_RETURN_IF_ERROR(SealRow(&row));
    group.bytes += RowBytes(row);
    group.rows.push_back(std::move(row));
  }
  group.done = std::move(done);
  {
    absl::MutexLock lock(&mutex_);
    if (closing_) return absl::FailedPreconditionError("spool: closed");
    const size_t messages = queued_messages_ + group.rows.size();
    const size_t bytes = queued_bytes_ + group.bytes;
    if (messages > options_.max_queued_messages || bytes > options_.max_queued_bytes) {
      CountRefused(SpoolRefusal::kTooFast, group.rows.size());
      return absl::ResourceExhaustedError(absl::StrCat("spool: too much waits to be written, ",
                                                       queued_messages_, " messages, ",
                                                       queued_bytes_, " bytes"));
    }
    queued_messages_ = messages;
    queued_bytes_ = bytes;
    queue_.appends.push_back(std::move(group));
  }
  waker_.Wake();
  return absl::OkStatus();
}

void Spool::Impl::ReportDamage(const std::string& what) {
  absl::MutexLock lock(&mutex_);
  NoteDamageLocked(what);
}

void Spool::Impl::NoteDamageLocked(const std::string& what) {
  if (queue_.damage.empty()) queue_.damage = what;
  waker_.Wake();
}

// Ends a claim (or keeps a message from being claimed) by removing the row.
void Spool::Impl::LeaveLocked(int64_t key, RemovalKind kind, std::string reason) {
  OutEntry* entry = index_.Find(key);
  Removal removal;
  removal.key = key;
  removal.kind = kind;
  removal.has_attempt_row = entry->has_attempt_row;
  removal.bytes = entry->bytes;
  removal.reason = std::move(reason);
  const bool keeps_row = kind == RemovalKind::kRejected || kind == RemovalKind::kDamaged;
  index_.Leave(key, keeps_row ? OutState::kDying : OutState::kLeaving);
  if (queue_.removals.empty() && queue_.attempts.empty()) {
    first_removal_ns_ = clock_->MonotonicNanos();
  }
  queue_.removals.push_back(std::move(removal));
}

int64_t Spool::Impl::DueNanos(const Settlement& settlement) const {
  return settlement.delay_ns <= 0 ? 0 : clock_->MonotonicNanos() + settlement.delay_ns;
}

// False: the key is not claimed.
bool Spool::Impl::SettleLocked(const Settlement& settlement) {
  OutEntry* entry = index_.Find(settlement.key);
  if (entry == nullptr || entry->state != OutState::kClaimed) {
    ++unknown_settled_;
    return false;
  }
  const std::string reason = settlement.reason.substr(0, kMaxReasonBytes);
  const bool reject = settlement.kind == SettleKind::kReject;
  switch (settlement.kind) {
    case SettleKind::kConfirmed:
      LeaveLocked(settlement.key, RemovalKind::kConfirmed, "");
      return true;
    case SettleKind::kExpired:
      LeaveLocked(settlement.key, RemovalKind::kExpired, "");
      return true;
    case SettleKind::kRelease:
      index_.Delay(settlement.key, DueNanos(settlement), /*put_off=*/settlement.delay_ns > 0);
      return true;
    case SettleKind::kRetry:
    case SettleKind::kReject:
      break;
  }
  ++entry->attempts;
  if (reject && ++entry->rejects >= options_.max_rejects) {
    LeaveLocked(settlement.key, RemovalKind::kRejected, reason);
    return true;
  }
  entry->has_attempt_row = true;
  if (queue_.removals.empty() && queue_.attempts.empty()) {
    first_removal_ns_ = clock_->MonotonicNanos();
  }
  queue_.attempts.push_back({settlement.key, {entry->attempts, entry->rejects, reason}});
  index_.Delay(settlement.key, DueNanos(settlement));
  return true;
}

void Spool::Impl::Settle(absl::Span<const Settlement> settlements) {
  bool wake = false;
  {
    absl::MutexLock lock(&mutex_);
    const size_t before = queue_.removals.size() + queue_.attempts.size();
    for (const Settlement& settlement : settlements) SettleLocked(settlement);
    const size_t after = queue_.removals.size() + queue_.attempts.size();
    // The first one starts the writer's wait for company, many end it.
    wake = (before == 0 && after > 0) || (before < kRemovalsAtOnce && after >= kRemovalsAtOnce);
  }
  if (wake) waker_.Wake();
}

int64_t Spool::Impl::NextDueNanos() const {
  absl::MutexLock lock(&mutex_);
  return index_.NextDue();
}

void Spool::Impl::SetReadyHandler(std::function<void()> on_ready) {
  absl::MutexLock lock(&ready_mutex_);
  on_ready_ = on_ready ? std::make_shared<std::function<void()>>(std::move(on_ready)) : nullptr;
  ready_mutex_.Await(absl::Condition(
      +[](int* calls) { return *calls == 0; }, &ready_calls_));
}

void Spool::Impl::CallReady() {
  std::shared_ptr<std::function<void()>> on_ready;
  {
    absl::MutexLock lock(&ready_mutex_);
    if (on_ready_ == nullptr) return;
    on_ready = on_ready_;
    ++ready_calls_;
  }
  (*on_ready)();
  absl::MutexLock lock(&ready_mutex_);
  --ready_calls_;
}

std::vector<DamageReport> Spool::Impl::Damages() const {
  absl::MutexLock lock(&mutex_);
  return damages_;
}

void Spool::Impl::RunMaintenance() {
  {
    absl::MutexLock lock(&mutex_);
    queue_.maintenance = true;
  }
  waker_.Wake();
}

void Spool::Impl::Close() {
  absl::MutexLock close(&close_mutex_);
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
  }
  waker_.Wake();
  if (thread_.joinable()) thread_.join();
  VD_CRASH_POINT("spool.close.before");
  absl::MutexLock read(&read_mutex_);
  reader_.reset();
  writer_.reset();  // The last connection empties the log.
  lock_ = spool_internal::LockFile();
  VD_CRASH_POINT("spool.close.after");
}

Spool::Spool(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Spool::~Spool() = default;

absl::StatusOr<std::unique_ptr<Spool>> Spool::Open(SpoolOptions options, Clock* clock, Log* log) {
  auto impl = std::make_unique<Impl>(std::move(options), clock, log);
  VD_RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<Spool>(new Spool(std::move(impl)));
}

absl::Status Spool::Append(std::vector<Envelope> envelopes, AppendDone done) {
  return impl_->Append(std::move(envelopes), std::move(done));
}
size_t Spool::Claim(const ClaimLimits& limits, std::vector<OutboxMessage>* out) {
  return impl_->Claim(limits, out);
}
void Spool::Settle(absl::Span<const Settlement> settlements) { impl_->Settle(settlements); }
int64_t Spool::NextDueNanos() const { return impl_->NextDueNanos(); }
void Spool::SetReadyHandler(std::function<void()> on_ready) {
  impl_->SetReadyHandler(std::move(on_ready));
}
SpoolInfo Spool::Info() const { return impl_->Info(); }
std::vector<DamageReport> Spool::Damages() const { return impl_->Damages(); }
absl::StatusOr<SpoolPage> Spool::List(const SpoolFilter& filter, size_t page_size,
                                      const std::string& page_token, bool with_envelope) const {
  return impl_->List(filter, page_size, page_token, with_envelope);
}
absl::StatusOr<uint64_t> Spool::RetryDeadLetters(const SpoolFilter& filter) {
  return impl_->ChangeMatching(filter, /*retry=*/true);
}
absl::StatusOr<uint64_t> Spool::Drop(const SpoolFilter& filter, const std::string& reason) {
  absl::StatusOr<uint64_t> dropped = impl_->ChangeMatching(filter, /*retry=*/false);
  if (dropped.ok()) impl_->NoteDropped(*dropped, reason);
  return dropped;
}
void Spool::RunMaintenance() { impl_->RunMaintenance(); }
void Spool::Close() { impl_->Close(); }

}  // namespace viaduct
