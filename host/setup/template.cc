#include "host/setup/template.h"

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/string_view.h"

namespace viaduct::setup {
namespace {

// The name in a line "#[name]"; empty for any other line.
absl::string_view MarkIn(absl::string_view line) {
  line = absl::StripAsciiWhitespace(line);
  if (!absl::ConsumePrefix(&line, "#[") || !absl::ConsumeSuffix(&line, "]")) return {};
  return line;
}

bool HasAll(const std::set<std::string>& parts, absl::string_view names) {
  const std::vector<std::string> wanted = absl::StrSplit(names, '+');
  return std::all_of(wanted.begin(), wanted.end(),
                     [&](const std::string& name) { return parts.count(name) != 0; });
}

// "  # text" and "  #text" become "  text".
std::string Uncommented(absl::string_view line) {
  const size_t at = line.find_first_not_of(' ');
  if (at == absl::string_view::npos || line[at] != '#') return std::string(line);
  absl::string_view rest = line.substr(at + 1);
  absl::ConsumePrefix(&rest, " ");
  return absl::StrCat(line.substr(0, at), rest);
}

}  // namespace

absl::StatusOr<std::string> TakeParts(std::string_view text, const std::set<std::string>& parts) {
  std::string result;
  std::string open;  // The part that this line is in.
  std::vector<absl::string_view> lines = absl::StrSplit(AbslView(text), '\n');
  if (lines.back().empty()) lines.pop_back();
  for (const absl::string_view line : lines) {
    absl::string_view mark = MarkIn(line);
    const bool taken = HasAll(parts, open.empty() ? mark : absl::string_view(open));
    if (mark.empty()) {
      absl::StrAppend(&result, !open.empty() && taken ? Uncommented(line) : std::string(line),
                      "\n");
      continue;
    }
    const bool ends = absl::ConsumePrefix(&mark, "/");
    if (ends ? mark != open : !open.empty()) {
      return absl::InternalError(absl::StrCat("deploy: the mark ", line, " does not fit"));
    }
    open = ends ? "" : std::string(mark);
    if (!taken) absl::StrAppend(&result, line, "\n");
  }
  if (open.empty()) return result;
  return absl::InternalError(absl::StrCat("deploy: the part ", open, " does not end"));
}

absl::Status PutIn(std::string_view sample, std::string_view value, std::string* text) {
  const int count = absl::StrReplaceAll({{AbslView(sample), AbslView(value)}}, text);
  if (count > 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("deploy: ", AbslView(sample), " is not in its file"));
}

}  // namespace viaduct::setup
