#include "host/node/memory_trim.h"

#include <sys/mman.h>

#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

// Of jemalloc, where it is linked (host/allocator.cc).
extern "C" __attribute__((weak)) int mallctl(const char* name, void* old_value, size_t* old_size,
                                             void* new_value, size_t new_size);

namespace viaduct {
namespace {

// 4096 is MALLCTL_ARENAS_ALL.
constexpr const char* kPurgeAll = "arena.4096.purge";

}  // namespace

void TrimAfterStart() {
  if (mallctl != nullptr) mallctl(kPurgeAll, nullptr, nullptr, nullptr, 0);
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    uintptr_t begin = 0;
    uintptr_t end = 0;
    char mode[5] = "";
    unsigned long inode = 0;  // NOLINT(google-runtime-int): what scanf takes.
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %lu", &begin, &end, mode,
                    &inode) != 4) {
      continue;
    }
    // Only text of files: it was never written to, so dropping the mapping loses nothing. Data
    // that relocation has changed is r--p or rw-p and must stay.
    if (inode == 0 || std::string(mode) != "r-xp") continue;
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
}

}  // namespace viaduct
