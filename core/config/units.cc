#include "core/config/units.h"

#include <array>
#include <cmath>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"

namespace viaduct {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr double kKi = 1024;
constexpr std::array<Unit, 9> kByteUnits = {{{"B", 1},
                                             {"kB", 1e3},
                                             {"MB", 1e6},
                                             {"GB", 1e9},
                                             {"TB", 1e12},
                                             {"KiB", kKi},
                                             {"MiB", kKi* kKi},
                                             {"GiB", kKi* kKi* kKi},
                                             {"TiB", kKi* kKi* kKi* kKi}}};
constexpr std::array<Unit, 7> kTimeUnits = {
    {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}}};
constexpr double kMaxNanos = 100 * 365.25 * 86400e9;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Takes "12.5" off the front. No sign, no exponent.
bool TakeNumber(std::string_view* text, double* number) {
  size_t end = 0;
  int points = 0;
  while (end < text->size() && (IsDigit((*text)[end]) || (*text)[end] == '.')) {
    points += (*text)[end] == '.' ? 1 : 0;
    ++end;
  }
  if (end == 0 || end > 30 || points > 1 || !IsDigit((*text)[0]) || !IsDigit((*text)[end - 1])) {
    return false;
  }
  if (!absl::SimpleAtod(absl::string_view(text->data(), end), number)) return false;
  text->remove_prefix(end);
  return std::isfinite(*number);
}

template <size_t kCount>
const Unit* TakeUnit(std::string_view* text, const std::array<Unit, kCount>& units) {
  size_t end = 0;
  while (end < text->size() && !IsDigit((*text)[end]) && (*text)[end] != '.') ++end;
  for (const Unit& unit : units) {
    if (text->substr(0, end) == unit.name) {
      text->remove_prefix(end);
      return &unit;
    }
  }
  return nullptr;
}

void SkipSpaces(std::string_view* text) {
  while (!text->empty() && text->front() == ' ') text->remove_prefix(1);
}

}  // namespace

absl::StatusOr<uint64_t> ParseBytes(std::string_view text) {
  const absl::Status bad =
      absl::InvalidArgumentError("not a size, write for example 1500, 64KiB, 4GiB or 1.5GB");
  double number = 0;
  if (!TakeNumber(&text, &number)) return bad;
  SkipSpaces(&text);
  if (!text.empty()) {
    const Unit* unit = TakeUnit(&text, kByteUnits);
    if (unit == nullptr || !text.empty()) return bad;
    number *= unit->factor;
  }
  if (number > 9e15) return absl::InvalidArgumentError("not a size, it is too large");
  if (number != std::floor(number))
    return absl::InvalidArgumentError("not a whole number of bytes");
  return static_cast<uint64_t>(number);
}

absl::StatusOr<absl::Duration> ParseDuration(std::string_view text) {
  const absl::Status bad =
      absl::InvalidArgumentError("not a duration, write for example 200ms, 30s, 1h30m or 30d");
  if (text == "0") return absl::ZeroDuration();
  if (text.empty()) return bad;
  double nanos = 0;
  while (!text.empty()) {
    double number = 0;
    if (!TakeNumber(&text, &number)) return bad;
    SkipSpaces(&text);
    if (text.empty()) {
      return absl::InvalidArgumentError(
          "not a duration, the unit is missing, write for example 200ms, 30s or 30d");
    }
    const Unit* unit = TakeUnit(&text, kTimeUnits);
    if (unit == nullptr) return bad;
    nanos += number * unit->factor;
    if (nanos > kMaxNanos) {
      return absl::InvalidArgumentError("not a duration, more than 100 years");
    }
  }
  return absl::Nanoseconds(std::llround(nanos));
}

}  // namespace viaduct
