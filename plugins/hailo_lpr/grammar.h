// What the plates of a country can say (see grammars/README.md). A grammar chooses among readings;
// it never makes one.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "plugins/hailo_lpr/reading.h"
#include "re2/re2.h"

namespace viaduct::hailo_lpr {

// Immutable: any thread.
class Grammar {
 public:
  static constexpr size_t kMostForms = 200;
  static constexpr int kMostRepeats = 12;
  static constexpr size_t kMaxFileBytes = 1u << 20;

  // INVALID_ARGUMENT names the form, or the line.
  static absl::StatusOr<Grammar> Parse(std::string_view yaml);
  static absl::StatusOr<Grammar> Load(const std::string& path);

  const std::string& name() const { return name_; }
  const std::string& title() const { return title_; }
  // The share of plates that have a form of this reading; 0: none of them has.
  double WeightOf(const std::string& reading) const;
  // The same of forms that say where letters and where digits stand, if the reading has only one of
  // both: every word and every number has a form of X.
  double OwnWeightOf(const std::string& reading) const;

  struct Choice {
    size_t index = 0;      // Of the readings.
    bool matched = false;  // It has a form of the grammar; else it is just the likeliest.
  };
  // `readings` are not empty, the likeliest first.
  Choice Choose(const std::vector<Reading>& readings) const;

 private:
  struct Form {
    std::unique_ptr<RE2> pattern;
    double share = 0;
    bool any = false;  // It has an X.
  };

  std::string name_;
  std::string title_;
  std::vector<Form> forms_;
};

}  // namespace viaduct::hailo_lpr
