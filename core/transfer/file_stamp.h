// Which file was taken: by it one is known again, whatever has its name since.
#pragma once

#include <cstdint>

namespace viaduct {

struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;  // 0: not known.
  uint64_t size = 0;
  int64_t modified_ns = 0;

  bool SameFile(const FileStamp& other) const {
    return device == other.device && inode == other.inode;
  }
  friend bool operator==(const FileStamp& a, const FileStamp& b) {
    return a.SameFile(b) && a.size == b.size && a.modified_ns == b.modified_ns;
  }
};

}  // namespace viaduct
