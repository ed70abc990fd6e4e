#include "plugins/hailo_lpr/hailo/hailort_library.h"

#include <cstdlib>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "plugins/hailo_lpr/hailo/hailo_status.h"
#include "plugins/hailo_lpr/shared_library.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr uint32_t kMostRevision = 3;  // No version has had more.

std::vector<std::string> Names() {
  std::vector<std::string> names = {"libhailort.so"};
  for (uint32_t minor = kHailortMostMinor; minor >= kHailortLeastMinor; --minor) {
    for (uint32_t i = 0; i <= kMostRevision; ++i) {
      names.push_back(
          absl::StrCat("libhailort.so.", kHailortMajor, ".", minor, ".", kMostRevision - i));
    }
  }
  return names;
}

// The name of a function that is missing, or "".
std::string Bind(const SharedLibrary& library, hailort::Functions* functions) {
#define VD_HAILORT_BIND(name, ...)                                                            \
  functions->name =                                                                           \
      reinterpret_cast<decltype(functions->name)>(library.Find("hailo_" #name)); /* NOLINT */ \
  if (functions->name == nullptr) return "hailo_" #name;
  VD_HAILORT_FUNCTIONS(VD_HAILORT_BIND)
#undef VD_HAILORT_BIND
  return "";
}

bool Known(const hailort::Version& version) {
  return version.major == kHailortMajor && version.minor >= kHailortLeastMinor &&
         version.minor <= kHailortMostMinor;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const HailortLibrary>> HailortLibrary::Open(const std::string& path,
                                                                           BackendState* state) {
  // The library reads it as it is loaded; it would write a hailort.log into the working folder.
  setenv("HAILORT_LOGGER_PATH", "NONE", 0);
  *state = BackendState::kNoLibrary;
  const auto loaded = SharedLibrary::Open(path.empty() ? Names() : std::vector{path});
  if (!loaded.ok()) {
    return absl::NotFoundError(absl::StrCat("HailoRT: not found, ", loaded.status().message()));
  }
  *state = BackendState::kWrongLibrary;
  auto library = absl::WrapUnique(new HailortLibrary);
  library->path_ = loaded->name();
  const auto wrong = [&](absl::string_view what) {
    return absl::FailedPreconditionError(absl::StrCat("HailoRT: ", loaded->name(), " ", what));
  };
  // First the version: another one may well lack functions, and that is the reason to tell.
  hailort::Version version{};
  const auto get_version = reinterpret_cast<decltype(hailort::Functions::get_library_version)>(
      loaded->Find("hailo_get_library_version"));
  if (get_version == nullptr) return wrong("has no hailo_get_library_version");
  if (const hailort::Status status = get_version(&version); status != hailort::kSuccess) {
    return HailoError(absl::StrCat("HailoRT: ", loaded->name(), " and its version"), status);
  }
  library->version_ = absl::StrCat(version.major, ".", version.minor, ".", version.revision);
  if (!Known(version)) {
    return wrong(absl::StrCat("is version ", library->version_, ", known are ", kHailortMajor, ".",
                              kHailortLeastMinor, " to ", kHailortMajor, ".", kHailortMostMinor));
  }
  if (const std::string missing = Bind(*loaded, &library->functions_); !missing.empty()) {
    return wrong(absl::StrCat("has no ", missing));
  }
  *state = BackendState::kReady;
  return std::shared_ptr<const HailortLibrary>(std::move(library));
}

}  // namespace viaduct::hailo_lpr
