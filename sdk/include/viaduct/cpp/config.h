// The instance's configuration, read by JSON pointer ("/tls/key", "/topics/0").
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "viaduct/cpp/status.h"
#include "viaduct/cpp/text.h"

namespace viaduct::sdk {

// Reads into plain fields. The first mistake is kept in status() and the fields after it are left
// as they are, so that options are read without a branch for each:
//
//   Status ReadOptions(const Config& config, Options* out) {
//     ConfigReader read(config);
//     read.Required("/host", &out->host);
//     read.Required("/port", &out->port);        // uint16_t: the range is checked
//     read.Optional("/user", &out->user);        // left as it is when not there
//     return read.status();
//   }
//
// The host has checked the config against the plugin's schema and filled in its defaults.
// Valid until Configure returns. Thread-safe.
class Config {
 public:
  Config(const vd_host_config_1* table, const vd_config* raw) : table_(table), raw_(raw) {}

  const vd_config* raw() const { return raw_; }
  uint32_t Type(std::string_view pointer) const {  // VD_CONFIG_...
    return table_->type(raw_, Str(pointer));
  }
  bool Has(std::string_view pointer) const {
    const uint32_t type = Type(pointer);
    return type != VD_CONFIG_MISSING && type != VD_CONFIG_NULL;
  }

  // Each fails with the pointer and what was expected; *out is unchanged then.
  Status Read(std::string_view pointer, std::string* out) const {
    vd_str text = {nullptr, 0};
    VIADUCT_RETURN_IF_ERROR(
        Explain(table_->get_string(raw_, Str(pointer), &text), pointer, "a string"));
    out->assign(Text(text));
    return {};
  }
  Status Read(std::string_view pointer, bool* out) const {
    uint32_t value = 0;
    VIADUCT_RETURN_IF_ERROR(
        Explain(table_->get_boolean(raw_, Str(pointer), &value), pointer, "true or false"));
    *out = value != 0;
    return {};
  }
  Status Read(std::string_view pointer, double* out) const {
    return Explain(table_->get_number(raw_, Str(pointer), out), pointer, "a number");
  }
  template <typename Integer, typename = std::enable_if_t<std::is_integral_v<Integer>>>
  Status Read(std::string_view pointer, Integer* out) const {
    int64_t value = 0;
    VIADUCT_RETURN_IF_ERROR(
        Explain(table_->get_integer(raw_, Str(pointer), &value), pointer, "an integer"));
    if (!Fits<Integer>(value)) {
      return InvalidConfig(std::string(pointer),
                           "config: " + std::to_string(value) + " at " + std::string(pointer) +
                               " is out of range, at most " +
                               std::to_string(std::numeric_limits<Integer>::max()) +
                               " is possible");
    }
    *out = static_cast<Integer>(value);
    return {};
  }
  Status Read(std::string_view pointer, std::vector<std::string>* out) const {
    uint64_t size = 0;
    VIADUCT_RETURN_IF_ERROR(Size(pointer, &size));
    std::vector<std::string> values(static_cast<size_t>(size));
    for (size_t i = 0; i < values.size(); ++i) {
      VIADUCT_RETURN_IF_ERROR(Read(std::string(pointer) + "/" + std::to_string(i), &values[i]));
    }
    *out = std::move(values);
    return {};
  }
  // The number of elements of a list or members of an object.
  Status Size(std::string_view pointer, uint64_t* out) const {
    return Explain(table_->get_size(raw_, Str(pointer), out), pointer, "a list or an object");
  }
  // The JSON text of what stands there, secrets included: do not log it.
  Status Json(std::string_view pointer, std::string* out) const {
    vd_str text = {nullptr, 0};
    VIADUCT_RETURN_IF_ERROR(
        Explain(table_->get_json(raw_, Str(pointer), &text), pointer, "a value"));
    out->assign(Text(text));
    return {};
  }

 private:
  template <typename Integer>
  static bool Fits(int64_t value) {
    if constexpr (std::is_signed_v<Integer>) {
      return value >= std::numeric_limits<Integer>::min() &&
             value <= std::numeric_limits<Integer>::max();
    } else {
      return value >= 0 && static_cast<uint64_t>(value) <= std::numeric_limits<Integer>::max();
    }
  }
  static Status Explain(int32_t code, std::string_view pointer, std::string_view expected) {
    if (code == VD_OK) return {};
    std::string what = code == VD_NOT_FOUND      ? "nothing"
                       : code == VD_OUT_OF_RANGE ? "a number that is too large"
                                                 : "another type";
    return InvalidConfig(std::string(pointer), "config: " + what + " at \"" + std::string(pointer) +
                                                   "\", expected " + std::string(expected));
  }

  const vd_host_config_1* table_;
  const vd_config* raw_;
};

// Keeps the first mistake; see Config. Thread-compatible.
class ConfigReader {
 public:
  explicit ConfigReader(const Config& config) : config_(config) {}
  template <typename T>
  ConfigReader& Required(std::string_view pointer, T* out) {
    if (status_.ok()) status_ = config_.Read(pointer, out);
    return *this;
  }
  template <typename T>
  ConfigReader& Optional(std::string_view pointer, T* out) {
    if (status_.ok() && config_.Has(pointer)) status_ = config_.Read(pointer, out);
    return *this;
  }
  const Status& status() const { return status_; }

 private:
  const Config& config_;
  Status status_;
};

}  // namespace viaduct::sdk
