#include "host/eval/truth.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace viaduct::eval {
namespace {

namespace fs = std::filesystem;

constexpr double kFarthest = 1e6;  // Pixels.

bool IsPicture(const fs::path& path) {
  const std::string kind = absl::AsciiStrToLower(path.extension().string());
  return kind == ".jpg" || kind == ".jpeg" || kind == ".png";
}

// The entries of a folder by name. What can not be listed is not there.
std::vector<fs::path> Entries(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (out.size() > 2 * kMaxPictures) break;
    out.push_back(at->path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

absl::StatusOr<std::vector<TruePlate>> LoadTruth(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError("cannot be read");
  std::string text(kMaxTruthBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxTruthBytes) return absl::InvalidArgumentError("more than 64 KiB");
  return ParseTruth(text);
}

void AddPicture(const fs::path& path, const std::string& name, PictureSet* set) {
  fs::path truth = path;
  truth.replace_extension(".txt");
  std::error_code error;
  if (!fs::exists(truth, error)) {
    set->without.push_back(name);
    return;
  }
  absl::StatusOr<std::vector<TruePlate>> plates = LoadTruth(truth);
  if (!plates.ok()) {
    set->bad.push_back(absl::StrCat(truth.filename().string(), ": ", plates.status().message()));
    return;
  }
  set->pictures.push_back({path.string(), name, *std::move(plates)});
}

// The pictures of one folder; a folder below it is not looked into.
PictureSet ReadSet(const fs::path& folder, const std::string& name, const std::string& prefix) {
  PictureSet set;
  set.name = name;
  for (const fs::path& path : Entries(folder)) {
    std::error_code error;
    if (!IsPicture(path) || !fs::is_regular_file(path, error)) continue;
    AddPicture(path, prefix + path.filename().string(), &set);
  }
  return set;
}

}  // namespace

double Common(const Box& a, const Box& b) {
  return Box{std::max(a.left, b.left), std::max(a.top, b.top), std::min(a.right, b.right),
             std::min(a.bottom, b.bottom)}
      .area();
}

double Iou(const Box& a, const Box& b) {
  const double common = Common(a, b);
  return common <= 0 ? 0 : common / (a.area() + b.area() - common);
}

absl::StatusOr<std::vector<TruePlate>> ParseTruth(const std::string& text) {
  std::vector<TruePlate> plates;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty()) continue;
    const std::vector<absl::string_view> fields = absl::StrSplit(line, '\t');
    double values[4] = {};
    bool good = fields.size() == 6 || fields.size() == 7;
    for (size_t i = 0; good && i < 4; ++i) {
      good = absl::SimpleAtod(fields[i + 1], &values[i]) && std::abs(values[i]) <= kFarthest;
    }
    if (!good || !(values[2] > 0 && values[3] > 0) || fields[5].empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, " is not: name, x, y, width, height, text [, province]"));
    }
    if (plates.size() == kMaxPlates) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kMaxPlates, " plates"));
    }
    TruePlate plate;
    plate.box = {values[0], values[1], values[0] + values[2], values[1] + values[3]};
    plate.text = std::string(fields[5]);
    if (fields.size() == 7) plate.province = std::string(fields[6]);
    plates.push_back(std::move(plate));
  }
  return plates;
}

absl::StatusOr<std::vector<PictureSet>> ReadSets(const std::string& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    return absl::NotFoundError(absl::StrCat(folder, ": is no folder"));
  }
  const fs::path root = fs::weakly_canonical(folder, error);
  std::vector<PictureSet> sets;
  size_t pictures = 0;
  const auto add = [&](PictureSet set) {
    const size_t count = set.pictures.size() + set.without.size() + set.bad.size();
    pictures += count;
    if (count > 0) sets.push_back(std::move(set));
  };
  add(ReadSet(root, root.filename().string(), ""));
  for (const fs::path& path : Entries(root)) {
    if (!fs::is_directory(path, error)) continue;
    const std::string name = path.filename().string();
    add(ReadSet(path, name, name + "/"));
    if (sets.size() > kMaxSets || pictures > kMaxPictures) {
      return absl::ResourceExhaustedError(absl::StrCat(folder, ": too many pictures"));
    }
  }
  if (sets.empty()) {
    return absl::NotFoundError(absl::StrCat(folder, ": no picture in it, *.jpg, *.jpeg or *.png"));
  }
  return sets;
}

}  // namespace viaduct::eval
