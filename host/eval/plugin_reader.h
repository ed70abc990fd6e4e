// An inference plugin in this very process, loaded and looked after as a node does it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/observe/log.h"
#include "core/plugin/instances.h"
#include "core/plugin/registry.h"
#include "host/eval/picture_reader.h"

namespace viaduct::eval {

// Lives on one thread.
class PluginReader final : public PictureReader {
 public:
  struct Options {
    std::string plugin;       // A file, or a name in the folders; "": the one that infers.
    std::string config;       // YAML or JSON of the instance's options.
    std::string config_file;  // Goes into messages only.
    std::vector<std::string> grammars;           // Not empty: in place of the option `grammars`.
    std::string request;                         // JSON object that goes with each picture.
    absl::Duration timeout = absl::Seconds(60);  // Of one picture.
  };

  // Loads the plugin and starts an instance of it. INVALID_ARGUMENT: the options, with every
  // mistake; NOT_FOUND: no such plugin; else why it does not start.
  static absl::StatusOr<std::unique_ptr<PluginReader>> Open(Options options, Log* log);
  ~PluginReader() override;

  absl::StatusOr<std::string> Read(std::string_view picture) override;

 private:
  PluginReader(Options options, Log* log);
  absl::Status Start();
  absl::StatusOr<PluginInfo> FindPlugin();
  absl::StatusOr<std::shared_ptr<const ConfigView>> CheckConfig(const PluginInfo& plugin) const;

  const Options options_;
  Log* const log_;
  SystemClock clock_;
  std::unique_ptr<PluginRegistry> registry_;
  std::unique_ptr<Instances> instances_;
  std::shared_ptr<Inferer> inferer_;
};

}  // namespace viaduct::eval
