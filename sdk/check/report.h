// Results as text for people and as JUnit XML for machines.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "child.h"
#include "fixture.h"

namespace viaduct::check {

struct Result {
  Test test;
  Outcome outcome;
};

void WriteLine(const Result& result, std::ostream& out);
void WriteSummary(const std::vector<Result>& results, std::ostream& out);
void WriteJunit(const std::string& plugin, const std::vector<Result>& results, std::ostream& out);

}  // namespace viaduct::check
