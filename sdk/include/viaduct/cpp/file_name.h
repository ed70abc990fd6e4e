// Names of files on a server, as host and roads for files (viaduct.file/1) keep to them: what a
// job's remote_name may be. The host has checked it; a road checks again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace viaduct::sdk {

inline constexpr size_t kMaxFileNameBytes = 1024;
inline constexpr size_t kMaxFileNameComponentBytes = 200;
inline constexpr size_t kMaxFileNameComponents = 16;
// Names that begin so are those of a road while a file is on its way; receivers look past them.
inline constexpr std::string_view kReservedFilePrefix = ".viaduct";

namespace file_name {

inline constexpr uint32_t kNoCharacter = 0xFFFFFFFF;

// Takes the first character off `text`, which is not empty; kNoCharacter: it is not UTF-8.
inline uint32_t TakeCharacter(std::string_view* text) {
  const auto octet = [&](size_t i) { return static_cast<uint8_t>((*text)[i]); };
  const uint8_t first = octet(0);
  const size_t more = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
  constexpr uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
  if ((first >= 0x80 && first < 0xC2) || first > 0xF4 || text->size() <= more) return kNoCharacter;
  uint32_t value = more == 0 ? first : first & (0x3Fu >> more);
  for (size_t i = 1; i <= more; ++i) {
    if ((octet(i) & 0xC0) != 0x80) return kNoCharacter;
    value = value << 6 | (octet(i) & 0x3F);
  }
  text->remove_prefix(more + 1);
  const bool surrogate = value >= 0xD800 && value < 0xE000;
  return value < kLeast[more] || value > 0x10FFFF || surrogate ? kNoCharacter : value;
}

inline bool IsControl(uint32_t character) {
  return character < 0x20 || (character >= 0x7F && character < 0xA0);
}

inline const char* WrongWithText(std::string_view text) {
  while (!text.empty()) {
    const uint32_t character = TakeCharacter(&text);
    if (character == kNoCharacter) return "is not UTF-8";
    if (IsControl(character)) return "has a control character";
  }
  return nullptr;
}

inline const char* WrongWithComponent(std::string_view component) {
  if (component.empty()) return "is absolute or has an empty component";
  if (component == "." || component == "..") return "leaves its folder";
  if (component.size() > kMaxFileNameComponentBytes) return "has a component above 200 bytes";
  if (component.substr(0, kReservedFilePrefix.size()) == kReservedFilePrefix) {
    return "has a component that begins with .viaduct";
  }
  return nullptr;
}

}  // namespace file_name

// Null unless `name` is relative, '/' between folders, UTF-8 without control characters, within the
// limits above, and has no component that is empty, "." or "..", or begins with
// kReservedFilePrefix. Else why not, to be said behind the name. Spaces, quotes, leading dashes and
// '*' are fine.
inline const char* WrongWithFileName(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kMaxFileNameBytes) return "is above 1024 bytes";
  if (const char* wrong = file_name::WrongWithText(name)) return wrong;
  for (size_t i = 0;; ++i) {
    if (i == kMaxFileNameComponents) return "has more than 16 components";
    const size_t slash = name.find('/');
    if (const char* wrong = file_name::WrongWithComponent(name.substr(0, slash))) return wrong;
    if (slash == std::string_view::npos) return nullptr;
    name.remove_prefix(slash + 1);
  }
}

}  // namespace viaduct::sdk
