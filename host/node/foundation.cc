#include "host/node/foundation.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "host/node/config_source.h"
#include "host/node/objections.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "node";

std::unique_ptr<PluginRegistry> MakeRegistry(const Surroundings& surroundings,
                                             const ConfigEnvironment& environment,
                                             std::string cache_dir, Log* log) {
  PluginRegistry::Options options;
  options.folders = surroundings.plugin_path;
  options.cache_dir = std::move(cache_dir);
  const std::string probe = ProbeProgram(environment);
  if (!probe.empty()) options.probe_command = {probe};
  return std::make_unique<PluginRegistry>(std::move(options), log);
}

LogHubOptions OptionsOf(const LogOptions& log) {
  LogHubOptions options;
  options.format = log.format;
  options.level = log.level;
  options.levels = log.levels;
  options.journald_prefix = std::getenv("JOURNAL_STREAM") != nullptr;
  return options;
}

}  // namespace

absl::StatusOr<CheckedFile> CheckConfigFile(const std::string& path) {
  CheckedFile checked;
  VD_ASSIGN_OR_RETURN(checked.text, ReadConfigFile(path));
  SystemEnvironment environment;
  NullLog log;
  auto registry = MakeRegistry(PeekSurroundings(checked.text, environment), environment, "", &log);
  registry->Scan();
  PluginSchemas schemas(registry.get());
  SystemClock clock;
  InstancesDeps deps;
  deps.plugins = registry.get();
  deps.clock = &clock;
  deps.log = &log;
  Instances none(deps, InstancesOptions());
  ConfigReport report =
      ConfigValidator(&schemas, &environment)
          .Validate(checked.text, path, [ask = AskThrough(&none)](const NodeConfig& config) {
            std::vector<Objection> objections = ObjectToStore(config);
            // Who checks a file need not be who may read the keys.
            if (objections.empty()) objections = ObjectToKeys(config, /*reads=*/false);
            return objections.empty() ? ask(config) : objections;
          });
  checked.findings = std::move(report.findings);
  checked.config = std::move(report.config);
  return checked;
}

absl::Status Foundation::Open(const std::string& config_path) {
  config_file = config_path;
  std::optional<std::string> file_text;
  if (!config_path.empty()) {
    VD_ASSIGN_OR_RETURN(file_text, ReadConfigFile(config_path));
  }
  // The file says where the revisions are; the one that is chosen says everything else.
  const Surroundings surroundings = PeekSurroundings(file_text.value_or(""), environment);
  log = std::make_unique<LogHub>(OptionsOf(surroundings.log), &clock);
  VD_ASSIGN_OR_RETURN(data_dir, DataDir::Open(surroundings.data_dir));
  VD_ASSIGN_OR_RETURN(revisions, RevisionStore::Open(data_dir->Below("config"), &clock, log.get()));
  if (file_text.has_value()) VD_RETURN_IF_ERROR(CheckFile(*file_text));
  return Choose(file_text);
}

// A file with mistakes never becomes a revision. One that was taken over before and has not changed
// is not used again, so that what has become of it does not matter.
absl::Status Foundation::CheckFile(const std::string& text) {
  if (revisions->head().has_value() && revisions->IsLastFile(text)) return absl::OkStatus();
  ConfigReport report = Check(text, config_file);
  findings = report.findings;
  return report.status();
}

void Foundation::FindPlugins(const Surroundings& surroundings) {
  if (plugins != nullptr && plugin_path_ == surroundings.plugin_path) return;
  plugin_path_ = surroundings.plugin_path;
  validator.reset();
  schemas.reset();
  plugins = MakeRegistry(surroundings, environment, data_dir->Below("plugin-cache"), log.get());
  plugins->Scan();
  schemas = std::make_unique<PluginSchemas>(plugins.get());
  validator = std::make_unique<ConfigValidator>(schemas.get(), &environment);
}

ConfigReport Foundation::Check(const std::string& text, const std::string& name) {
  FindPlugins(PeekSurroundings(text, environment));
  return validator->Validate(text, name, [this](const NodeConfig& config) {
    std::vector<Objection> objections = ObjectToMove(config, data_dir->path());
    if (objections.empty()) objections = ObjectToStore(config);
    return objections.empty() ? ObjectToKeys(config, /*reads=*/true) : objections;
  });
}

absl::Status Foundation::Choose(const std::optional<std::string>& file_text) {
  VD_ASSIGN_OR_RETURN(choice, revisions->ChooseForStart(file_text));
  if (choice.fell_back) {
    log->Error(kComponent, "fell back to an older configuration",
               {{"revision", absl::StrCat(choice.revision.number)}, {"reason", choice.reason}});
  }
  ConfigReport report = Check(choice.yaml, choice.from_file ? config_file : "config.yaml");
  if (!report.ok()) {
    // It was sound when it was applied; something it names has gone. Try what worked last.
    auto good = revisions->last_good();
    if (!good.has_value() || good->number == choice.revision.number) {
      findings = report.findings;
      return report.status();
    }
    log->Error(kComponent, "the configuration is no longer valid, going back to the last good one",
               {{"revision", absl::StrCat(choice.revision.number)},
                {"reason", StdView(report.status().message())}});
    VD_ASSIGN_OR_RETURN(choice.revision, revisions->FallBack(good->number, RevisionState::kFailed,
                                                             "no longer valid at start", "node"));
    VD_ASSIGN_OR_RETURN(choice.yaml, revisions->ReadYaml(choice.revision.number));
    report = Check(choice.yaml, "config.yaml");
    findings = report.findings;
    VD_RETURN_IF_ERROR(report.status());
  }
  findings = std::move(report.findings);
  config = *std::move(report.config);
  log->SetFormat(config.log.format);
  log->Configure(config.log.level, config.log.levels);
  return revisions->MarkStarting();
}

void PrintFindings(const std::vector<Finding>& findings, std::FILE* out) {
  for (const auto& finding : findings) {
    std::fprintf(out, "%s\n", FormatFinding(finding).c_str());
  }
}

}  // namespace viaduct
