// What the dispatcher takes of types that are ordered: the file is read past what is held up.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/spool/spool_impl.h"

namespace viaduct {

using spool_internal::KeyClass;
using spool_internal::KeyRange;
using spool_internal::kMostRowsPassed;
using spool_internal::kRowsPerRead;

bool Spool::Impl::Ordered(DataType type) const {
  const auto index = static_cast<size_t>(type);
  return index < options_.ordered.size() && options_.ordered[index];  // Of a damaged row: any.
}

uint64_t Spool::Impl::StreamOf(int64_t key, const std::string& device, DataType type) const {
  return Ordered(type) ? spool_internal::StreamOf(KeyClass(key), device, type) : 0;
}

absl::StatusOr<std::vector<Spool::Impl::StreamRow>> Spool::Impl::ReadOrder(const KeyRange& range) {
  std::vector<StreamRow> rows;
  VD_RETURN_IF_ERROR(
      reader_->ReadOrder(range, [&](int64_t key, DataType type, const std::string& device) {
        rows.push_back({key, StreamOf(key, device, type)});
      }));
  return rows;
}

// Streams of which all that is left was skipped get their next messages.
void Spool::Impl::RefillStreams(int klass) {
  for (int64_t passed = 0; passed < kMostRowsPassed; passed += kRowsPerRead) {
    KeyRange range{0, 0, kRowsPerRead};
    absl::MutexLock read(&read_mutex_);
    {
      absl::MutexLock lock(&mutex_);
      if (reader_ == nullptr || !index_.FindHungry(klass, &range.first, &range.last)) return;
    }
    const absl::StatusOr<std::vector<StreamRow>> rows = ReadOrder(range);
    if (!rows.ok()) {
      if (absl::IsDataLoss(rows.status())) ReportDamage(std::string(rows.status().message()));
      return;
    }
    if (rows->size() == kRowsPerRead) range.last = rows->back().key;
    absl::MutexLock lock(&mutex_);
    if (index_.Refill(klass, range.first, range.last, *rows)) continue;
    return NoteDamageLocked("spool: rows are missing");
  }
  ClaimAgain();
}

// As ClaimRows; bodies are read only of what is taken.
absl::Status Spool::Impl::ClaimInOrder(const KeyRange& range, Claiming* claiming, int64_t* rows,
                                       bool* stopped) {
  VD_ASSIGN_OR_RETURN(const std::vector<StreamRow> order, ReadOrder(range));
  for (const StreamRow& row : order) {
    ++*rows;
    {
      absl::MutexLock lock(&mutex_);
      const SpoolIndex::Take take = index_.Pass(row);
      *stopped = take == SpoolIndex::Take::kFull;
      if (*stopped) break;
      if (take == SpoolIndex::Take::kPassed) continue;
    }
    VD_ASSIGN_OR_RETURN(absl::optional<StoredRow> stored, reader_->ReadRow(row.key));
    absl::MutexLock lock(&mutex_);
    if (stored.has_value()) {
      *stopped = !ClaimRow(*std::move(stored), claiming);
      if (*stopped) break;
    } else if (index_.Find(row.key) == nullptr) {  // Else it was dropped meanwhile.
      return absl::DataLossError(absl::StrCat("spool: row is missing, key ", row.key));
    }
  }
  return absl::OkStatus();
}

// So much was read that others have their turn; the dispatcher is to come again.
void Spool::Impl::ClaimAgain() {
  absl::MutexLock lock(&mutex_);
  queue_.ready = true;
  waker_.Wake();
}

}  // namespace viaduct
