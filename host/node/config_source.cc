#include "host/node/config_source.h"

#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/program.h"

namespace viaduct {

absl::StatusOr<std::string> ReadConfigFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("config: ", path, " cannot be read"));
  std::string text;
  text.resize(kMaxConfigBytes + 1);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxConfigBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("config: ", path, " is larger than ", kMaxConfigBytes, " bytes"));
  }
  return text;
}

Surroundings PeekSurroundings(std::string_view text, const ConfigEnvironment& environment) {
  ConfigPreview preview = PreviewConfig(text, environment);
  return {std::move(preview.data_dir), std::move(preview.plugin_path), std::move(preview.log)};
}

std::string ProbeProgram(const ConfigEnvironment& environment) {
  return FindProgram("viaduct-probe", {environment.ExecutableDir(), "/usr/lib/viaduct"});
}

}  // namespace viaduct
