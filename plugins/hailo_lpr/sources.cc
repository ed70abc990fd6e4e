#include "plugins/hailo_lpr/sources.h"

#include <utility>

#include "plugins/hailo_lpr/camera_source.h"
#include "plugins/hailo_lpr/folder_source.h"

namespace viaduct::hailo_lpr {

std::unique_ptr<Source> MakeSource(const Options& options, SourceHooks hooks) {
  if (options.source == SourceKind::kNone) return nullptr;
  if (options.source == SourceKind::kFolder) {
    return std::make_unique<FolderSource>(options.folder, options.limits, std::move(hooks));
  }
  return std::make_unique<CameraSource>(options.source, options.camera, options.limits,
                                        CameraProgram(), std::move(hooks));
}

}  // namespace viaduct::hailo_lpr
