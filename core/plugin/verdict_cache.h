// Which plugin files were found good, so that a start does not try them out again.
#pragma once

#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/plugin/plugin.h"

namespace viaduct {

// Text form of a description, as the probing child prints it and the cache keeps it.
std::string WriteModuleInfo(const ModuleInfo& info);
absl::StatusOr<ModuleInfo> ReadModuleInfo(std::string_view json);

// Remembers good verdicts only: what makes a file bad may be outside of it (a missing library).
// The file in `folder` is a cache in every respect: a missing, damaged or foreign one is ignored
// and one that can not be written costs only time. Thread-safe.
class VerdictCache {
 public:
  static constexpr size_t kMaxVerdicts = 1024;

  // An empty folder keeps verdicts in memory only.
  explicit VerdictCache(std::string folder);

  // The verdict on exactly this file: device, inode, size and both change times are the same.
  std::optional<ModuleInfo> Find(const std::string& path) const;
  void Put(const std::string& path, const ModuleInfo& info);
  // Writes what has changed since it was read, atomically.
  absl::Status Save();

 private:
  struct Verdict {
    std::string stamp;
    ModuleInfo info;
  };
  void Load();

  const std::string folder_;
  mutable absl::Mutex mutex_;
  absl::btree_map<std::string, Verdict> verdicts_ ABSL_GUARDED_BY(mutex_);
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace viaduct
