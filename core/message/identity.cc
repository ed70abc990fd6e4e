#include "core/message/identity.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/sha256.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

constexpr size_t kDerivedIdBytes = 20;  // Of the digest: 160 bits.

// Length before text: ("ab", "c") and ("a", "bc") must not meet.
void AppendPart(std::string_view part, std::string* out) {
  absl::StrAppend(out, part.size(), ":", AbslView(part));
}

}  // namespace

int IdentityRank(std::string_view member_name) {
  for (size_t i = 0; i < kIdentityAliases.size(); ++i) {
    if (kIdentityAliases[i] == member_name) return static_cast<int>(i);
  }
  return -1;
}

absl::Status CheckIdentifier(std::string_view id, size_t max_bytes) {
  if (id.empty()) return absl::InvalidArgumentError("empty");
  if (id.size() > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("too long, ", id.size(), " bytes, limit ", max_bytes));
  }
  for (const char c : id) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      return absl::InvalidArgumentError(
          absl::StrCat("control character, \"", absl::Utf8SafeCHexEscape(AbslView(id)), "\""));
    }
  }
  return IsValidUtf8(id) ? absl::OkStatus() : absl::InvalidArgumentError("invalid UTF-8");
}

std::string DeriveMessageId(const MessageKeyParts& parts) {
  std::string key;
  AppendPart(parts.camera_id, &key);
  AppendPart(parts.checkpoint_id, &key);
  AppendPart(FormatTimestamp(parts.captured), &key);
  AppendPart(DataTypeName(parts.data_type), &key);
  AppendPart(Sha256(parts.content), &key);
  const std::string digest = Sha256(key);
  return absl::StrCat("d-",
                      absl::BytesToHexString(absl::string_view(digest).substr(0, kDerivedIdBytes)));
}

}  // namespace viaduct
