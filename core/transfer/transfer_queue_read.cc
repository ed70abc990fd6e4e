// What others see of the queue.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/transfer/transfer_queue.h"

namespace viaduct {
namespace {

absl::Status Closed() { return absl::UnavailableError("transfers: the queue is closed"); }

bool Matches(const TransferFilter& filter, const Transfer& transfer) {
  const auto holds = [](const auto& wanted, const auto& value) {
    return wanted.empty() || std::find(wanted.begin(), wanted.end(), value) != wanted.end();
  };
  if (!filter.device.empty() && filter.device != transfer.device) return false;
  if (filter.priority.has_value() && *filter.priority != transfer.priority) return false;
  return holds(filter.ids, transfer.id) && holds(filter.states, transfer.state);
}

}  // namespace

absl::StatusOr<Transfer> TransferQueue::Get(std::string_view id) const {
  absl::MutexLock lock(&read_mutex_);
  return reader_ == nullptr ? Closed() : reader_->Find(id);
}

absl::StatusOr<Transfer> TransferQueue::Get(int64_t sequence) const {
  absl::MutexLock lock(&read_mutex_);
  return reader_ == nullptr ? Closed() : reader_->Find(sequence);
}

absl::StatusOr<TransferPage> TransferQueue::List(const TransferFilter& filter, size_t page_size,
                                                 const std::string& page_token) const {
  int64_t after = 0;
  if (!page_token.empty() && (!absl::SimpleAtoi(page_token, &after) || after < 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_token: not one of ours, \"", page_token, "\""));
  }
  TransferPage page;
  if (!filter.ids.empty()) return ListByIds(filter, after, page_size);
  size_t touched = 0;
  absl::MutexLock lock(&read_mutex_);
  if (reader_ == nullptr) return Closed();
  VD_RETURN_IF_ERROR(reader_->Scan(after, [&](const Transfer& transfer) {
    if (page.transfers.size() >= page_size || ++touched > kMaxTouched) {
      page.next_page_token = absl::StrCat(after);
      return false;
    }
    after = transfer.sequence;
    if (Matches(filter, transfer)) page.transfers.push_back(transfer);
    return true;
  }));
  return page;
}

// Each is looked up, however many others there are.
absl::StatusOr<TransferPage> TransferQueue::ListByIds(const TransferFilter& filter, int64_t after,
                                                      size_t page_size) const {
  std::map<int64_t, Transfer> found;
  for (const std::string& id : filter.ids) {
    absl::StatusOr<Transfer> transfer = Get(id);
    if (absl::IsNotFound(transfer.status())) continue;
    VD_RETURN_IF_ERROR(transfer.status());
    const int64_t sequence = transfer->sequence;
    const bool wanted = sequence > after && Matches(filter, *transfer);
    if (wanted) found.emplace(sequence, *std::move(transfer));
  }
  TransferPage page;
  for (auto& [sequence, transfer] : found) {
    if (page.transfers.size() >= page_size) {
      page.next_page_token = absl::StrCat(page.transfers.back().sequence);
      break;
    }
    page.transfers.push_back(std::move(transfer));
  }
  return page;
}

absl::Status TransferQueue::Each(TransferState state, const TransferDatabase::Each& each,
                                 int64_t after) const {
  while (true) {
    std::vector<Transfer> page;
    {
      absl::MutexLock lock(&read_mutex_);
      if (reader_ == nullptr) return Closed();
      VD_RETURN_IF_ERROR(reader_->ScanState(state, after, [&](const Transfer& transfer) {
        page.push_back(transfer);
        return page.size() < kEachPage;
      }));
    }
    for (const Transfer& transfer : page) {
      if (!each(transfer)) return absl::OkStatus();
    }
    if (page.size() < kEachPage) return absl::OkStatus();
    after = page.back().sequence;
  }
}

TransferCounts TransferQueue::Counts() const {
  absl::MutexLock lock(&mutex_);
  TransferCounts counts = counts_;
  uint64_t files = 0;
  for (size_t i = 0; i < kTransferStates; ++i) {
    if (!IsFinished(static_cast<TransferState>(i))) files += counts.files[i];
  }
  counts.full = files >= options_.max_files || counts.held_bytes >= options_.max_bytes;
  return counts;
}

std::vector<TransferDamage> TransferQueue::Damages() const {
  absl::MutexLock lock(&mutex_);
  return damages_;
}

}  // namespace viaduct
