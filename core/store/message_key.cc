#include "core/store/message_key.h"

#include <algorithm>
#include <cstring>

#include "core/base/ids.h"
#include "core/base/sha256.h"

namespace viaduct {
namespace {

constexpr size_t kDerivedIdChars = 42;  // "d-" and 40 hexadecimal digits.
constexpr size_t kTimeOctets = 6;

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// RFC 9562: version 8 (made by the application's own rule) and the variant.
void MarkVersion8(MessageKey* key) {
  (*key)[6] = static_cast<uint8_t>(((*key)[6] & 0x0f) | 0x80);
  (*key)[8] = static_cast<uint8_t>(((*key)[8] & 0x3f) | 0x80);
}

// Digits at text[0..2n) into n octets.
bool ReadHex(std::string_view text, uint8_t* out, size_t octets) {
  for (size_t i = 0; i < octets; ++i) {
    const int high = HexValue(text[2 * i]);
    const int low = HexValue(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return true;
}

bool FromDerivedId(std::string_view id, absl::Time captured, MessageKey* key) {
  if (id.size() != kDerivedIdChars || id.substr(0, 2) != "d-") return false;
  if (!ReadHex(id.substr(2), key->data() + kTimeOctets, key->size() - kTimeOctets)) return false;
  const auto ms = static_cast<uint64_t>(std::max<int64_t>(0, absl::ToUnixMillis(captured)));
  for (size_t i = 0; i < kTimeOctets; ++i) {
    (*key)[i] = static_cast<uint8_t>(ms >> (8 * (kTimeOctets - 1 - i)));
  }
  MarkVersion8(key);
  return true;
}

MessageKey FromText(std::string_view message_id, std::string_view camera_id, absl::Time captured) {
  // Length before text: ("ab", "c") and ("a", "bc") must not meet.
  std::string text = std::to_string(camera_id.size());
  text.append(":").append(camera_id);
  text.append(std::to_string(absl::ToUnixMillis(captured))).append(":").append(message_id);
  const std::string digest = Sha256(text);
  MessageKey key;
  std::memcpy(key.data(), digest.data(), key.size());
  MarkVersion8(&key);
  return key;
}

}  // namespace

bool ParseKey(std::string_view text, MessageKey* key) {
  if (!IsUuid(text)) return false;
  std::string digits;
  digits.reserve(2 * key->size());
  for (const char c : text) {
    if (c != '-') digits.push_back(c);
  }
  return ReadHex(digits, key->data(), key->size());
}

MessageKey MakeMessageKey(std::string_view message_id, std::string_view camera_id,
                          absl::Time captured) {
  MessageKey key;
  if (ParseKey(message_id, &key) && key != MessageKey{}) return key;
  if (FromDerivedId(message_id, captured, &key)) return key;
  return FromText(message_id, camera_id, captured);
}

std::string FormatKey(const MessageKey& key) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(36);
  for (size_t i = 0; i < key.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out.push_back('-');
    out.push_back(kDigits[key[i] >> 4]);
    out.push_back(kDigits[key[i] & 15]);
  }
  return out;
}

}  // namespace viaduct
