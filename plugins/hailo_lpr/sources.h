// The source that the options ask for.
#pragma once

#include <memory>

#include "plugins/hailo_lpr/options.h"
#include "plugins/hailo_lpr/source.h"

namespace viaduct::hailo_lpr {

// Null: none is asked for.
std::unique_ptr<Source> MakeSource(const Options& options, SourceHooks hooks);

}  // namespace viaduct::hailo_lpr
