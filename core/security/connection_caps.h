// How many connections there may be, of all and of one address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace viaduct::security {

struct ConnectionLimits {
  size_t total = 10'000;
  size_t per_address = 1'000;  // A site behind one address has many cameras.
};

class ConnectionCaps;

// One connection that counts as long as it lives. Movable; thread-compatible.
class ConnectionSlot {
 public:
  ConnectionSlot() = default;
  ConnectionSlot(ConnectionSlot&& other) noexcept { *this = std::move(other); }
  ConnectionSlot& operator=(ConnectionSlot&& other) noexcept;
  ~ConnectionSlot() { Release(); }
  void Release();

 private:
  friend class ConnectionCaps;
  ConnectionSlot(ConnectionCaps* caps, std::string address)
      : caps_(caps), address_(std::move(address)) {}
  ConnectionCaps* caps_ = nullptr;
  std::string address_;
};

// Thread-safe; outlives its slots. Holds one entry for each address that is connected.
class ConnectionCaps {
 public:
  explicit ConnectionCaps(ConnectionLimits limits) : limits_(limits) {}

  // RESOURCE_EXHAUSTED says which cap is reached.
  absl::StatusOr<ConnectionSlot> Open(std::string_view peer_address);
  size_t open() const;
  uint64_t refused() const;

 private:
  friend class ConnectionSlot;
  void Close(const std::string& address);

  const ConnectionLimits limits_;
  mutable absl::Mutex mutex_;
  size_t open_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t refused_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<std::string, size_t> by_address_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct::security
