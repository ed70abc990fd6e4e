// Programs of the system that a setup runs, one after the other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/program.h"

namespace viaduct::setup {

inline constexpr size_t kMaxOutput = 1u << 20;  // Of the program, and as much of its errors.

// Runs `command`, looked for in PATH, in the folder / and with `input` on its standard input, and
// waits for its end.
// UNAVAILABLE: it cannot be started. DEADLINE_EXCEEDED: it took longer than a minute and was
// killed.
absl::StatusOr<ProgramEnd> RunToEnd(const std::vector<std::string>& command,
                                    std::string_view input = {});

// The output of a program that has to succeed. FAILED_PRECONDITION with what it said when it did
// not.
absl::StatusOr<std::string> RunToSuccess(const std::vector<std::string>& command,
                                         std::string_view input = {});

}  // namespace viaduct::setup
