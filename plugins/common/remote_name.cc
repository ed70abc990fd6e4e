#include "plugins/common/remote_name.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "plugins/common/local_file.h"
#include "viaduct/cpp/file_name.h"

namespace viaduct {
namespace {

constexpr size_t kPartDigits = 32;
constexpr size_t kShownBytes = 200;  // Of a name that is refused.

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::Status CheckRemoteName(std::string_view name) {
  const char* wrong = sdk::WrongWithFileName(name);
  if (wrong == nullptr) return absl::OkStatus();
  const std::string shown = absl::CHexEscape(Absl(name.substr(0, kShownBytes)));
  return absl::InvalidArgumentError(absl::StrCat("remote name: \"", shown, "\" ", wrong));
}

std::string_view FolderOf(std::string_view name) {
  const size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : name.substr(0, slash);
}

std::string PartName(std::string_view name, std::string_view sha256, std::string_view road) {
  constexpr std::string_view kBetween("\0", 1);  // Is in none of them.
  Sha256 digest;
  for (const std::string_view one : {name, sha256, road}) {
    digest.Update(one);
    digest.Update(kBetween);
  }
  const std::string digits = digest.Hex();
  const std::string_view folder = FolderOf(name);
  return absl::StrCat(Absl(folder), folder.empty() ? "" : "/", Absl(sdk::kReservedFilePrefix), "-",
                      digits.substr(0, kPartDigits), ".part");
}

}  // namespace viaduct
