// The folder that holds all state of one node, and the lock that makes it one node's alone.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace viaduct {

// Holds the lock until it is destroyed; the kernel frees it when the process dies. Thread-safe.
class DataDir {
 public:
  // Makes the folder (0750) and its parents where they are missing. FAILED_PRECONDITION: another
  // node has it, with its process id; otherwise as the file system says.
  static absl::StatusOr<std::unique_ptr<DataDir>> Open(const std::string& path);
  ~DataDir();
  DataDir(const DataDir&) = delete;
  DataDir& operator=(const DataDir&) = delete;

  const std::string& path() const { return path_; }
  std::string Below(const std::string& name) const { return path_ + "/" + name; }

 private:
  DataDir(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  const std::string path_;
  const int lock_;
};

}  // namespace viaduct
