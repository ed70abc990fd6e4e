#include "core/security/key_ring.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"
#include "core/security/aes_gcm.h"
#include "core/security/secret_octets.h"

namespace viaduct::security {
namespace {

bool IsId(std::string_view id) {
  if (id.empty() || id.size() > KeyRing::kMaxIdBytes) return false;
  for (const char c : id) {
    const bool good =
        absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
    if (!good) return false;
  }
  return true;
}

}  // namespace

KeyRing::~KeyRing() {
  for (Key& key : keys_) Wipe(&key.key);
}

absl::Status KeyRing::Add(std::string_view line) {
  if (keys_.size() >= kMaxKeys) {
    return absl::InvalidArgumentError(absl::StrCat("more than ", kMaxKeys, " keys"));
  }
  const size_t blank = line.find(' ');
  Key key{std::string(line.substr(0, blank)), ""};
  if (blank == std::string_view::npos || !IsId(key.id)) {
    return absl::InvalidArgumentError("want an id, a blank and a key");
  }
  if (Find(key.id) != nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("the id ", key.id, " comes twice"));
  }
  const absl::string_view encoded = absl::StripAsciiWhitespace(AbslView(line.substr(blank + 1)));
  if (!DecodeBase64(StdView(encoded), &key.key) || key.key.size() != kGcmKeyBytes) {
    Wipe(&key.key);
    return absl::InvalidArgumentError(
        absl::StrCat("key ", key.id, " is not base64 of ", kGcmKeyBytes, " octets"));
  }
  keys_.push_back(std::move(key));
  return absl::OkStatus();
}

absl::StatusOr<KeyRing> KeyRing::Parse(std::string_view text) {
  KeyRing ring;
  int number = 0;
  for (const absl::string_view raw : absl::StrSplit(AbslView(text), '\n')) {
    ++number;
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (line.empty() || line.front() == '#') continue;
    const absl::Status added = ring.Add(StdView(line));
    if (!added.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("keys: line ", number, ", ", added.message()));
    }
  }
  if (ring.keys_.empty()) return absl::InvalidArgumentError("keys: there is none");
  return ring;
}

absl::StatusOr<KeyRing> KeyRing::Load(const std::string& path) {
  VD_ASSIGN_OR_RETURN(std::string text, ReadProtected(path, kMaxFileBytes));
  absl::StatusOr<KeyRing> ring = Parse(text);
  Wipe(&text);
  if (ring.ok()) return ring;
  return absl::Status(ring.status().code(), absl::StrCat(path, ": ", ring.status().message()));
}

const std::string* KeyRing::Find(std::string_view id) const {
  for (const Key& key : keys_) {
    if (key.id == id) return &key.key;
  }
  return nullptr;
}

std::vector<std::string> KeyRing::ids() const {
  std::vector<std::string> ids;
  for (const Key& key : keys_) ids.push_back(key.id);
  return ids;
}

}  // namespace viaduct::security
