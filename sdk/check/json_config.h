// viaduct.host.config/1 over a JSON document.
#pragma once

#include <deque>
#include <string>

#include "nlohmann/json.hpp"
#include "viaduct/abi/config.h"

namespace viaduct::check {

// Lives on the stack around one configure call: what it lent is gone afterwards. Thread-compatible.
class JsonConfig {
 public:
  explicit JsonConfig(nlohmann::json document) : document_(std::move(document)) {}
  JsonConfig(const JsonConfig&) = delete;
  JsonConfig& operator=(const JsonConfig&) = delete;

  const vd_config* raw() const { return reinterpret_cast<const vd_config*>(this); }
  static const vd_host_config_1* Table();

 private:
  static const JsonConfig& Of(const vd_config* config) {
    return *reinterpret_cast<const JsonConfig*>(config);
  }
  static const nlohmann::json* Find(const vd_config* config, vd_str pointer);
  static uint32_t Type(const vd_config* config, vd_str pointer);
  static int32_t GetString(const vd_config* config, vd_str pointer, vd_str* out);
  static int32_t GetInteger(const vd_config* config, vd_str pointer, int64_t* out);
  static int32_t GetNumber(const vd_config* config, vd_str pointer, double* out);
  static int32_t GetBoolean(const vd_config* config, vd_str pointer, uint32_t* out);
  static int32_t GetSize(const vd_config* config, vd_str pointer, uint64_t* out);
  static int32_t GetJson(const vd_config* config, vd_str pointer, vd_str* out);

  const nlohmann::json document_;
  mutable std::deque<std::string> lent_;
};

}  // namespace viaduct::check
