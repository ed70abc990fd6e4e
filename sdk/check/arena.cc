#include "arena.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

namespace viaduct::check {

Arena::Arena(size_t bytes) : size_((bytes + 4095) / 4096 * 4096) {
  void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) abort();
  memory_ = static_cast<char*>(memory);
}

// The addresses stay taken: nothing else may appear there.
Arena::~Arena() {
  madvise(memory_, size_, MADV_DONTNEED);
  mprotect(memory_, size_, PROT_NONE);
}

char* Arena::Take(size_t bytes) {
  const size_t start = (used_ + 15) / 16 * 16;
  if (start + bytes > size_) abort();
  used_ = start + bytes;
  return memory_ + start;
}

vd_str Arena::Text(std::string_view text) {
  char* copy = Take(text.size());
  if (!text.empty()) std::memcpy(copy, text.data(), text.size());
  return vd_str{copy, text.size()};
}

vd_bytes Arena::Octets(std::string_view octets) {
  const vd_str text = Text(octets);
  return vd_bytes{reinterpret_cast<const uint8_t*>(text.data), text.size};
}

}  // namespace viaduct::check
