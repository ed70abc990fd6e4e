// Between the ABI's text, octets, records and lists and those of C++.
#pragma once

#include <cstddef>
#include <cstring>
#include <iterator>
#include <string_view>
#include <type_traits>

#include "viaduct/abi/abi.h"

namespace viaduct::sdk {

// The borrowed text of the other party. It lives as long as the call that brought it.
inline std::string_view Text(vd_str text) {
  return text.size == 0 ? std::string_view()
                        : std::string_view(text.data, static_cast<size_t>(text.size));
}
inline std::string_view Text(vd_bytes bytes) {
  return bytes.size == 0 ? std::string_view()
                         : std::string_view(reinterpret_cast<const char*>(bytes.data),
                                            static_cast<size_t>(bytes.size));
}

// Lends text to the other party: `text` must live until the call returns.
constexpr vd_str Str(std::string_view text) { return vd_str{text.data(), text.size()}; }
inline vd_bytes Octets(std::string_view text) {
  return vd_bytes{reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline vd_bytes Octets(const uint8_t* data, size_t size) { return vd_bytes{data, size}; }
constexpr vd_attr Attr(std::string_view name, std::string_view value) {
  return vd_attr{Str(name), Str(value)};
}

// An empty record of the ABI with its struct_size set: the way to make one.
//   vd_reply reply = Record<vd_reply>();
template <typename T>
constexpr T Record() {
  static_assert(std::is_trivial_v<T>, "a record of the ABI is a C struct");
  T record{};
  record.struct_size = sizeof(T);
  return record;
}

// A record of the other party, which may be of an older or newer minor, as this side's type: in
// place where it is large enough, else as a copy in `scratch` whose missing fields are zero.
template <typename T>
const T& Widen(const T& theirs, T* scratch) {
  if (theirs.struct_size >= sizeof(T)) return theirs;
  std::memset(static_cast<void*>(scratch), 0, sizeof(T));
  std::memcpy(static_cast<void*>(scratch), static_cast<const void*>(&theirs), theirs.struct_size);
  return *scratch;
}

// A list of records with a stride, as passed in a call; borrowed like everything in it. Iterating
// neither allocates nor copies (but for hosts older than this header). A reference is valid until
// its iterator moves.
template <typename T>
class List {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;

    Iterator(const char* at, size_t stride) : at_(at), stride_(stride) {}
    const T& operator*() const { return Widen(*reinterpret_cast<const T*>(at_), &scratch_); }
    const T* operator->() const { return &**this; }
    Iterator& operator++() {
      at_ += stride_;
      return *this;
    }
    bool operator==(const Iterator& other) const { return at_ == other.at_; }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    const char* at_;
    size_t stride_;
    mutable T scratch_;
  };

  List(const T* items, uint64_t stride, uint64_t count)
      : items_(reinterpret_cast<const char*>(items)),
        stride_(static_cast<size_t>(stride)),
        count_(static_cast<size_t>(count)) {}

  size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  // A copy of the i-th record.
  T operator[](size_t i) const { return *Iterator(items_ + i * stride_, stride_); }
  Iterator begin() const { return Iterator(items_, stride_); }
  Iterator end() const { return Iterator(items_ + count_ * stride_, stride_); }
  // The first `count` records of the list.
  List Prefix(size_t count) const {
    return List(reinterpret_cast<const T*>(items_), stride_, count < count_ ? count : count_);
  }

 private:
  const char* items_;
  size_t stride_;
  size_t count_;
};

using MessageList = List<vd_message>;
using CompletionList = List<vd_completion>;

// Attributes are frozen and passed as a plain array: a header, a credential, a label. Returns the
// first value of that name, or an empty view with null data where there is none.
inline std::string_view FindAttr(const vd_attr* attributes, uint64_t count, std::string_view name) {
  for (uint64_t i = 0; i < count; ++i) {
    if (Text(attributes[i].name) == name) {
      const vd_str value = attributes[i].value;
      return std::string_view(value.data == nullptr ? "" : value.data,
                              static_cast<size_t>(value.size));
    }
  }
  return {};
}

// Tokens as passed to a cancel function; borrowed.
class TokenList {
 public:
  TokenList(const uint64_t* items, uint64_t count)
      : items_(items), count_(static_cast<size_t>(count)) {}
  size_t size() const { return count_; }
  uint64_t operator[](size_t i) const { return items_[i]; }
  const uint64_t* begin() const { return items_; }
  const uint64_t* end() const { return items_ + count_; }

 private:
  const uint64_t* items_;
  size_t count_;
};

}  // namespace viaduct::sdk
