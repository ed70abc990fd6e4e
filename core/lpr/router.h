// Finds the route of a method and a path in a table that is data.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace viaduct {

// `path` may have one parameter: "/api/devices/{device_id}" takes one part, and something may stand
// behind it; "/images/{path...}" takes the rest.
struct RoutePattern {
  std::string_view method;  // "GET", "POST", "PUT", "DELETE"
  std::string_view path;
};

struct RouteMatch {
  static constexpr size_t kNone = static_cast<size_t>(-1);
  size_t index = kNone;   // Of the pattern.
  std::string parameter;  // Percent-decoded.
  std::string allow;      // Methods of the path when only the method did not match; "" otherwise.
};

// Thread-safe: it does not change.
class Router {
 public:
  explicit Router(const std::vector<RoutePattern>& patterns);

  // HEAD is answered as GET.
  RouteMatch Find(std::string_view method, std::string_view path) const;

 private:
  struct MethodRoute {
    std::string_view method;
    size_t index;
  };
  struct PrefixRoute {
    std::string_view prefix;  // With the slash at its end.
    std::string_view suffix;  // Behind the parameter, with the slash at its beginning.
    bool rest = false;        // Takes the rest of the path.
    std::vector<MethodRoute> methods;
  };
  static bool TakeParameter(const PrefixRoute& route, std::string_view path,
                            std::string_view* parameter);
  static RouteMatch Choose(const std::vector<MethodRoute>& methods, std::string_view method);

  absl::flat_hash_map<std::string_view, std::vector<MethodRoute>> exact_;
  std::vector<PrefixRoute> prefixes_;
};

// "%41+b" as a query means "A b", as a path "A+b". A broken escape stays as it is.
std::string PercentDecode(std::string_view text, bool plus_is_space);

}  // namespace viaduct
