#include "host/ctl/lpr_report.h"

#include <algorithm>
#include <cmath>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "host/ctl/format.h"

namespace viaduct::ctl {
namespace {

using eval::Band;
using eval::kBands;
using eval::PictureVerdict;
using eval::SetResult;
using eval::Tally;
using Json = nlohmann::ordered_json;

double Part(uint64_t some, uint64_t all) {
  return all == 0 ? 0 : static_cast<double>(some) / static_cast<double>(all);
}

// "-" where there is nothing to divide by.
std::string PartText(uint64_t some, uint64_t all) {
  return all == 0 ? "-" : absl::StrFormat("%.3f", Part(some, all));
}

std::vector<std::string> Row(const std::string& name, const Tally& t) {
  return {Cell(name),
          absl::StrCat(t.images),
          absl::StrCat(t.plates),
          PartText(t.found_best, t.plates),
          PartText(t.found_five, t.plates),
          PartText(t.exact, t.plates),
          PartText(t.equal, t.plates),
          PartText(t.mistakes, t.characters),
          PartText(t.told_right, t.plates),
          PartText(t.told_wrong, t.plates),
          PartText(t.false_plates, t.images),
          PartText(t.false_readings, t.images)};
}

void PrintProvinces(const Tally& total, std::ostream& out) {
  if (total.provinces == 0) return;
  out << "\nProvince, of " << total.provinces << " plates whose text is exact: right "
      << PartText(total.province_right, total.provinces) << ", given "
      << PartText(total.province_given, total.provinces) << "\n";
}

void PrintBands(const Tally& total, std::ostream& out) {
  Table table({"CONFIDENCE", "READINGS", "MEAN", "RIGHT"});
  double low = 0;
  for (size_t i = 0; i < kBands.size(); ++i) {
    const Band& band = total.bands[i];
    const double mean =
        band.readings == 0 ? 0 : band.confidence / static_cast<double>(band.readings);
    table.Add({absl::StrFormat("%.2f to %.2f", low, kBands[i]), absl::StrCat(band.readings),
               band.readings == 0 ? "-" : absl::StrFormat("%.3f", mean),
               PartText(band.right, band.readings)});
    low = kBands[i];
  }
  out << "\n";
  table.Print(out);
}

void PrintStages(const Tally& total, std::ostream& out) {
  if (total.stages.empty()) return;
  Table table({"STAGE", "MEDIAN MS", "P90 MS"});
  for (const auto& [name, ms] : total.stages) {
    table.Add({Cell(name), absl::StrFormat("%.1f", Quantile(ms, 0.5)),
               absl::StrFormat("%.1f", Quantile(ms, 0.9))});
  }
  out << "\n";
  table.Print(out);
}

std::vector<std::pair<std::pair<std::string, std::string>, uint64_t>> Commonest(
    const Tally& tally) {
  std::vector<std::pair<std::pair<std::string, std::string>, uint64_t>> all(tally.mixed.begin(),
                                                                            tally.mixed.end());
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  if (all.size() > kMixedShown) all.resize(kMixedShown);
  return all;
}

void PrintMixed(const Tally& total, std::ostream& out) {
  const auto common = Commonest(total);
  if (common.empty()) return;
  Table table({"IS", "READ AS", "TIMES"});
  for (const auto& [pair, count] : common) {
    table.Add({Cell(pair.first), Cell(pair.second), absl::StrCat(count)});
  }
  out << "\n";
  table.Print(out);
}

void PrintProblems(const SetResult& set, std::ostream& out) {
  const auto print = [&](const char* what, const std::vector<std::string>& names) {
    if (names.empty()) return;
    out << Cell(set.name) << ": " << names.size() << " " << what << ", the first is "
        << Cell(names[0]) << "\n";
  };
  print("without ground truth", set.without);
  print("with ground truth that can not be read", set.bad);
  print("that can not be looked at", set.unreadable);
}

Json TallyJson(const Tally& t) {
  Json out = {{"images", t.images},
              {"unreadable", t.unreadable},
              {"plates", t.plates},
              {"recall_best", Part(t.found_best, t.plates)},
              {"recall_five", Part(t.found_five, t.plates)},
              {"exact", Part(t.exact, t.plates)},
              {"equal", Part(t.equal, t.plates)},
              {"character_errors", Part(t.mistakes, t.characters)},
              {"told_right", Part(t.told_right, t.plates)},
              {"told_wrong", Part(t.told_wrong, t.plates)},
              {"false_plates_per_image", Part(t.false_plates, t.images)},
              {"false_readings_per_image", Part(t.false_readings, t.images)},
              {"provinces", t.provinces},
              {"province_right", Part(t.province_right, t.provinces)},
              {"province_given", Part(t.province_given, t.provinces)}};
  out["bands"] = Json::array();
  for (size_t i = 0; i < kBands.size(); ++i) {
    const Band& band = t.bands[i];
    out["bands"].push_back(
        {{"up_to", kBands[i]},
         {"readings", band.readings},
         {"confidence",
          band.readings == 0 ? 0 : band.confidence / static_cast<double>(band.readings)},
         {"right", Part(band.right, band.readings)}});
  }
  for (const auto& [name, ms] : t.stages) {
    out["stages"][name] = {{"median_ms", Quantile(ms, 0.5)}, {"p90_ms", Quantile(ms, 0.9)}};
  }
  out["confusions"] = Json::array();
  for (const auto& [pair, count] : Commonest(t)) {
    out["confusions"].push_back({{"is", pair.first}, {"read_as", pair.second}, {"times", count}});
  }
  return out;
}

Json VerdictJson(const PictureVerdict& verdict) {
  Json out = {{"name", verdict.name}, {"plates", Json::array()}};
  for (const PictureVerdict::Plate& plate : verdict.plates) {
    out["plates"].push_back({{"text", plate.text},
                             {"read", plate.read},
                             {"confidence", plate.confidence},
                             {"found", plate.found},
                             {"equal", plate.equal},
                             {"told", plate.told},
                             {"province", plate.province},
                             {"read_province", plate.read_province}});
  }
  out["false_plates"] = verdict.false_plates;
  if (!verdict.problem.empty()) out["problem"] = verdict.problem;
  return out;
}

}  // namespace

double Quantile(std::vector<float> values, double part) {
  if (values.empty()) return 0;
  const auto index =
      static_cast<size_t>(std::lround(part * static_cast<double>(values.size() - 1)));
  const auto at = values.begin() + static_cast<ptrdiff_t>(index);
  std::nth_element(values.begin(), at, values.end());
  return static_cast<double>(*at);
}

void PrintReport(const std::vector<SetResult>& sets, std::ostream& out) {
  Table table({"SET", "IMAGES", "PLATES", "FOUND 1", "FOUND 5", "EXACT", "O=0 I=1", "CHAR ERR",
               "TOLD OK", "TOLD WRONG", "FALSE/IMG", "ALL FALSE/IMG"});
  for (const SetResult& set : sets) table.Add(Row(set.name, set.tally));
  const Tally total = Total(sets);
  if (sets.size() > 1) table.Add(Row("total", total));
  table.Print(out);
  PrintProvinces(total, out);
  PrintBands(total, out);
  PrintStages(total, out);
  PrintMixed(total, out);
  for (const SetResult& set : sets) PrintProblems(set, out);
}

void PrintList(const SetResult& set, std::ostream& out) {
  for (const PictureVerdict& verdict : set.pictures) {
    for (const PictureVerdict::Plate& plate : verdict.plates) {
      out << Cell(verdict.name) << "\t" << Cell(plate.text) << "\t" << Cell(plate.read) << "\t"
          << absl::StrFormat("%.3f", plate.confidence) << "\t"
          << (plate.equal          ? "right"
              : plate.read.empty() ? "missed"
                                   : "wrong")
          << "\t" << (plate.found ? "found" : "not-found") << "\t"
          << (plate.told ? "told" : "kept");
      if (!plate.province.empty()) {
        out << "\t" << Cell(plate.province) << "\t" << Cell(plate.read_province);
      }
      out << "\n";
    }
    for (const std::string& text : verdict.false_plates) {
      out << Cell(verdict.name) << "\t-\t" << Cell(text) << "\t\tfalse\n";
    }
    if (!verdict.problem.empty()) {
      out << Cell(verdict.name) << "\t-\t" << Cell(verdict.problem) << "\n";
    }
  }
}

Json ReportJson(const std::vector<SetResult>& sets, bool list) {
  Json out = {{"sets", Json::object()}, {"total", TallyJson(Total(sets))}};
  for (const SetResult& set : sets) {
    Json one = TallyJson(set.tally);
    one["without_ground_truth"] = set.without;
    one["bad_ground_truth"] = set.bad;
    one["not_looked_at"] = set.unreadable;
    if (list) {
      one["list"] = Json::array();
      for (const PictureVerdict& verdict : set.pictures)
        one["list"].push_back(VerdictJson(verdict));
    }
    out["sets"][set.name] = std::move(one);
  }
  return out;
}

void PrintReportJson(const std::vector<SetResult>& sets, bool list, std::ostream& out) {
  out << ReportJson(sets, list).dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

}  // namespace viaduct::ctl
