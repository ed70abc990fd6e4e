// The members of one JSON object that an administrator sends, read by name and strictly.
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/message/json_scanner.h"

namespace viaduct {

// Thread-compatible. Borrows the text that was parsed. A member that is absent or null is nothing;
// every error is INVALID_ARGUMENT "<name>: <what>, <detail>".
class JsonFields {
 public:
  // The error of malformed text names the position.
  static absl::StatusOr<JsonFields> Parse(std::string_view json, size_t max_bytes);

  // The first of `names` that is there.
  absl::StatusOr<std::optional<std::string>> Text(std::initializer_list<std::string_view> names,
                                                  size_t max_bytes) const;
  // The camera by any of its aliases; nothing when it is empty.
  absl::StatusOr<std::optional<std::string>> Identity() const;
  absl::StatusOr<std::optional<double>> Number(std::string_view name) const;
  // JSON text of an object, also of one inside a string.
  absl::StatusOr<std::optional<std::string>> Object(std::string_view name) const;
  absl::StatusOr<std::optional<absl::Time>> Time(std::string_view name,
                                                 absl::TimeZone naive_zone) const;

 private:
  const JsonSlice* Find(std::string_view name) const;

  std::vector<JsonMember> members_;
};

}  // namespace viaduct
