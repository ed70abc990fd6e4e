// A folder for a test.
#pragma once

#include <ftw.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"

namespace viaduct {

// A fresh folder that goes away with the object.
class TestFolder {
 public:
  TestFolder() {
    const char* base = std::getenv("TMPDIR");
    std::string name = absl::StrCat(base == nullptr ? "/tmp" : base, "/viaduct-test-XXXXXX");
    path_ = mkdtemp(name.data());
  }
  ~TestFolder() {
    const auto remove_one = [](const char* path, const struct stat*, int, FTW*) {
      return ::remove(path);
    };
    nftw(path_.c_str(), +remove_one, 16, FTW_DEPTH | FTW_PHYS);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace viaduct
