// A folder of this process alone. One whose process was killed is removed by the next that is made.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace viaduct::rsync {

// Thread-compatible. Locked as long as the object lives, gone with it.
class PrivateFolder {
 public:
  static constexpr size_t kMaxSwept = 256;  // Entries looked at, each time.

  // <base>/<prefix><random>. UNAVAILABLE: the machine is in trouble.
  static absl::StatusOr<std::unique_ptr<PrivateFolder>> Make(const std::string& base,
                                                             const std::string& prefix);
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;
  ~PrivateFolder();

  const std::string& path() const { return path_; }

 private:
  PrivateFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  const std::string path_;
  const int lock_;
};

}  // namespace viaduct::rsync
