// Programs of the system that a setup runs, one after the other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace viaduct::setup {

struct ProgramResult {
  int exit_code = 0;
  std::string output;  // At most kMaxProgramOutput octets, as of the errors.
  std::string errors;
};

inline constexpr size_t kMaxProgramOutput = 1u << 20;

// Runs `command`, looked for in PATH, in the folder / and with `input` on its standard input, and
// waits for its end.
// UNAVAILABLE: it cannot be started. DEADLINE_EXCEEDED: it took longer than a minute and was
// killed.
absl::StatusOr<ProgramResult> RunProgram(const std::vector<std::string>& command,
                                         std::string_view input = {});

// The output of a program that has to succeed. FAILED_PRECONDITION with what it said when it did
// not.
absl::StatusOr<std::string> RunToSuccess(const std::vector<std::string>& command,
                                         std::string_view input = {});

}  // namespace viaduct::setup
