// HailoRT, found on this machine and checked.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "plugins/hailo_lpr/backend_health.h"
#include "plugins/hailo_lpr/hailo/hailort_abi.h"

namespace viaduct::hailo_lpr {

// Versions whose structures are known.
inline constexpr uint32_t kHailortMajor = 4;
inline constexpr uint32_t kHailortLeastMinor = 17;
inline constexpr uint32_t kHailortMostMinor = 23;

// Immutable.
class HailortLibrary {
 public:
  // `path` "": libhailort.so, then the full names of the known versions, the newest first.
  // NOT_FOUND: none; FAILED_PRECONDITION: not of a known version. `state` tells which.
  static absl::StatusOr<std::shared_ptr<const HailortLibrary>> Open(const std::string& path,
                                                                    BackendState* state);

  const hailort::Functions& functions() const { return functions_; }
  const std::string& path() const { return path_; }
  const std::string& version() const { return version_; }

 private:
  HailortLibrary() = default;

  hailort::Functions functions_;
  std::string path_;
  std::string version_;
};

}  // namespace viaduct::hailo_lpr
