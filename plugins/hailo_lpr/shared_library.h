// A library that is loaded at run time because not every machine has it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace viaduct::hailo_lpr {

// Stays loaded until the process ends: such libraries have threads and thread-local data of their
// own, and do not like to go.
class SharedLibrary {
 public:
  // The first of `names` that loads. NOT_FOUND, with what the loader said of the first.
  static absl::StatusOr<SharedLibrary> Open(const std::vector<std::string>& names);

  const std::string& name() const { return name_; }
  // Null: it has no such function.
  void* Find(const char* function) const;

 private:
  SharedLibrary(std::string name, void* handle) : name_(std::move(name)), handle_(handle) {}

  std::string name_;
  void* handle_;
};

}  // namespace viaduct::hailo_lpr
