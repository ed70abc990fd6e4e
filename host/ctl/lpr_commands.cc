#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "host/ctl/arguments.h"
#include "host/ctl/lpr_report.h"
#include "host/ctl/node_picture_reader.h"
#include "host/ctl/session.h"
#include "host/eval/evaluate.h"
#include "host/eval/plugin_reader.h"

namespace viaduct::ctl {
namespace {

constexpr char kRequest[] = R"({"alternatives":1,"crops":false})";
// --country of this name takes for each set the grammar that is called like its folder.
constexpr char kBySet[] = "by-set";

struct EvalArguments {
  std::string folder;
  std::string plugin;
  std::string options;
  std::vector<std::string> countries;
  bool node = false;
  std::string instance;
  bool list = false;
};

// Warnings of the plugin go to stderr, as those of this program do.
class WarningLog final : public Log {
 public:
  bool Enabled(LogLevel level, std::string_view) const override {
    return level >= LogLevel::kWarning;
  }
  void Write(LogLevel, std::string_view component, std::string_view message,
             absl::Span<const LogField> fields) override {
    std::string line = absl::StrCat("viaductctl: ", AbslView(component), ": ", AbslView(message));
    for (const LogField& field : fields) {
      absl::StrAppend(&line, " ", AbslView(field.key), "=", AbslView(field.value));
    }
    std::cerr << line + "\n";
  }
};

ExitCode Fail(const absl::Status& status) {
  std::cerr << "viaductctl: " << status.message() << "\n";
  if (absl::IsInvalidArgument(status)) return kInvalid;
  if (absl::IsNotFound(status)) return kNotFound;
  return kFailed;
}

bool BySet(const EvalArguments& arguments) {
  return arguments.countries == std::vector<std::string>{kBySet};
}

absl::StatusOr<std::unique_ptr<eval::PictureReader>> OpenReader(Session* session,
                                                                const EvalArguments& arguments,
                                                                const std::string& set,
                                                                const std::string& config,
                                                                Log* log) {
  if (arguments.node) {
    return std::make_unique<NodePictureReader>(session, arguments.instance, kRequest);
  }
  eval::PluginReader::Options options;
  options.plugin = arguments.plugin;
  options.config = config;
  options.config_file = arguments.options;
  options.request = kRequest;
  options.grammars = arguments.countries;
  if (BySet(arguments)) options.grammars = {set};
  return eval::PluginReader::Open(std::move(options), log);
}

// A set is looked at with an instance of its own where it has a grammar of its own.
ExitCode Evaluate(Session* session, const EvalArguments& arguments, const std::string& config,
                  std::vector<eval::SetResult>* results) {
  const absl::StatusOr<std::vector<eval::PictureSet>> sets = eval::ReadSets(arguments.folder);
  if (!sets.ok()) return Fail(sets.status());
  WarningLog log;
  std::unique_ptr<eval::PictureReader> reader;
  for (const eval::PictureSet& set : *sets) {
    if (reader == nullptr || BySet(arguments)) {
      reader.reset();
      auto opened = OpenReader(session, arguments, set.name, config, &log);
      if (!opened.ok()) return Fail(opened.status());
      reader = *std::move(opened);
    }
    absl::StatusOr<eval::SetResult> result = eval::Evaluate(set, reader.get(), arguments.list);
    if (!result.ok()) return Fail(result.status());
    results->push_back(*std::move(result));
  }
  return kOk;
}

// What was not looked at may not pass for a good figure.
ExitCode CodeOf(const std::vector<eval::SetResult>& results) {
  const eval::Tally total = eval::Total(results);
  bool all = total.unreadable == 0;
  for (const eval::SetResult& set : results) all = all && set.without.empty() && set.bad.empty();
  if (total.images == 0) {
    std::cerr << "viaductctl: no picture with ground truth could be looked at\n";
    return kNotFound;
  }
  return all ? kOk : kInvalid;
}

ExitCode RunEval(Session* session, const EvalArguments& arguments) {
  std::string config;
  if (!arguments.options.empty() && !ReadInput(arguments.options, &config)) return kInvalid;
  std::vector<eval::SetResult> results;
  const ExitCode code = Evaluate(session, arguments, config, &results);
  if (code != kOk) return code;
  if (session->json()) {
    PrintReportJson(results, arguments.list, std::cout);
    return CodeOf(results);
  }
  if (arguments.list) {
    for (const eval::SetResult& set : results) PrintList(set, std::cout);
    std::cout << "\n";
  }
  PrintReport(results, std::cout);
  return CodeOf(results);
}

}  // namespace

void AddLprCommands(CLI::App* app, Session* session) {
  CLI::App* lpr = app->add_subcommand("lpr", "reading of plates");
  lpr->require_subcommand(1);
  auto arguments = std::make_shared<EvalArguments>();
  CLI::App* eval = AddCommand(lpr, session, "eval",
                              "figures over pictures of which it is known what their plates say",
                              [session, arguments] { return RunEval(session, *arguments); });
  eval->add_option("folder", arguments->folder, "pictures with ground truth, or folders of them")
      ->required();
  auto* plugin =
      eval->add_option("--plugin", arguments->plugin,
                       "file of the plugin, or its name (default: the one that infers, among those "
                       "that are installed with this program)");
  auto* options = eval->add_option("--options", arguments->options,
                                   "YAML file with the options of the instance");
  auto* country = eval->add_option("--country", arguments->countries,
                                   "grammars to choose by, in place of the options'; by-set: for "
                                   "each folder the one of its name");
  country->delimiter(',');
  auto* node = eval->add_flag("--node", arguments->node,
                              "by the node at --socket or --address, as it is configured");
  node->excludes(plugin)->excludes(options)->excludes(country);
  eval->add_option("--instance", arguments->instance,
                   "the node's instance (default: the only one that infers)")
      ->needs(node);
  eval->add_flag("--list", arguments->list, "also each plate, and what was read");
}

}  // namespace viaduct::ctl
