#include "core/transfer/remote_name.h"

#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/string_view.h"
#include "core/observe/utf8.h"

namespace viaduct {
namespace {

constexpr std::string_view kOurs = ".viaduct";  // Names that receivers ignore.
constexpr size_t kShownBytes = 256;

absl::Status Bad(std::string_view name, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("name: ", AbslView(why), ", \"",
                   absl::CHexEscape(AbslView(name.substr(0, kShownBytes))), "\""));
}

bool IsControl(uint32_t code) { return code < 0x20 || (code >= 0x7f && code < 0xa0); }

absl::Status CheckCharacters(std::string_view name) {
  uint32_t code = 0;
  for (size_t at = 0; at < name.size();) {
    const size_t length = DecodeUtf8(name, at, &code);
    if (length == 0) return Bad(name, "not UTF-8");
    if (IsControl(code)) return Bad(name, "a control character");
    at += length;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckRemoteName(std::string_view name) {
  if (name.empty()) return Bad(name, "missing");
  if (name.size() > kMaxRemoteNameBytes) {
    return Bad(name, absl::StrCat("longer than ", kMaxRemoteNameBytes, " bytes"));
  }
  for (const auto part : absl::StrSplit(AbslView(name), '/')) {
    const std::string_view component = StdView(part);
    if (component.empty()) return Bad(name, "an empty component");
    if (component == "." || component == "..") return Bad(name, "a component that is . or ..");
    if (component.size() > kMaxRemoteComponentBytes) {
      return Bad(name,
                 absl::StrCat("a component longer than ", kMaxRemoteComponentBytes, " bytes"));
    }
    if (component.substr(0, kOurs.size()) == kOurs) {
      return Bad(name, "a component that begins with .viaduct");
    }
  }
  return CheckCharacters(name);
}

absl::StatusOr<std::string> MakeRemoteName(std::string_view device, std::string_view wanted,
                                           std::string_view local_path, absl::Time captured) {
  if (device.find('/') != std::string_view::npos) {
    return Bad(device, "a device id with a slash cannot be a folder");
  }
  std::string name = absl::StrCat(AbslView(device), "/", AbslView(wanted));
  if (wanted.empty()) {
    const std::string_view base = local_path.substr(local_path.rfind('/') + 1);
    absl::StrAppend(&name, absl::FormatTime("%E4Y/%m/%d/", captured, absl::UTCTimeZone()),
                    AbslView(base));
  }
  const absl::Status good = CheckRemoteName(name);
  return good.ok() ? absl::StatusOr<std::string>(std::move(name)) : good;
}

}  // namespace viaduct
