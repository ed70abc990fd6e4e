#include "core/store/page_cursor.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "core/base/string_view.h"

namespace viaduct {

absl::StatusOr<int64_t> ParseCursor(std::string_view cursor) {
  int64_t out = 0;
  if (absl::SimpleAtoi(AbslView(cursor), &out)) return out;
  return absl::InvalidArgumentError("cursor: not one of ours");
}

absl::StatusOr<std::pair<int64_t, int64_t>> ParsePairCursor(std::string_view cursor) {
  const std::vector<absl::string_view> parts = absl::StrSplit(AbslView(cursor), '_');
  std::pair<int64_t, int64_t> pair;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &pair.first) ||
      !absl::SimpleAtoi(parts[1], &pair.second)) {
    return absl::InvalidArgumentError("cursor: not one of ours");
  }
  return pair;
}

std::string SubstringPattern(std::string_view text) {
  std::string out = "%";
  for (const char c : text) {
    if (c == '%' || c == '_' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "%";
}

std::vector<std::string> SplitLines(std::string_view lines) {
  if (lines.empty()) return {};
  std::vector<std::string> paths = absl::StrSplit(AbslView(lines), '\n');
  paths.pop_back();  // After the last line's end.
  return paths;
}

}  // namespace viaduct
