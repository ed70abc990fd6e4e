// What waits for a slow reader: in order, and of one key only the newest.
#pragma once

#include <cstddef>
#include <iterator>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace viaduct::rpc {

// Each call costs the same however much waits, but for what Put drops. Thread-compatible.
template <typename Value>
class MergingQueue {
 public:
  struct Limits {
    size_t items = 0;
    size_t bytes = 0;  // One item that is larger still waits, alone.
  };

  // One with a key takes the place of the one with the same key that still waits; "" is none.
  // Returns how many of the oldest had to go for it.
  size_t Put(std::string_view key, Value value, size_t bytes, const Limits& limits) {
    if (!key.empty() && Replace(std::string(key), &value, bytes)) return 0;
    size_t dropped = 0;
    while (!items_.empty() && (items_.size() >= limits.items || bytes_ + bytes > limits.bytes)) {
      TakeFront();
      ++dropped;
    }
    bytes_ += bytes;
    items_.push_back({std::string(key), std::move(value), bytes});
    if (!key.empty()) by_key_[items_.back().key] = std::prev(items_.end());
    return dropped;
  }

  // There must be one.
  Value TakeFront() {
    Item& front = items_.front();
    Value value = std::move(front.value);
    bytes_ -= front.bytes;
    if (!front.key.empty()) by_key_.erase(front.key);
    items_.pop_front();
    return value;
  }

  void Clear() {
    by_key_.clear();
    items_.clear();
    bytes_ = 0;
  }

  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  struct Item {
    std::string key;
    Value value;
    size_t bytes = 0;
  };

  bool Replace(const std::string& key, Value* value, size_t bytes) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return false;
    Item& item = *found->second;
    bytes_ += bytes;
    bytes_ -= item.bytes;
    item.bytes = bytes;
    item.value = std::move(*value);
    return true;
  }

  std::list<Item> items_;
  std::unordered_map<std::string, typename std::list<Item>::iterator> by_key_;
  size_t bytes_ = 0;
};

}  // namespace viaduct::rpc
