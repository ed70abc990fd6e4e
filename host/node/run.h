// A node as a process: signals, systemd, exit code.
#pragma once

#include <string>

namespace viaduct {

// What viaduct-host returns; docs/CONTROL.md lists the same numbers.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitConfig = 78;  // EX_CONFIG: starting again will not help.

// Runs until SIGTERM or SIGINT (drains, then stops; a second one quits at once) or until the node
// ends itself.
int RunNode(const std::string& config_file);

// Prints every finding on standard output; kExitOk when none is an error, else kExitConfig.
int CheckConfig(const std::string& config_file);

}  // namespace viaduct
