// A counted block of memory that both parties may keep.
#pragma once

#include <atomic>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "viaduct/cpp/text.h"

namespace viaduct::sdk {

// One reference to a vd_buffer, or none. A copy is one more reference, of the same octets.
// Thread-compatible; different Buffers of the same octets may be used on different threads.
class Buffer {
 public:
  Buffer() = default;
  // Takes over a reference that the caller owns, as from vd_host_buffer_1.make.
  static Buffer Adopt(vd_buffer* raw) { return Buffer(raw); }
  // Takes a reference of its own to what was received in a call. Null gives an empty Buffer.
  static Buffer Share(vd_buffer* raw) {
    if (raw != nullptr) raw->ref(raw);
    return Buffer(raw);
  }
  // Gives a text of the plugin away without copying it: reply.body, a crop.
  static Buffer Wrap(std::string text);

  Buffer(const Buffer& other) : Buffer(Share(other.raw_)) {}
  Buffer(Buffer&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Buffer& operator=(Buffer other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  ~Buffer() {
    if (raw_ != nullptr) raw_->unref(raw_);
  }

  explicit operator bool() const { return raw_ != nullptr; }
  vd_buffer* raw() const { return raw_; }
  // To be written only by the maker, before anybody else has it.
  uint8_t* data() const { return raw_ == nullptr ? nullptr : raw_->data; }
  size_t size() const { return raw_ == nullptr ? 0 : static_cast<size_t>(raw_->size); }
  std::string_view text() const {
    return std::string_view(reinterpret_cast<const char*>(data()), size());
  }
  // Gives the reference to the caller.
  vd_buffer* Release() { return std::exchange(raw_, nullptr); }

 private:
  explicit Buffer(vd_buffer* raw) : raw_(raw) {}
  vd_buffer* raw_ = nullptr;
};

namespace internal {

// A vd_buffer made by the plugin. Leaf functions: they call nobody.
struct OwnedText {
  vd_buffer head;  // First, so that a vd_buffer* is an OwnedText*.
  std::atomic<uint64_t> references{1};
  std::string text;

  explicit OwnedText(std::string owned) : head(), text(std::move(owned)) {
    head.data = reinterpret_cast<uint8_t*>(text.data());
    head.size = text.size();
    head.ref = [](vd_buffer* self) {
      reinterpret_cast<OwnedText*>(self)->references.fetch_add(1, std::memory_order_relaxed);
    };
    head.unref = [](vd_buffer* self) {
      auto* owner = reinterpret_cast<OwnedText*>(self);
      if (owner->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete owner;
    };
  }
};

}  // namespace internal

inline Buffer Buffer::Wrap(std::string text) {
  return Adopt(&(new internal::OwnedText(std::move(text)))->head);
}

}  // namespace viaduct::sdk
