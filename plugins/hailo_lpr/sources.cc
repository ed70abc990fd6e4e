#include "plugins/hailo_lpr/sources.h"

#include <utility>

namespace viaduct::hailo_lpr {

std::unique_ptr<Source> MakeSource(const Options& options, SourceHooks hooks) {
  static_cast<void>(options);
  static_cast<void>(hooks);
  return nullptr;
}

}  // namespace viaduct::hailo_lpr
