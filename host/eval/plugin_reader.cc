#include "host/eval/plugin_reader.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/notification.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/config/validate.h"
#include "core/plugin/frames.h"

namespace viaduct::eval {
namespace {

namespace fs = std::filesystem;

constexpr char kInstance[] = "eval";
// A model is read at the start, on a small machine that may be busy.
constexpr absl::Duration kStartTimeout = absl::Minutes(2);

// Where a program of a build or of an installation has its plugins.
std::vector<std::string> PluginFolders() {
  const fs::path programs = SystemEnvironment().ExecutableDir();
  return {(programs / "../plugins").lexically_normal().string(),
          (programs / "../lib/viaduct/plugins").lexically_normal().string()};
}

bool Infers(const PluginInfo& plugin) {
  return std::find(plugin.interfaces.begin(), plugin.interfaces.end(), VD_INFER_1) !=
         plugin.interfaces.end();
}

// What the plugin said of its own accord comes with the state.
absl::Status NotStarted(const InstanceInfo& info) {
  if (info.state == InstanceState::kStarted) return absl::OkStatus();
  if (!info.reason.ok()) return info.reason;
  return absl::UnavailableError(absl::StrCat("the instance is ",
                                             AbslView(InstanceStateName(info.state)), " after ",
                                             absl::FormatDuration(kStartTimeout)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<PluginReader>> PluginReader::Open(Options options, Log* log) {
  std::unique_ptr<PluginReader> reader(new PluginReader(std::move(options), log));
  const absl::Status started = reader->Start();
  if (!started.ok()) return started;
  return reader;
}

PluginReader::PluginReader(Options options, Log* log) : options_(std::move(options)), log_(log) {}

PluginReader::~PluginReader() {
  inferer_.reset();
  if (instances_ != nullptr) instances_->StopAll(absl::Seconds(5));
}

absl::StatusOr<PluginInfo> PluginReader::FindPlugin() {
  std::string name = options_.plugin;
  PluginRegistry::Options registry;
  registry.folders = PluginFolders();
  if (absl::EndsWith(name, ".so")) {
    std::error_code error;
    const fs::path file = fs::absolute(name, error);
    registry.folders = {file.parent_path().string()};
    name = file.stem().string();
  }
  const fs::path probe = fs::path(SystemEnvironment().ExecutableDir()) / "viaduct-probe";
  std::error_code error;
  if (fs::exists(probe, error)) registry.probe_command = {probe.string()};
  registry_ = std::make_unique<PluginRegistry>(std::move(registry), log_);
  registry_->Scan();
  if (!name.empty()) {
    VD_ASSIGN_OR_RETURN(PluginInfo info, registry_->Describe(name));
    if (!info.failure.ok()) return info.failure;
    if (Infers(info)) return info;
    return absl::InvalidArgumentError(absl::StrCat(info.path, ": does not offer ", VD_INFER_1));
  }
  std::vector<std::string> names;
  for (const PluginInfo& info : registry_->List()) {
    if (info.failure.ok() && Infers(info)) names.push_back(info.name);
  }
  if (names.size() == 1) return registry_->Describe(names[0]);
  const std::string folders = absl::StrJoin(PluginFolders(), ", ");
  if (names.empty()) {
    return absl::NotFoundError(absl::StrCat("no plugin in ", folders, " offers ", VD_INFER_1));
  }
  return absl::InvalidArgumentError(absl::StrCat("several plugins offer ", VD_INFER_1,
                                                 ", name one: ", absl::StrJoin(names, ", ")));
}

absl::StatusOr<std::shared_ptr<const ConfigView>> PluginReader::CheckConfig(
    const PluginInfo& plugin) const {
  const std::string text = options_.config.empty() ? "{}" : options_.config;
  ConfigReport report =
      ConfigValidator::ValidateAgainst(text, options_.config_file, plugin.config_schema);
  if (options_.grammars.empty() || report.instance_config == nullptr) {
    if (report.instance_config == nullptr) return report.status();
    return report.instance_config;
  }
  VD_ASSIGN_OR_RETURN(const std::string_view json, report.instance_config->GetJson(""));
  nlohmann::json changed = nlohmann::json::parse(json);
  changed["grammars"] = options_.grammars;
  report = ConfigValidator::ValidateAgainst(changed.dump(), "--country", plugin.config_schema);
  if (report.instance_config == nullptr) return report.status();
  return report.instance_config;
}

absl::Status PluginReader::Start() {
  VD_ASSIGN_OR_RETURN(const PluginInfo plugin, FindPlugin());
  InstanceSpec spec;
  spec.name = kInstance;
  spec.plugin = plugin.name;
  VD_ASSIGN_OR_RETURN(spec.config, CheckConfig(plugin));
  InstancesDeps deps;
  deps.plugins = registry_.get();
  deps.clock = &clock_;
  deps.log = log_;
  InstancesOptions options;
  options.limits.configure_timeout = options.limits.start_timeout = kStartTimeout;
  instances_ = std::make_unique<Instances>(deps, std::move(options));
  const ApplyResult applied = instances_->Apply({std::move(spec)}, ApplyMode::kAllOrNothing);
  if (!applied.status.ok()) return applied.status;
  instances_->AwaitSettled(kStartTimeout);
  VD_ASSIGN_OR_RETURN(const InstanceInfo info, instances_->Get(kInstance));
  const absl::Status started = NotStarted(info);
  if (!started.ok()) return started;
  VD_ASSIGN_OR_RETURN(inferer_, instances_->inferer(kInstance));
  return absl::OkStatus();
}

absl::StatusOr<std::string> PluginReader::Read(std::string_view picture) {
  VD_ASSIGN_OR_RETURN(const std::string format, PictureFormat(picture));
  const uint32_t fourcc =
      VD_FOURCC(static_cast<uint8_t>(format[0]), static_cast<uint8_t>(format[1]),
                static_cast<uint8_t>(format[2]), static_cast<uint8_t>(format[3]));
  VD_ASSIGN_OR_RETURN(Frame frame, MakeFrame(fourcc, 0, 0, picture, kMaxPictureBytes));
  frame.source = kInstance;
  frame.deadline_ns = clock_.MonotonicNanos() + absl::ToInt64Nanoseconds(options_.timeout);
  const auto done = std::make_shared<absl::Notification>();
  const auto result = std::make_shared<InferResult>();
  VD_ASSIGN_OR_RETURN(const uint64_t ticket, inferer_->Infer(std::move(frame), options_.request,
                                                             [done, result](InferResult ended) {
                                                               *result = std::move(ended);
                                                               done->Notify();
                                                             }));
  static_cast<void>(ticket);
  done->WaitForNotification();  // The deadline ends it at the latest.
  if (result->outcome == Outcome::kDurable) return std::move(result->result_json);
  if (result->status.ok()) return absl::UnavailableError("the plugin gave no result");
  return result->status;
}

}  // namespace viaduct::eval
