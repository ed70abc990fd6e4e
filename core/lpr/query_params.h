// The query string of a request, read with limits and clear errors.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace viaduct {

// Thread-compatible. Of a parameter that is given several times the last counts. Every error is
// INVALID_ARGUMENT "<name>: <what>, <detail>".
class QueryParams {
 public:
  static constexpr size_t kMaxParams = 64;
  static constexpr size_t kMaxValueBytes = 512;

  static absl::StatusOr<QueryParams> Parse(std::string_view query);

  // The first of `names` that is given and not empty; "" when none is.
  std::string Text(std::initializer_list<std::string_view> names) const;
  // The camera by any of its aliases.
  std::string Identity() const;
  absl::StatusOr<int> Int(std::string_view name, int fallback, int low, int high) const;
  absl::StatusOr<std::optional<double>> Real(std::string_view name) const;
  absl::StatusOr<std::optional<bool>> Bool(std::string_view name) const;
  absl::StatusOr<std::optional<absl::Time>> Time(std::string_view name,
                                                 absl::TimeZone naive_zone) const;

 private:
  std::vector<std::pair<std::string, std::string>> params_;
};

}  // namespace viaduct
