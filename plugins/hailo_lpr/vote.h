// One reading out of many of the same plate: confidence-weighted, character by character.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "plugins/hailo_lpr/reading.h"

namespace viaduct::hailo_lpr {

// Constant memory but for what was read: at most kMostTexts different texts are told apart, the
// least believed of them is forgotten first.
class Vote {
 public:
  static constexpr size_t kMostTexts = 32;

  void Add(const Reading& reading);

  size_t readings() const { return readings_; }
  // The characters that most of the belief is in, among the texts of the length that most of it is
  // in; empty when nothing was read. Its confidence is that of the best reading with this very
  // text, raised by the others that agree and lowered by those that do not; of a text that no
  // picture had as a whole, that of its characters together. The province is voted on by itself.
  Reading Result() const;
  // Other texts with their share of the belief, the best first.
  std::vector<std::pair<std::string, float>> Alternatives(size_t limit) const;

 private:
  struct Candidate {
    std::string text;
    Reading best;
    float belief = 0;  // The sum of the confidences of those that had this text.
    size_t count = 0;
  };

  // Of one province: the sum of the confidences and the best of them.
  struct Votes {
    float belief = 0;
    float best = 0;
  };

  size_t CommonestLength() const;
  void AddProvince(Reading* result) const;
  // 0: no reading had this text.
  float ConfidenceOf(const std::string& text) const;

  std::vector<Candidate> candidates_;
  std::map<std::string, Votes> provinces_;  // At most kMostTexts.
  float belief_ = 0;                        // Of all, also of those that were forgotten.
  size_t readings_ = 0;
};

}  // namespace viaduct::hailo_lpr
