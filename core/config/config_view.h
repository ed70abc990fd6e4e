// The configuration of one instance as its plugin sees it: checked, with the schema's defaults
// filled in and references to secrets resolved, read by JSON pointer (RFC 6901).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace viaduct {

// The numbers are those of VD_CONFIG_... in the plugin ABI.
enum class ConfigType : uint8_t {
  kMissing = 0,
  kNull,
  kBoolean,
  kInteger,
  kNumber,
  kString,
  kList,
  kObject,
};
std::string_view ConfigTypeName(ConfigType type);

// Immutable; thread-safe. Every string_view it hands out lives as long as the view.
// Getters return NOT_FOUND where nothing stands and INVALID_ARGUMENT for another type; a pointer
// that is malformed points to nothing.
class ConfigView {
 public:
  // INVALID_ARGUMENT: not JSON, or deeper than a configuration may be.
  static absl::StatusOr<std::shared_ptr<const ConfigView>> FromJson(std::string_view json);

  virtual ~ConfigView() = default;
  virtual ConfigType type(std::string_view pointer) const = 0;
  virtual absl::StatusOr<std::string_view> GetString(std::string_view pointer) const = 0;
  // Also a number without fraction. OUT_OF_RANGE: does not fit.
  virtual absl::StatusOr<int64_t> GetInteger(std::string_view pointer) const = 0;
  virtual absl::StatusOr<double> GetNumber(std::string_view pointer) const = 0;
  virtual absl::StatusOr<bool> GetBoolean(std::string_view pointer) const = 0;
  // Elements of a list or members of an object.
  virtual absl::StatusOr<uint64_t> GetSize(std::string_view pointer) const = 0;
  // JSON text of the subtree on one line, secrets included: never log it.
  virtual absl::StatusOr<std::string_view> GetJson(std::string_view pointer) const = 0;
};

}  // namespace viaduct
