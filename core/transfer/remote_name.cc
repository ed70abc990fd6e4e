#include "core/transfer/remote_name.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "viaduct/cpp/file_name.h"

namespace viaduct {
namespace {

constexpr size_t kShownBytes = 256;

absl::Status Bad(std::string_view name, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "name: \"", absl::CHexEscape(AbslView(name.substr(0, kShownBytes))), "\" ", AbslView(why)));
}

}  // namespace

absl::Status CheckRemoteName(std::string_view name) {
  const char* wrong = sdk::WrongWithFileName(name);
  return wrong == nullptr ? absl::OkStatus() : Bad(name, wrong);
}

absl::StatusOr<std::string> MakeRemoteName(std::string_view device, std::string_view wanted,
                                           std::string_view local_path, absl::Time captured) {
  if (device.find('/') != std::string_view::npos) {
    return Bad(device, "is a device id with a slash, which cannot be a folder");
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

std::string NameOfItsOwn(std::string_view name, std::string_view id) {
  const size_t base = name.rfind('/') + 1;
  return absl::StrCat(AbslView(name.substr(0, base)), AbslView(id), "/",
                      AbslView(name.substr(base)));
}

}  // namespace viaduct
