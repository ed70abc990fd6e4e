// Gives the pictures of a set to a reader and compares what comes back.
#pragma once

#include <string>
#include <vector>

#include "host/eval/picture_reader.h"
#include "host/eval/score.h"
#include "host/eval/truth.h"

namespace viaduct::eval {

// One folder of pictures, looked at.
struct SetResult {
  std::string name;
  Tally tally;
  std::vector<PictureVerdict> pictures;  // Kept where a list is wanted.
  std::vector<std::string> without;      // Pictures without ground truth.
  std::vector<std::string> bad;          // Ground truth that can not be read, and why.
  std::vector<std::string> unreadable;   // Pictures that can not be looked at, and why.
};

// All of them as one.
Tally Total(const std::vector<SetResult>& sets);

// A picture that cannot be looked at is counted and listed; only UNAVAILABLE ends it: the reader
// does not answer any more.
absl::StatusOr<SetResult> Evaluate(const PictureSet& set, PictureReader* reader, bool keep_list);

}  // namespace viaduct::eval
