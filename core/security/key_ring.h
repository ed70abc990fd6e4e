// Keys of payload encryption by id: the first encrypts, all of them decrypt, so that keys change
// without a moment in which something can not be read.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace viaduct::security {

// Thread-safe: it does not change.
class KeyRing {
 public:
  static constexpr size_t kMaxKeys = 16;
  static constexpr size_t kMaxIdBytes = 64;
  static constexpr size_t kMaxFileBytes = 16'384;

  // A file of mode 0600, a key a line: an id of letters, digits, '-', '_' and '.', a blank, and
  // base64 of 32 octets (`openssl rand -base64 32`). Empty lines and lines with '#' at the start
  // are looked past. FAILED_PRECONDITION: others may read it. INVALID_ARGUMENT names the line.
  static absl::StatusOr<KeyRing> Load(const std::string& path);
  static absl::StatusOr<KeyRing> Parse(std::string_view text);

  KeyRing(KeyRing&&) = default;
  KeyRing& operator=(KeyRing&&) = default;
  ~KeyRing();  // Overwrites the keys.

  const std::string& active_id() const { return keys_.front().id; }
  const std::string& active_key() const { return keys_.front().key; }
  // Null: there is none.
  const std::string* Find(std::string_view id) const;
  std::vector<std::string> ids() const;

 private:
  struct Key {
    std::string id;
    std::string key;
  };
  KeyRing() = default;
  absl::Status Add(std::string_view line);
  std::vector<Key> keys_;
};

}  // namespace viaduct::security
