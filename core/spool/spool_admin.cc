// Looking at the spool and changing it by hand.
#include <algorithm>
#include <future>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status_macros.h"
#include "core/message/json_scanner.h"
#include "core/spool/spool_impl.h"

namespace viaduct {

using spool_internal::FirstKey;
using spool_internal::IsKey;
using spool_internal::kClasses;
using spool_internal::KeyClass;
using spool_internal::LastKey;
using spool_internal::StoredDeadRow;

namespace {

constexpr size_t kMaxPageSize = 1'000;
constexpr size_t kScanRows = 10'000;

// A damaged row may hold anything; what leaves the process is text.
std::string Printable(const std::string& text) {
  return IsValidUtf8(text) ? text : absl::CHexEscape(text);
}

template <typename T>
bool AnyOrOneOf(const std::vector<T>& wanted, const T& value) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), value) != wanted.end();
}

bool Matches(const SpoolFilter& filter, const SpoolEntry& entry) {
  if (!AnyOrOneOf(filter.keys, entry.key)) return false;
  if (!AnyOrOneOf(filter.message_ids, entry.message_id)) return false;
  if (!filter.edge_device_id.empty() && filter.edge_device_id != entry.edge_device_id) return false;
  if (filter.data_type.ok() && *filter.data_type != entry.data_type) return false;
  if (filter.priority.ok() && *filter.priority != entry.priority) return false;
  return !filter.state.ok() || *filter.state == entry.state;
}

void Add(SpoolEntry entry, SpoolPage* page) {
  page->envelope_bytes += entry.envelope_json.size();
  page->entries.push_back(std::move(entry));
}

bool IsFull(const SpoolPage& page, size_t page_size) {
  return page.entries.size() >= page_size || page.envelope_bytes >= Spool::kMaxPageBytes;
}

SpoolEntry EntryFrom(const spool_internal::SpoolRow& row, uint64_t bytes) {
  SpoolEntry entry;
  entry.key = row.key;
  entry.message_id = Printable(row.message_id);
  entry.edge_device_id = Printable(row.device);
  entry.data_type = row.type;
  entry.priority = static_cast<Priority>(KeyClass(row.key));
  entry.timestamp = absl::FromUnixMillis(row.captured_ms);
  entry.accepted_at = absl::FromUnixMillis(row.accepted_ms);
  entry.bytes = bytes;
  return entry;
}

// "w" or "d" and the next key: waiting rows first, then the dead letters.
absl::Status ParseToken(const std::string& token, bool* dead, int64_t* key) {
  *dead = false;
  *key = 0;
  if (token.empty()) return absl::OkStatus();
  *dead = token[0] == 'd';
  if ((*dead || token[0] == 'w') && absl::SimpleAtoi(absl::string_view(token).substr(1), key) &&
      *key >= 0) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("spool: not a page token, \"", absl::CHexEscape(token), "\""));
}

}  // namespace

SpoolInfo Spool::Impl::Info() {
  SpoolInfo info;
  info.path = options_.path;
  info.max_messages = options_.max_messages;
  info.max_bytes = options_.max_bytes;
  info.when_full = options_.when_full;
  info.low_space = (disk_full_ && spared_) || spool_internal::FreeBytes(options_.path) <
                                                  static_cast<int64_t>(options_.min_free_bytes);
  info.disk_full = disk_full_ && !spared_;
  info.failed = failed_;
  const int64_t now_ms = SpoolNowMs();
  int64_t oldest_ms = now_ms;
  absl::MutexLock read(&read_mutex_);
  for (int c = 0; c < kClasses && reader_ != nullptr; ++c) {
    reader_
        ->ReadRowsBriefly({FirstKey(c), LastKey(c), 1},
                          [&oldest_ms](const StoredRow& stored) {
                            oldest_ms = std::min(oldest_ms, stored.row.spool_ms);
                            return true;
                          })
        .IgnoreError();  // Damage is found and handled by the dispatcher's reads.
  }
  info.oldest_age = absl::Milliseconds(std::max<int64_t>(0, now_ms - oldest_ms));
  absl::MutexLock lock(&mutex_);
  const SpoolState& state = published_;
  for (size_t c = 0; c < kClasses; ++c) {
    info.messages_by_priority[c] = static_cast<uint64_t>(state.messages[c]);
    info.messages += info.messages_by_priority[c];
    info.bytes += static_cast<uint64_t>(state.bytes[c]);
  }
  info.in_flight = index_.claimed();
  info.delayed = index_.delayed();
  info.rejected = static_cast<uint64_t>(state.dead_messages);
  info.rejected_bytes = static_cast<uint64_t>(state.dead_bytes);
  info.full = full_for_bytes_ > 0;
  info.repair_error = repair_error_;
  info.accepted_total = static_cast<uint64_t>(state.accepted_total);
  info.confirmed_total = static_cast<uint64_t>(state.confirmed_total);
  info.expired_total = static_cast<uint64_t>(state.expired_total);
  info.dropped_total = static_cast<uint64_t>(state.dropped_total);
  info.rejected_total = static_cast<uint64_t>(state.rejected_total);
  info.damages_total = static_cast<uint64_t>(state.damages_total);
  info.lost_total = static_cast<uint64_t>(state.lost_total);
  info.commits = commits_;
  info.refused_by = refusals_;
  for (const uint64_t refused : refusals_) info.refused += refused;
  info.dropped_by = drops_;
  info.unknown_settled = unknown_settled_;
  return info;
}

absl::Status Spool::Impl::ScanWaiting(const SpoolFilter& filter, int64_t* key, size_t* budget,
                                      size_t page_size, bool with_envelope, SpoolPage* page) {
  const auto visit = [&](StoredRow stored) {
    --*budget;
    *key = stored.row.key + 1;
    if (!IsKey(stored.row.key)) return true;
    SpoolEntry entry = EntryFrom(stored.row, stored.bytes);
    entry.attempts = stored.attempt.attempts;
    entry.last_error = Printable(stored.attempt.error);
    if (with_envelope) entry.envelope_json = OpenedText(stored.row, &entry.last_error);
    {
      absl::MutexLock lock(&mutex_);
      const OutEntry* out = index_.Find(stored.row.key);
      if (out != nullptr && out->state == OutState::kLeaving) return true;
      if (out != nullptr && out->state != OutState::kDelayed) {
        entry.state = SpoolEntryState::kInFlight;
      }
    }
    if (Matches(filter, entry)) Add(std::move(entry), page);
    return !IsFull(*page, page_size) && *budget > 0;
  };
  // Keys are by priority: others need not be looked at.
  const int first = filter.priority.ok() ? static_cast<int>(*filter.priority) : 0;
  const int last = filter.priority.ok() ? first : kClasses - 1;
  const spool_internal::KeyRange range{std::max(*key, FirstKey(first)), LastKey(last),
                                       static_cast<int64_t>(*budget)};
  absl::MutexLock read(&read_mutex_);
  if (reader_ == nullptr) return absl::UnavailableError("spool: closed or being repaired");
  return with_envelope ? reader_->ReadRows(range, visit) : reader_->ReadRowsBriefly(range, visit);
}

absl::Status Spool::Impl::ScanDead(const SpoolFilter& filter, int64_t* key, size_t* budget,
                                   size_t page_size, bool with_envelope, SpoolPage* page) {
  const auto visit = [&](StoredDeadRow stored) {
    --*budget;
    *key = stored.dead.row.key + 1;
    SpoolEntry entry = EntryFrom(stored.dead.row, stored.bytes);
    entry.state = SpoolEntryState::kRejected;
    entry.last_error =
        stored.intact ? Printable(stored.dead.reason) : "damaged: checksum does not match";
    if (with_envelope) entry.envelope_json = OpenedText(stored.dead.row, &entry.last_error);
    if (Matches(filter, entry)) Add(std::move(entry), page);
    return !IsFull(*page, page_size) && *budget > 0;
  };
  const bool from_start = *key == 0;
  const size_t budget_before = *budget;
  absl::MutexLock read(&read_mutex_);
  if (reader_ == nullptr) return absl::UnavailableError("spool: closed or being repaired");
  SpoolDatabase* const reader = reader_.get();
  const auto scan = [&]() -> absl::Status {
    VD_RETURN_IF_ERROR(reader->BeginRead());
    VD_ASSIGN_OR_RETURN(const SpoolState state, reader->ReadState());
    VD_RETURN_IF_ERROR(
        reader->ReadDead({*key, LastKey(kClasses - 1), static_cast<int64_t>(*budget)}, visit));
    const bool whole = from_start && *budget > 0 && !IsFull(*page, page_size);
    const auto seen = static_cast<int64_t>(budget_before - *budget);
    if (!whole || seen == state.dead_messages) return absl::OkStatus();
    return absl::DataLossError("spool: dead letters do not add up");
  };
  const absl::Status status = scan();
  reader->Rollback();
  return status;
}

// The repair is the writer's; the caller may ask again.
absl::Status Spool::Impl::NoteDamage(const absl::Status& status) {
  if (!absl::IsDataLoss(status)) return status;
  ReportDamage(std::string(status.message()));
  return absl::UnavailableError(status.message());
}

absl::StatusOr<SpoolPage> Spool::Impl::List(const SpoolFilter& filter, size_t page_size,
                                            const std::string& page_token, bool with_envelope) {
  page_size = std::min(std::max<size_t>(page_size, 1), kMaxPageSize);
  bool dead = false;
  int64_t key = 0;
  VD_RETURN_IF_ERROR(ParseToken(page_token, &dead, &key));
  SpoolPage page;
  size_t budget = kScanRows;
  const bool only_dead = filter.state.ok() && *filter.state == SpoolEntryState::kRejected;
  const bool only_waiting = filter.state.ok() && !only_dead;
  const auto stopped = [&] { return IsFull(page, page_size) || budget == 0; };
  if (!dead && !only_dead) {
    VD_RETURN_IF_ERROR(
        NoteDamage(ScanWaiting(filter, &key, &budget, page_size, with_envelope, &page)));
    if (stopped()) {
      page.next_page_token = absl::StrCat("w", key);
      return page;
    }
    key = 0;
  }
  if (only_waiting) return page;
  VD_RETURN_IF_ERROR(NoteDamage(ScanDead(filter, &key, &budget, page_size, with_envelope, &page)));
  if (stopped()) page.next_page_token = absl::StrCat("d", key);
  return page;
}

absl::StatusOr<uint64_t> Spool::Impl::RunAdmin(AdminWork work) {
  std::promise<absl::StatusOr<uint64_t>> promise;
  work.done = [&promise](absl::StatusOr<uint64_t> changed) { promise.set_value(changed); };
  {
    absl::MutexLock lock(&mutex_);
    if (closing_) return absl::FailedPreconditionError("spool: closed");
    queue_.admin.push_back(std::move(work));
  }
  waker_.Wake();
  return promise.get_future().get();
}

absl::StatusOr<uint64_t> Spool::Impl::ChangeMatching(const SpoolFilter& filter, bool retry) {
  SpoolFilter wanted = filter;
  if (retry) wanted.state = SpoolEntryState::kRejected;
  uint64_t total = 0;
  std::string token;
  do {
    VD_ASSIGN_OR_RETURN(const SpoolPage page, List(wanted, kMaxPageSize, token, false));
    token = page.next_page_token;
    AdminWork work;
    for (const SpoolEntry& entry : page.entries) {
      if (entry.state == SpoolEntryState::kInFlight) continue;
      const bool dead = entry.state == SpoolEntryState::kRejected;
      (retry ? work.retry_dead : dead ? work.drop_dead : work.drop).push_back(entry.key);
    }
    if (page.entries.empty()) continue;
    VD_ASSIGN_OR_RETURN(const uint64_t changed, RunAdmin(std::move(work)));
    total += changed;
  } while (!token.empty());
  return total;
}

absl::Status Spool::Impl::ApplyAdmin(AdminWork* admin, Effects* effects) {
  admin->changed = 0;
  for (const int64_t key : admin->drop) VD_RETURN_IF_ERROR(DropWaiting(key, admin, effects));
  for (const int64_t key : admin->drop_dead) VD_RETURN_IF_ERROR(DropDead(key, admin, effects));
  for (const int64_t key : admin->retry_dead) VD_RETURN_IF_ERROR(RetryDead(key, admin, effects));
  return absl::OkStatus();
}

absl::Status Spool::Impl::DropWaiting(int64_t key, AdminWork* admin, Effects* effects) {
  VD_ASSIGN_OR_RETURN(absl::optional<StoredRow> row, writer_->ReadRow(key));
  if (!row.has_value()) return absl::OkStatus();  // Delivered meanwhile.
  Removal removal;
  removal.key = key;
  removal.kind = RemovalKind::kDropped;
  removal.bytes = row->bytes;
  removal.why = SpoolDrop::kByHand;
  removal.stream = OrderOf(row->row).stream;
  removal.has_attempt_row = true;
  {
    absl::MutexLock lock(&mutex_);
    if (!index_.TakeWaiting(OrderOf(row->row), OutState::kLeaving, row->bytes))
      return absl::OkStatus();
  }
  effects->dropped.push_back(removal);
  ++admin->changed;
  return ApplyRemoval(removal, effects);
}

absl::Status Spool::Impl::DropDead(int64_t key, AdminWork* admin, Effects* effects) {
  VD_ASSIGN_OR_RETURN(const bool found, EraseDead(key, SpoolDrop::kByHand, effects));
  admin->changed += found ? 1 : 0;
  return absl::OkStatus();
}

// A dead letter comes back as a new message: at the end of its class, with a new life.
absl::Status Spool::Impl::RetryDead(int64_t key, AdminWork* admin, Effects* effects) {
  absl::optional<StoredDeadRow> dead;
  VD_RETURN_IF_ERROR(writer_->ReadDead({key, key, 1}, [&dead](StoredDeadRow stored) {
    dead = std::move(stored);
    return true;
  }));
  if (!dead.has_value() || !dead->intact || dead->dead.damaged) return absl::OkStatus();
  VD_ASSIGN_OR_RETURN([[maybe_unused]] const bool found, writer_->DeleteDead(key));
  SpoolState& state = effects->state;
  spool_internal::CountDead(dead->bytes, -1, &state);
  SpoolRow& row = dead->dead.row;
  row.key = FirstKey(KeyClass(key)) | state.next_sequence++;
  row.spool_ms = state.spool_ms;
  VD_RETURN_IF_ERROR(writer_->Insert(row));
  spool_internal::CountRow(row.key, dead->bytes, 1, &state);
  ++admin->changed;
  // Left unread on purpose: there may be many.
  LoadedMessage loaded;
  loaded.message.key = row.key;
  loaded.bytes = dead->bytes;
  effects->loaded.push_back(std::move(loaded));
  return absl::OkStatus();
}

void Spool::Impl::NoteDropped(uint64_t count, const std::string& reason) {
  log_->Warning("spool", "messages dropped by hand",
                {{"count", absl::StrCat(count)}, {"reason", reason}});
}

}  // namespace viaduct
