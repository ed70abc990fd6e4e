#include "core/security/memory_budget.h"

#include "absl/strings/str_cat.h"

namespace viaduct::security {

MemoryShare& MemoryShare::operator=(MemoryShare&& other) noexcept {
  if (this == &other) return *this;
  Release();
  budget_ = std::exchange(other.budget_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

void MemoryShare::Release() {
  if (budget_ != nullptr) std::exchange(budget_, nullptr)->Give(std::exchange(bytes_, 0));
}

absl::Status MemoryShare::Resize(size_t bytes) {
  if (budget_ == nullptr) return absl::FailedPreconditionError("memory: a share of nothing");
  if (bytes > bytes_ && !budget_->Take(bytes - bytes_)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("memory: ", bytes - bytes_, " bytes more are over the budget"));
  }
  if (bytes < bytes_) budget_->Give(bytes_ - bytes);
  bytes_ = bytes;
  return absl::OkStatus();
}

bool MemoryBudget::Take(size_t bytes) {
  size_t used = used_.load(std::memory_order_relaxed);
  do {
    if (bytes > max_bytes_ - used) {
      refused_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  size_t peak = peak_.load(std::memory_order_relaxed);
  while (peak < used + bytes &&
         !peak_.compare_exchange_weak(peak, used + bytes, std::memory_order_relaxed)) {
  }
  return true;
}

absl::Status MemoryBudget::Acquire(size_t bytes, MemoryShare* share) {
  if (!Take(bytes)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "memory: ", bytes, " bytes are over the budget, ", used(), " of ", max_bytes_, " used"));
  }
  share->Release();
  share->budget_ = this;
  share->bytes_ = bytes;
  return absl::OkStatus();
}

}  // namespace viaduct::security
