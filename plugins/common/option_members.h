// The members of an instance's configuration, read by name.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace viaduct {

// Remembers the first mistake. A member of the wrong type is one, which only a host that skipped
// the schema lets through. Thread-compatible.
class OptionMembers {
 public:
  using Json = nlohmann::json;

  explicit OptionMembers(Json config) : config_(std::move(config)) {}

  bool Has(const char* key) const { return config_.contains(key); }
  // Of a member that is there: has it that value, written as JSON?
  bool Is(const char* key, const char* json) const { return config_[key] == Json::parse(json); }

  template <typename T>
  void Read(const char* key, T* out) {
    const auto it = config_.find(key);
    if (it == config_.end()) return;
    try {
      it->get_to(*out);
    } catch (const Json::exception&) {
      Mistake(key, absl::StrCat("of the wrong type, ", it->type_name()));
    }
  }

  void ReadSeconds(const char* key, absl::Duration* out) {
    double seconds = absl::ToDoubleSeconds(*out);
    Read(key, &seconds);
    *out = absl::Seconds(seconds);
  }

  void Mistake(const char* key, const std::string& what) {
    if (!wrong_pointer_.empty()) return;
    wrong_pointer_ = absl::StrCat("/", key);
    wrong_message_ = absl::StrCat(key, ": ", what);
  }

  // Empty: none is wrong.
  const std::string& wrong_pointer() const { return wrong_pointer_; }
  const std::string& wrong_message() const { return wrong_message_; }

 private:
  const Json config_;
  std::string wrong_pointer_;
  std::string wrong_message_;
};

// "host:port" or "[v6]:port".
inline bool ReadListen(const std::string& listen, std::string* host, int* port) {
  constexpr int kMaxPort = 65535;
  const size_t colon = listen.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  *host = listen.substr(0, colon);
  if (host->size() > 2 && host->front() == '[' && host->back() == ']') {
    *host = host->substr(1, host->size() - 2);
  }
  return absl::SimpleAtoi(listen.substr(colon + 1), port) && *port >= 0 && *port <= kMaxPort;
}

}  // namespace viaduct
