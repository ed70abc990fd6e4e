#include "core/lpr/own_page.h"

#include <string_view>

#include "absl/strings/match.h"
#include "core/base/string_view.h"
#include "core/lpr/call_fields.h"

namespace viaduct {
PageOrigin OriginOf(const CallRequest& call) {
  const std::string_view site = FieldOf(call, "sec-fetch-site");
  if (!site.empty()) return site == "same-origin" ? PageOrigin::kSame : PageOrigin::kForeign;
  const std::string_view origin = FieldOf(call, "origin");
  if (origin.empty()) return PageOrigin::kUnsaid;
  const size_t scheme = origin.find("://");
  const bool own =
      scheme != std::string_view::npos &&
      absl::EqualsIgnoreCase(AbslView(origin.substr(scheme + 3)), AbslView(FieldOf(call, "host")));
  return own ? PageOrigin::kSame : PageOrigin::kForeign;
}

bool IsOfScript(const CallRequest& call) {
  if (!FieldOf(call, "x-requested-with").empty()) return true;
  const std::string_view mode = FieldOf(call, "sec-fetch-mode");
  return !mode.empty() && mode != "navigate";
}

}  // namespace viaduct
