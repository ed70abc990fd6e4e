#include "plugins/hailo_lpr/shared_library.h"

#include <dlfcn.h>

namespace viaduct::hailo_lpr {

absl::StatusOr<SharedLibrary> SharedLibrary::Open(const std::vector<std::string>& names) {
  std::string error;
  for (const std::string& name : names) {
    void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle != nullptr) return SharedLibrary(name, handle);
    if (const char* said = dlerror(); error.empty() && said != nullptr) error = said;
  }
  return absl::NotFoundError(error);
}

void* SharedLibrary::Find(const char* function) const { return dlsym(handle_, function); }

}  // namespace viaduct::hailo_lpr
