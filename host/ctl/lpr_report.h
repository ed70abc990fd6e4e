// Figures of an evaluation, for people and for programs.
#pragma once

#include <iosfwd>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/eval/evaluate.h"

namespace viaduct::ctl {

// Sorts a copy; 0 of none.
double Quantile(std::vector<float> values, double part);

inline constexpr size_t kMixedShown = 12;  // Pairs of the list of confusions.

void PrintReport(const std::vector<eval::SetResult>& sets, std::ostream& out);
void PrintList(const eval::SetResult& set, std::ostream& out);
nlohmann::ordered_json ReportJson(const std::vector<eval::SetResult>& sets, bool list);
// In names and texts, which are those of files, what is no UTF-8 is replaced.
void PrintReportJson(const std::vector<eval::SetResult>& sets, bool list, std::ostream& out);

}  // namespace viaduct::ctl
