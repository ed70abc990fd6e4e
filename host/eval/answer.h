// What a plugin answers to one picture (plugins/hailo_lpr/README.md has the form).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "host/eval/truth.h"

namespace viaduct::eval {

struct ReadText {
  std::string text;
  double confidence = 0;
  std::string grammar;  // That has a form of it; "": none.
  std::string province;
};

// What may be a plate. The chosen reading first; none: nothing was read.
struct Candidate {
  Box box;
  double score = 0;
  bool accepted = false;  // It would be told.
  std::vector<ReadText> readings;
};

struct Answer {
  static constexpr size_t kMaxCandidates = 256;
  static constexpr size_t kMaxStages = 32;

  std::vector<Candidate> candidates;     // As the detector ordered them, the best first.
  double min_confidence = 0;             // What `accepted` was decided by.
  std::map<std::string, double> stages;  // Milliseconds, and "total".
};

// INVALID_ARGUMENT says which member is not what it should be.
absl::StatusOr<Answer> ParseAnswer(std::string_view json);

}  // namespace viaduct::eval
