// What this process holds: to see what a plugin has left behind.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "fixture.h"

namespace viaduct::check {

struct ProcessState {
  size_t threads = 0;
  std::vector<std::string> descriptors;  // "5 -> socket:[1234]"
  size_t heap_bytes = 0;                 // In use.
};

ProcessState ReadProcessState();
bool IsMapped(const std::string& path);

// Fails the test when there is more than `before`; waits a little for what is just ending.
void ExpectNothingLeft(Fixture& fixture, const ProcessState& before, const std::string& when);

}  // namespace viaduct::check
