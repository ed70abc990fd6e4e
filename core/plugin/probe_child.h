// Trying out a plugin file in a process of its own: a library that crashes or hangs in its
// constructors or in vd_module_entry takes only that process down.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/plugin/plugin.h"

namespace viaduct {

// The child's side: loads `path`, checks it, unloads it and prints the verdict on standard output.
// Returns the exit code of main: 0 when a verdict was printed, good or bad.
int ProbeMain(const std::string& path);

// The host's side: runs `command` with `path` after it and reads the verdict. INVALID_ARGUMENT or
// FAILED_PRECONDITION say why the file is no good, with its path; UNAVAILABLE: the child could not
// be run. Blocks for at most `timeout`; the child is gone when it returns.
absl::StatusOr<ModuleInfo> ProbeInChild(const std::vector<std::string>& command,
                                        const std::string& path, absl::Duration timeout);

}  // namespace viaduct
