#include "host/node/memory_trim.h"

#include <malloc.h>
#include <sys/mman.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

namespace viaduct {

void TrimAfterStart() {
  malloc_trim(0);
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
