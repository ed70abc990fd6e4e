#include "core/lpr/query_params.h"

#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/router.h"
#include "core/message/envelope.h"
#include "core/message/identity.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

absl::Status Bad(std::string_view name, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(AbslView(name), ": ", AbslView(what)));
}

}  // namespace

absl::StatusOr<QueryParams> QueryParams::Parse(std::string_view query) {
  QueryParams out;
  if (query.empty()) return out;
  const std::vector<absl::string_view> parts = absl::StrSplit(AbslView(query), '&');
  if (parts.size() > kMaxParams) {
    return Bad("query",
               absl::StrCat("too many parameters, ", parts.size(), ", limit ", kMaxParams));
  }
  for (const absl::string_view part : parts) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    std::string name = PercentDecode(StdView(pair.first), true);
    std::string value = PercentDecode(StdView(pair.second), true);
    if (value.size() > kMaxValueBytes || name.size() > kMaxValueBytes) {
      return Bad("query", absl::StrCat("a parameter is too long, limit ", kMaxValueBytes));
    }
    if (!IsValidUtf8(name) || !IsValidUtf8(value)) return Bad("query", "invalid UTF-8");
    out.params_.emplace_back(std::move(name), std::move(value));
  }
  return out;
}

std::string QueryParams::Text(std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names) {
    for (auto it = params_.rbegin(); it != params_.rend(); ++it) {
      if (it->first == name && !it->second.empty()) return it->second;
    }
  }
  return std::string();
}

std::string QueryParams::Identity() const {
  for (const std::string_view name : kIdentityAliases) {
    std::string id = Text({name});
    if (!id.empty()) return id;
  }
  return std::string();
}

absl::StatusOr<int> QueryParams::Int(std::string_view name, int fallback, int low, int high) const {
  const std::string text = Text({name});
  if (text.empty()) return fallback;
  int value = 0;
  if (absl::SimpleAtoi(text, &value) && value >= low && value <= high) return value;
  return Bad(name, absl::StrCat("expected ", low, " to ", high, ", got ", ShownText(text)));
}

absl::StatusOr<std::optional<double>> QueryParams::Real(std::string_view name) const {
  const std::string text = Text({name});
  if (text.empty()) return std::optional<double>();
  double value = 0;
  if (absl::SimpleAtod(text, &value) && std::isfinite(value)) return std::optional<double>(value);
  return Bad(name, absl::StrCat("expected a number, got ", ShownText(text)));
}

absl::StatusOr<std::optional<bool>> QueryParams::Bool(std::string_view name) const {
  const std::string text = Text({name});
  if (text.empty()) return std::optional<bool>();
  bool value = false;
  if (absl::SimpleAtob(text, &value)) return std::optional<bool>(value);
  return Bad(name, absl::StrCat("expected true or false, got ", ShownText(text)));
}

absl::StatusOr<std::optional<absl::Time>> QueryParams::Time(std::string_view name,
                                                            absl::TimeZone naive_zone) const {
  std::string text = Text({name});
  if (text.empty()) return std::optional<absl::Time>();
  if (text.size() == 10) text += "T00:00:00";  // A day alone means its beginning.
  absl::StatusOr<absl::Time> time = ParseTimestamp(text, naive_zone);
  if (!time.ok()) {
    // An offset whose "+" was not escaped arrives as a space.
    const size_t space = text.rfind(' ');
    if (space != std::string::npos && space > 10) {
      text[space] = '+';
      time = ParseTimestamp(text, naive_zone);
    }
  }
  if (!time.ok()) return Bad(name, StdView(time.status().message()));
  return std::optional<absl::Time>(*time);
}

}  // namespace viaduct
