// The plugin file, loaded.
#pragma once

#include <string>

#include "fixture.h"
#include "nlohmann/json.hpp"
#include "viaduct/abi/abi.h"

namespace viaduct::check {

// Thread-compatible. Every failure fails the test.
class Library {
 public:
  explicit Library(Fixture& fixture);
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  const vd_module& module() const { return *module_; }
  const vd_lifecycle_1& lifecycle() const { return *module_->lifecycle; }
  // The plugin's schema; fails the test where it is no JSON object.
  nlohmann::json Schema() const;
  // True when the description lists this interface.
  bool Lists(const std::string& id) const;
  // dlclose; module() must not be used afterwards.
  void Close();

 private:
  Fixture& fixture_;
  void* handle_ = nullptr;
  const vd_module* module_ = nullptr;
};

// "rest" of "/usr/lib/viaduct/plugins/rest.so".
std::string NameOfFile(const std::string& path);

// `text` as in an error message; never fails.
std::string Quote(vd_str text);

}  // namespace viaduct::check
