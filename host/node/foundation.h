// What a node stands on before anything of its configuration runs: folder, log, plugins known, and
// the configuration that this start uses.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/config/node_config.h"
#include "core/config/revision_store.h"
#include "core/config/validate.h"
#include "core/observe/log_hub.h"
#include "core/plugin/registry.h"
#include "host/node/config_source.h"
#include "host/node/data_dir.h"
#include "host/node/plugin_schemas.h"

namespace viaduct {

// Reads and checks a file without touching anything: --check.
struct CheckedFile {
  std::string text;
  std::vector<Finding> findings;
  std::optional<NodeConfig> config;
};
absl::StatusOr<CheckedFile> CheckConfigFile(const std::string& path);

// Members are in the order in which they need each other. Thread-compatible.
struct Foundation {
  SystemClock clock;
  SystemEnvironment environment;
  std::string config_file;  // "" when the node runs from its stored revisions alone.
  std::unique_ptr<LogHub> log;
  std::unique_ptr<DataDir> data_dir;
  std::unique_ptr<PluginRegistry> plugins;
  std::unique_ptr<PluginSchemas> schemas;
  std::unique_ptr<ConfigValidator> validator;
  std::unique_ptr<RevisionStore> revisions;
  NodeConfig config;
  RevisionStore::StartChoice choice;
  std::vector<Finding> findings;  // Errors that stopped it, or warnings.

  // Opens everything and chooses the configuration. INVALID_ARGUMENT: `findings` say why.
  absl::Status Open(const std::string& config_path);

 private:
  absl::Status CheckFile(const std::string& text);
  // Chooses, and falls back where the choice is no longer valid.
  absl::Status Choose(const std::optional<std::string>& file_text);
  // With the plugins that the text itself names.
  ConfigReport Check(const std::string& text, const std::string& name);
  void FindPlugins(const Surroundings& surroundings);

  std::vector<std::string> plugin_path_;  // Of `plugins`.
};

// Writes findings as compilers do, one a line.
void PrintFindings(const std::vector<Finding>& findings, std::FILE* out);

}  // namespace viaduct
