// Memory that is lent to the plugin for one call and taken away after it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "viaduct/abi/base.h"

namespace viaduct::check {

// Everything "borrowed until the call returns" lies here; when the arena goes, its pages can no
// longer be read, so that a plugin which kept a pointer crashes at once. Thread-compatible.
class Arena {
 public:
  explicit Arena(size_t bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  vd_str Text(std::string_view text);
  vd_bytes Octets(std::string_view octets);
  // `count` records of T, each with octets behind it that a newer minor might have there.
  template <typename T>
  T* Records(size_t count) {
    char* records = Take(count * Stride<T>());
    for (size_t i = 0; i < count; ++i) {
      for (size_t tail = sizeof(T); tail < Stride<T>(); ++tail) {
        records[i * Stride<T>() + tail] = '\x5a';
      }
      reinterpret_cast<T*>(records + i * Stride<T>())->struct_size =
          static_cast<uint32_t>(Stride<T>());
    }
    return reinterpret_cast<T*>(records);
  }
  template <typename T>
  T* Record() {
    return Records<T>(1);
  }
  template <typename T>
  static T* At(T* records, size_t i) {
    return reinterpret_cast<T*>(reinterpret_cast<char*>(records) + i * Stride<T>());
  }
  template <typename T>
  static constexpr size_t Stride() {
    return sizeof(T) + 40;
  }
  vd_attr* Attributes(size_t count) {
    return reinterpret_cast<vd_attr*>(Take(count * sizeof(vd_attr)));
  }

 private:
  char* Take(size_t bytes);

  char* memory_;
  const size_t size_;
  size_t used_ = 0;
};

}  // namespace viaduct::check
