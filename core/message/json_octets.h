// What the JSON scanner and the JSON text functions both look at, octet by octet. Inline, because
// it is the innermost loop of ingest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace viaduct::json_octets {

inline constexpr uint64_t kOnes = 0x0101010101010101ULL;
inline constexpr uint64_t kHighs = 0x8080808080808080ULL;

// High bit set in every byte of `word` that needs a look: below 0x20, '"', '\\' or not ASCII. May
// flag a byte above a flagged one wrongly, which only costs the look.
inline uint64_t Special(uint64_t word) {
  const uint64_t control = word - kOnes * 0x20;
  const uint64_t quote = (word ^ (kOnes * 0x22)) - kOnes;
  const uint64_t backslash = (word ^ (kOnes * 0x5c)) - kOnes;
  return (control | quote | backslash | word) & kHighs;
}

// Length of the valid UTF-8 sequence that starts at data[0] >= 0x80; 0 when invalid.
inline size_t Utf8Length(const unsigned char* data, size_t size) {
  const unsigned char c = data[0];
  const auto tail = [&](size_t i) { return i < size && (data[i] & 0xc0) == 0x80; };
  if (c < 0xc2) return 0;
  if (c < 0xe0) return tail(1) ? 2 : 0;
  if (c < 0xf0) {
    if (!tail(1) || !tail(2)) return 0;
    if (c == 0xe0 && data[1] < 0xa0) return 0;
    if (c == 0xed && data[1] >= 0xa0) return 0;
    return 3;
  }
  if (c > 0xf4 || !tail(1) || !tail(2) || !tail(3)) return 0;
  if (c == 0xf0 && data[1] < 0x90) return 0;
  if (c == 0xf4 && data[1] >= 0x90) return 0;
  return 4;
}

inline const unsigned char* Bytes(std::string_view text, size_t offset) {
  return reinterpret_cast<const unsigned char*>(text.data()) + offset;
}

inline int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Four hexadecimal digits at text[pos]; -1 when they are not there.
inline int HexQuad(std::string_view text, size_t pos) {
  if (pos + 4 > text.size()) return -1;
  int value = 0;
  for (size_t i = 0; i < 4; ++i) {
    const int digit = HexValue(text[pos + i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

inline bool IsHighSurrogate(int unit) { return unit >= 0xd800 && unit < 0xdc00; }
inline bool IsLowSurrogate(int unit) { return unit >= 0xdc00 && unit < 0xe000; }

}  // namespace viaduct::json_octets
