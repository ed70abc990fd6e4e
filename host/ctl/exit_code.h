// What viaductctl returns to scripts; docs/CONTROL.md lists the same numbers.
#pragma once

#include <grpcpp/support/status.h>

namespace viaduct::ctl {

enum ExitCode : int {
  kOk = 0,
  kFailed = 1,       // Any error that has no number of its own.
  kUsage = 2,        // The command line is wrong.
  kUnreachable = 3,  // No node answers there.
  kNotFound = 4,     // No such instance, plugin, revision.
  kConflict = 5,     // The state does not allow it, or somebody else was faster.
  kInvalid = 6,      // The input is wrong: configuration, message, argument.
  kTimeout = 7,      // The deadline passed.
  kDenied = 8,       // Not allowed.
  kUnhealthy = 9,    // `health`: the service does not serve.
};

ExitCode ExitCodeOf(const grpc::Status& status);

}  // namespace viaduct::ctl
