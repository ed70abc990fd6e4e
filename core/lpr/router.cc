#include "core/lpr/router.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string PercentDecode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexValue(text[i + 1]) >= 0 &&
        HexValue(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(HexValue(text[i + 1]) * 16 + HexValue(text[i + 2])));
      i += 2;
    } else {
      out.push_back(plus_is_space && text[i] == '+' ? ' ' : text[i]);
    }
  }
  return out;
}

Router::Router(const std::vector<RoutePattern>& patterns) {
  for (size_t i = 0; i < patterns.size(); ++i) {
    const RoutePattern& pattern = patterns[i];
    const size_t brace = pattern.path.find('{');
    if (brace == std::string_view::npos) {
      exact_[pattern.path].push_back(MethodRoute{pattern.method, i});
      continue;
    }
    const std::string_view prefix = pattern.path.substr(0, brace);
    const size_t end = pattern.path.find('}');
    const std::string_view suffix = pattern.path.substr(end + 1);
    PrefixRoute* route = nullptr;
    for (PrefixRoute& known : prefixes_) {
      if (known.prefix == prefix && known.suffix == suffix) route = &known;
    }
    if (route == nullptr) {
      const bool rest = absl::EndsWith(AbslView(pattern.path.substr(0, end)), "...");
      prefixes_.push_back(PrefixRoute{prefix, suffix, rest, {}});
      route = &prefixes_.back();
    }
    route->methods.push_back(MethodRoute{pattern.method, i});
  }
}

RouteMatch Router::Choose(const std::vector<MethodRoute>& methods, std::string_view method) {
  RouteMatch match;
  const std::string_view wanted = method == "HEAD" ? std::string_view("GET") : method;
  for (const MethodRoute& route : methods) {
    if (route.method == wanted) match.index = route.index;
    absl::StrAppend(&match.allow, match.allow.empty() ? "" : ", ", AbslView(route.method));
    if (route.method == "GET") absl::StrAppend(&match.allow, ", HEAD");
  }
  if (match.index != RouteMatch::kNone) match.allow.clear();
  return match;
}

bool Router::TakeParameter(const PrefixRoute& route, std::string_view path,
                           std::string_view* parameter) {
  if (path.size() <= route.prefix.size() + route.suffix.size()) return false;
  if (path.substr(0, route.prefix.size()) != route.prefix) return false;
  path.remove_prefix(route.prefix.size());
  if (path.substr(path.size() - route.suffix.size()) != route.suffix) return false;
  path.remove_suffix(route.suffix.size());
  *parameter = path;
  return route.rest || path.find('/') == std::string_view::npos;
}

RouteMatch Router::Find(std::string_view method, std::string_view path) const {
  const auto exact = exact_.find(path);
  if (exact != exact_.end()) return Choose(exact->second, method);
  for (const PrefixRoute& route : prefixes_) {
    std::string_view parameter;
    if (!TakeParameter(route, path, &parameter)) continue;
    RouteMatch match = Choose(route.methods, method);
    match.parameter = PercentDecode(parameter, /*plus_is_space=*/false);
    return match;
  }
  return RouteMatch();
}

}  // namespace viaduct
