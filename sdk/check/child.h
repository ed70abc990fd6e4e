// One test in a process of its own, with a time limit.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace viaduct::check {

enum class Verdict { kPassed, kFailed, kSkipped };

struct Outcome {
  Verdict verdict = Verdict::kFailed;
  std::string text;  // Why, unless it passed.
  std::chrono::milliseconds took{0};
};

// Runs `arguments` (a program and its arguments; the word "{fd}" becomes the number of the
// descriptor for Fixture's lines) and reads how the test ended. A crash, a time-out and an exit
// without a verdict are failures that name the phase. The child's output goes to stderr when
// `verbose`, else nowhere.
Outcome RunChild(std::vector<std::string> arguments, std::chrono::seconds limit, bool verbose);

}  // namespace viaduct::check
