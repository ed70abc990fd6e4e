// What a test has allocated: it must not grow. (A sanitizer has a heap of its own, and looks for
// leaks itself.)
#pragma once

#include <malloc.h>

#include <cstddef>

namespace viaduct::hailo_lpr {

inline size_t HeapInUse() {
  const struct mallinfo2 heap = mallinfo2();
  return heap.uordblks + heap.hblkhd;
}

}  // namespace viaduct::hailo_lpr
