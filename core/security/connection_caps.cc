#include "core/security/connection_caps.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/security/rate_limiter.h"

namespace viaduct::security {

ConnectionSlot& ConnectionSlot::operator=(ConnectionSlot&& other) noexcept {
  if (this == &other) return *this;
  Release();
  caps_ = std::exchange(other.caps_, nullptr);
  address_ = std::move(other.address_);
  return *this;
}

void ConnectionSlot::Release() {
  if (caps_ != nullptr) std::exchange(caps_, nullptr)->Close(address_);
}

absl::StatusOr<ConnectionSlot> ConnectionCaps::Open(std::string_view peer_address) {
  std::string address = AddressKey(peer_address);
  absl::MutexLock lock(&mutex_);
  if (open_ >= limits_.total) {
    ++refused_;
    return absl::ResourceExhaustedError(
        absl::StrCat("connections: there are ", limits_.total, " already"));
  }
  const auto found = by_address_.find(address);
  if (found != by_address_.end() && found->second >= limits_.per_address) {
    ++refused_;
    return absl::ResourceExhaustedError(
        absl::StrCat("connections: there are ", limits_.per_address, " of this address already"));
  }
  ++open_;
  ++by_address_[address];
  return ConnectionSlot(this, std::move(address));
}

void ConnectionCaps::Close(const std::string& address) {
  absl::MutexLock lock(&mutex_);
  --open_;
  const auto found = by_address_.find(address);
  if (--found->second == 0) by_address_.erase(found);
}

size_t ConnectionCaps::open() const {
  absl::MutexLock lock(&mutex_);
  return open_;
}

uint64_t ConnectionCaps::refused() const {
  absl::MutexLock lock(&mutex_);
  return refused_;
}

}  // namespace viaduct::security
