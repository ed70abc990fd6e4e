// One budget of memory for what peers make a listener keep.
#pragma once

#include <cstddef>
#include <set>
#include <utility>

namespace viaduct::websocket {

// Somebody on whose behalf octets are kept: input that is not complete, output that is not read.
class Holder {
 public:
  virtual ~Holder() = default;
  // All together hold too much, and nobody holds more than this one: it ends, and holds no more
  // than Budget::kSmallBytes from then on. May destroy this.
  virtual void GiveWay() = 0;
  size_t held() const { return held_; }

 private:
  friend class Budget;
  size_t held_ = 0;
};

// Thread-compatible. A holder holds nothing here when it goes.
class Budget {
 public:
  static constexpr size_t kSmallBytes = 4u << 10;  // Whoever holds less never has to go.

  explicit Budget(size_t max_bytes) : max_bytes_(max_bytes) {}

  void Set(Holder* holder, size_t bytes) {
    if (holder->held_ == bytes) return;
    if (holder->held_ > kSmallBytes) large_.erase({holder->held_, holder});
    total_ += bytes - holder->held_;
    holder->held_ = bytes;
    if (bytes > kSmallBytes) large_.emplace(bytes, holder);
  }
  // The largest give way until the rest fits. Not while one of them is being used.
  void Enforce() {
    while (total_ > max_bytes_ && !large_.empty()) {
      Holder* const largest = large_.rbegin()->second;
      Set(largest, 0);
      largest->GiveWay();
    }
  }
  size_t total() const { return total_; }

 private:
  const size_t max_bytes_;
  size_t total_ = 0;
  std::set<std::pair<size_t, Holder*>> large_;
};

}  // namespace viaduct::websocket
