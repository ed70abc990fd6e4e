// Runs another program to its end and keeps the first of what it says.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace viaduct {

inline constexpr size_t kMaxProgramOutput = 64u << 10;  // Kept; the rest is read and dropped.

struct ProgramCall {
  std::vector<std::string> words;        // The program and its arguments; no "/": by PATH.
  std::vector<std::string> environment;  // "NAME=value"; goes before what this process has.
  absl::Duration limit = absl::InfiniteDuration();
  const absl::Notification* stopping = nullptr;  // May be null.
  std::string input;                             // On its standard input.
  std::string folder;                            // Where it runs; "": where this process does.
  bool errors_apart = false;                     // In ProgramEnd::errors, not in the output.
  size_t max_output = kMaxProgramOutput;         // Of each stream.
};

struct ProgramEnd {
  int exit_code = 0;   // Of the shell's kind: 128 and the signal for one that a signal ended.
  std::string output;  // Of both streams, unless errors_apart.
  std::string errors;
};

// UNAVAILABLE: it cannot be started. DEADLINE_EXCEEDED and CANCELLED:
// it was killed at its limit, or for `stopping`.
absl::StatusOr<ProgramEnd> RunProgram(const ProgramCall& call);

// The first of that name in the folders; "" where there is none.
std::string FindProgram(const std::string& name, const std::vector<std::string>& folders);

}  // namespace viaduct
