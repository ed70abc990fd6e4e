#include "plugins/common/remote_name.h"

#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "plugins/common/local_file.h"

namespace viaduct {
namespace {

constexpr size_t kPartDigits = 32;
constexpr uint32_t kNone = 0xFFFFFFFF;

// Takes the first character off `text`; kNone: it is not UTF-8.
uint32_t TakeCharacter(std::string_view* text) {
  const auto octet = [&](size_t i) { return static_cast<uint8_t>((*text)[i]); };
  const uint8_t first = octet(0);
  const size_t more = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
  constexpr uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
  if ((first >= 0x80 && first < 0xC2) || first > 0xF4 || text->size() <= more) return kNone;
  uint32_t value = more == 0 ? first : first & (0x3Fu >> more);
  for (size_t i = 1; i <= more; ++i) {
    if ((octet(i) & 0xC0) != 0x80) return kNone;
    value = value << 6 | (octet(i) & 0x3F);
  }
  text->remove_prefix(more + 1);
  const bool surrogate = value >= 0xD800 && value < 0xE000;
  return value < kLeast[more] || value > 0x10FFFF || surrogate ? kNone : value;
}

bool IsControl(uint32_t character) {
  return character < 0x20 || (character >= 0x7F && character < 0xA0);
}

const char* WrongWithText(std::string_view text) {
  while (!text.empty()) {
    const uint32_t character = TakeCharacter(&text);
    if (character == kNone) return "is not UTF-8";
    if (IsControl(character)) return "has a control character";
  }
  return nullptr;
}

const char* WrongWithComponent(std::string_view component) {
  if (component.empty()) return "is absolute or has an empty component";
  if (component == "." || component == "..") return "leaves its folder";
  if (component.size() > kMaxRemoteComponentBytes) return "has a component above 200 bytes";
  if (component.substr(0, kReservedPrefix.size()) == kReservedPrefix) {
    return "has a component that begins with .viaduct";
  }
  return nullptr;
}

const char* WrongWith(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kMaxRemoteNameBytes) return "is above 1024 bytes";
  if (const char* wrong = WrongWithText(name)) return wrong;
  while (true) {
    const size_t slash = name.find('/');
    if (const char* wrong = WrongWithComponent(name.substr(0, slash))) return wrong;
    if (slash == std::string_view::npos) return nullptr;
    name.remove_prefix(slash + 1);
  }
}

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::Status CheckRemoteName(std::string_view name) {
  const char* wrong = WrongWith(name);
  if (wrong == nullptr) return absl::OkStatus();
  const std::string shown = absl::CHexEscape(Absl(name.substr(0, kMaxRemoteComponentBytes)));
  return absl::InvalidArgumentError(absl::StrCat("remote name: \"", shown, "\" ", wrong));
}

std::string_view FolderOf(std::string_view name) {
  const size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : name.substr(0, slash);
}

std::string PartName(std::string_view name, std::string_view sha256) {
  std::string digits(sha256);
  if (digits.empty()) {
    Sha256 digest;
    digest.Update("name:");
    digest.Update(name);
    digits = digest.Hex();
  }
  const std::string_view folder = FolderOf(name);
  return absl::StrCat(Absl(folder), folder.empty() ? "" : "/", Absl(kReservedPrefix), "-",
                      digits.substr(0, kPartDigits), ".part");
}

}  // namespace viaduct
