#include "core/lpr/byte_range.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

constexpr absl::string_view kUnit = "bytes=";

// Decimal digits only. What does not fit is as good as the greatest number.
bool ReadPosition(absl::string_view digits, uint64_t* position) {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  if (digits.empty()) return false;
  *position = 0;
  for (const char c : digits) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
    const auto digit = static_cast<uint64_t>(c - '0');
    *position = *position > (kMost - digit) / 10 ? kMost : *position * 10 + digit;
  }
  return true;
}

// The last `count` octets.
ByteRange Suffix(uint64_t count, uint64_t resource_bytes) {
  const uint64_t size = std::min(count, resource_bytes);
  if (size == 0) return {ByteRange::Kind::kUnsatisfiable, 0, 0};
  return {ByteRange::Kind::kPart, resource_bytes - size, size};
}

}  // namespace

ByteRange ParseByteRange(std::string_view header, uint64_t resource_bytes) {
  absl::string_view text = absl::StripAsciiWhitespace(AbslView(header));
  if (!absl::StartsWithIgnoreCase(text, kUnit)) return {};
  text = absl::StripAsciiWhitespace(text.substr(kUnit.size()));
  const size_t dash = text.find('-');
  if (dash == absl::string_view::npos) return {};
  const absl::string_view from = text.substr(0, dash);
  const absl::string_view to = text.substr(dash + 1);
  uint64_t first = 0;
  uint64_t last = std::numeric_limits<uint64_t>::max();
  if (from.empty()) {
    return ReadPosition(to, &last) ? Suffix(last, resource_bytes) : ByteRange();
  }
  if (!ReadPosition(from, &first)) return {};
  if (!to.empty() && !ReadPosition(to, &last)) return {};
  if (last < first) return {};
  if (first >= resource_bytes) return {ByteRange::Kind::kUnsatisfiable, 0, 0};
  return {ByteRange::Kind::kPart, first, std::min(last, resource_bytes - 1) - first + 1};
}

bool NamesTag(std::string_view header, std::string_view tag) {
  for (absl::string_view one : absl::StrSplit(AbslView(header), ',')) {
    one = absl::StripAsciiWhitespace(one);
    if (one == "*") return true;
    absl::ConsumePrefix(&one, "W/");
    if (one.size() == tag.size() + 2 && one.front() == '"' && one.back() == '"' &&
        one.substr(1, tag.size()) == AbslView(tag)) {
      return true;
    }
  }
  return false;
}

}  // namespace viaduct
