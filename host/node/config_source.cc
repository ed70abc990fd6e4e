#include "host/node/config_source.h"

#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

constexpr char kDefaultDataDir[] = "/var/lib/viaduct";
constexpr char kInstalledPlugins[] = "/usr/lib/viaduct/plugins";

void ReadLoosely(const std::string& text, Surroundings* out) {
  try {
    const YAML::Node document = YAML::Load(text);
    if (!document.IsMap()) return;
    const YAML::Node node = document["node"];
    if (node.IsMap() && node["data_dir"].IsScalar()) {
      out->data_dir = node["data_dir"].Scalar();
    }
    const YAML::Node plugins = document["plugins"];
    if (!plugins.IsMap() || !plugins["path"].IsSequence()) return;
    std::vector<std::string> folders;
    for (const YAML::Node& folder : plugins["path"]) {
      if (folder.IsScalar()) folders.push_back(folder.Scalar());
    }
    if (!folders.empty()) out->plugin_path = std::move(folders);
  } catch (const YAML::Exception&) {
    // Not YAML: the check of the document says so, with line and column.
  }
}

}  // namespace

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
  Surroundings found;
  found.data_dir = kDefaultDataDir;
  found.plugin_path = {environment.ExecutableDir() + "/../plugins", kInstalledPlugins};
  // A sound document is read with all its references; plugins are unknown yet, which is no error.
  ConfigValidator validator(nullptr, &environment);
  ConfigReport report = validator.Validate(text, "");
  if (report.ok()) {
    found.data_dir = report.config->node.data_dir;
    found.plugin_path = report.config->plugin_path;
    found.log = report.config->log;
  } else {
    ReadLoosely(std::string(text), &found);
  }
  return found;
}

std::string ProbeProgram(const ConfigEnvironment& environment) {
  for (const std::string& path : {environment.ExecutableDir() + "/viaduct-probe",
                                  std::string("/usr/lib/viaduct/viaduct-probe")}) {
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

}  // namespace viaduct
