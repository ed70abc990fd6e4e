#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/durable_file.h"
#include "core/base/status_macros.h"
#include "host/ctl/format.h"
#include "host/ctl/local_commands.h"
#include "host/setup/apply.h"
#include "host/setup/undo.h"

namespace viaduct::ctl {
namespace {

using setup::Change;
using setup::Journal;
using setup::Root;
using setup::Step;
using setup::StepKind;

struct SetupArguments {
  std::string root = "/";
  bool yes = false;
  bool dry_run = false;
  bool force = false;
  setup::ServerOptions server;
  setup::EdgeOptions edge;
  std::string certificate_file;
  std::string key_file;
  std::string api_key_file;
  std::string ca_file;
};
using Arguments = std::shared_ptr<SetupArguments>;

ExitCode CodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kOk;
    case absl::StatusCode::kInvalidArgument:
      return kInvalid;
    case absl::StatusCode::kNotFound:
      return kNotFound;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kCancelled:
      return kConflict;
    default:
      return kFailed;
  }
}

ExitCode Report(const absl::Status& status) {
  if (!status.ok()) std::cerr << "viaductctl: " << status.message() << "\n";
  return CodeOf(status);
}

// A file of the machine may hold anything; what steers a terminal does not reach it.
void Show(const std::string& text) {
  for (const char c : text) {
    std::cout << (c == '\n' || c == '\t' || !absl::ascii_iscntrl(static_cast<unsigned char>(c))
                      ? c
                      : '?');
  }
}

absl::Status ReadInto(const std::string& file, std::string* text) {
  if (file.empty()) return absl::OkStatus();
  VD_ASSIGN_OR_RETURN(*text, ReadWholeFile(file, setup::kMaxSetupFile));
  if (!text->empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(file, ": is empty"));
}

// True: go on. Asks where somebody can answer.
absl::Status Agreed(const SetupArguments& arguments) {
  if (arguments.yes) return absl::OkStatus();
  if (::isatty(STDIN_FILENO) == 0) {
    return absl::InvalidArgumentError(
        "there is nobody to ask: --yes does it, --dry-run only shows it");
  }
  std::cout << "\nDo this? [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  absl::AsciiStrToLower(&answer);
  if (answer == "y" || answer == "yes") return absl::OkStatus();
  return absl::CancelledError("nothing was changed");
}

std::string Line(const Change& change) {
  const Step& step = change.step;
  if (step.kind != StepKind::kFolder) {
    return absl::StrFormat("+ %s %s\n", setup::KindName(step.kind), step.subject);
  }
  return absl::StrFormat("+ folder %s, mode %04o, %s:%s\n", step.subject, step.mode, step.owner,
                         step.group);
}

absl::Status ShowChanges(Session* session, const std::vector<Change>& changes) {
  if (session->json()) {
    nlohmann::json list = nlohmann::json::array();
    for (const Change& change : changes) {
      list.push_back({{"kind", setup::KindName(change.step.kind)},
                      {"subject", change.step.subject},
                      {"foreign", change.foreign}});
    }
    std::cout << list.dump() << "\n";
    return absl::OkStatus();
  }
  for (const Change& change : changes) {
    if (change.step.kind != StepKind::kFile) {
      Show(Line(change));
      continue;
    }
    VD_ASSIGN_OR_RETURN(const std::string diff, setup::DiffText(change.step.subject, change.before,
                                                                change.after, change.step.secret));
    Show(diff);
  }
  if (changes.empty()) std::cout << "nothing to do, the machine is like that already\n";
  return absl::OkStatus();
}

absl::Status CheckForeign(const std::vector<Change>& changes, bool force) {
  std::string names;
  for (const Change& change : changes) {
    if (change.foreign) absl::StrAppend(&names, names.empty() ? "" : ", ", change.step.subject);
  }
  if (force || names.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(names, ": written by somebody else; --force replaces it, undo puts it back"));
}

absl::Status Restart(Session* session, const Root& root, const std::vector<std::string>& services,
                     const char* verb) {
  std::vector<std::string> lines;
  const absl::Status status = setup::RestartServices(root, services, verb, &lines);
  for (const std::string& line : lines) (session->json() ? std::cerr : std::cout) << line << "\n";
  return status;
}

absl::Status DoSetup(Session* session, const SetupArguments& arguments, const Root& root,
                     const std::vector<Step>& steps) {
  VD_ASSIGN_OR_RETURN(const Journal seen, Journal::Open(root));
  VD_ASSIGN_OR_RETURN(const std::vector<Change> changes, setup::Pending(root, seen, steps));
  VD_RETURN_IF_ERROR(ShowChanges(session, changes));
  VD_RETURN_IF_ERROR(CheckForeign(changes, arguments.force));
  if (arguments.dry_run || changes.empty()) return absl::OkStatus();
  VD_RETURN_IF_ERROR(Agreed(arguments));
  VD_ASSIGN_OR_RETURN(const disk::LockFile lock, setup::LockJournal(root));
  VD_ASSIGN_OR_RETURN(Journal journal, Journal::Open(root));
  VD_RETURN_IF_ERROR(setup::Apply(root, changes, &journal));
  std::vector<std::string> services;
  for (const Change& change : changes) {
    const std::string& service = change.step.service;
    if (!service.empty() && std::count(services.begin(), services.end(), service) == 0) {
      services.push_back(service);
    }
  }
  return Restart(session, root, services, "restart");
}

absl::Status SetupServer(Session* session, const SetupArguments& arguments) {
  setup::ServerOptions options = arguments.server;
  VD_RETURN_IF_ERROR(ReadInto(arguments.certificate_file, &options.certificate));
  VD_RETURN_IF_ERROR(ReadInto(arguments.key_file, &options.key));
  VD_ASSIGN_OR_RETURN(const Root root, Root::Open(arguments.root));
  VD_ASSIGN_OR_RETURN(const std::vector<Step> steps, setup::ServerSteps(root, options));
  return DoSetup(session, arguments, root, steps);
}

absl::Status SetupEdge(Session* session, const SetupArguments& arguments) {
  setup::EdgeOptions options = arguments.edge;
  VD_RETURN_IF_ERROR(ReadInto(arguments.api_key_file, &options.api_key));
  VD_RETURN_IF_ERROR(ReadInto(arguments.ca_file, &options.authority));
  VD_ASSIGN_OR_RETURN(const Root root, Root::Open(arguments.root));
  VD_ASSIGN_OR_RETURN(const std::vector<Step> steps, setup::EdgeSteps(root, options));
  return DoSetup(session, arguments, root, steps);
}

bool IsSecret(const setup::UndoStep& step) {
  return (step.before.mode & 0077) == 0 && step.before.exists;
}

absl::Status ShowUndo(Session* session, const std::vector<setup::UndoStep>& steps) {
  nlohmann::json list = nlohmann::json::array();
  for (const setup::UndoStep& step : steps) {
    const std::string kind(setup::KindName(step.entry.kind));
    list.push_back({{"kind", kind}, {"subject", step.entry.subject}, {"changed", step.changed}});
    if (session->json()) continue;
    if (step.changed) Show(absl::StrCat("! changed since: ", step.entry.subject, "\n"));
    if (step.entry.kind != StepKind::kFile || !step.before.exists) {
      Show(absl::StrCat("- ", kind, " ", step.entry.subject, "\n"));
      continue;
    }
    VD_ASSIGN_OR_RETURN(const std::string diff,
                        setup::DiffText(step.entry.subject, step.now, step.before, IsSecret(step)));
    Show(diff);
  }
  if (session->json()) std::cout << list.dump() << "\n";
  if (!session->json() && steps.empty()) std::cout << "nothing to undo\n";
  return absl::OkStatus();
}

absl::Status UndoSetups(Session* session, const SetupArguments& arguments) {
  VD_ASSIGN_OR_RETURN(const Root root, Root::Open(arguments.root));
  VD_ASSIGN_OR_RETURN(const Journal seen, Journal::Open(root));
  VD_ASSIGN_OR_RETURN(const std::vector<setup::UndoStep> steps, setup::PlanUndo(root, seen));
  VD_RETURN_IF_ERROR(ShowUndo(session, steps));
  if (arguments.dry_run || steps.empty()) return absl::OkStatus();
  VD_RETURN_IF_ERROR(Agreed(arguments));
  VD_ASSIGN_OR_RETURN(const disk::LockFile lock, setup::LockJournal(root));
  VD_ASSIGN_OR_RETURN(Journal journal, Journal::Open(root));
  VD_ASSIGN_OR_RETURN(const setup::UndoResult result, setup::Undo(root, arguments.force, &journal));
  const absl::Status restarted = Restart(session, root, result.services, "try-restart");
  for (const std::string& why : result.left) std::cerr << "viaductctl: left alone, " << why << "\n";
  if (result.left.empty()) return restarted;
  return absl::FailedPreconditionError(
      absl::StrCat(result.left.size(), " of them could not be undone"));
}

void AddCommonOptions(CLI::App* command, const Arguments& arguments) {
  command->add_option("--root", arguments->root, "folder with the image of a machine")
      ->capture_default_str();
  command->add_flag("--yes", arguments->yes, "do not ask");
  command->add_flag("--dry-run", arguments->dry_run, "show it and change nothing");
}

void AddServer(CLI::App* app, Session* session, const Arguments& arguments) {
  CLI::App* command = AddCommand(app, session, "server", "make this machine a server",
                                 [=] { return Report(SetupServer(session, *arguments)); });
  command->add_option("--id", arguments->server.id, "id of the node")->required();
  command
      ->add_option("--with", arguments->server.parts,
                   "what is on this machine besides: mosquitto, postgresql, sshd, rsyncd; may be "
                   "repeated")
      ->check(CLI::IsMember({setup::kMosquitto, setup::kPostgresql, setup::kSshd, setup::kRsyncd}));
  command->add_option("--tls-certificate", arguments->certificate_file,
                      "PEM file: devices reach HTTPS at port 8443 and the broker at 8883");
  command->add_option("--tls-key", arguments->key_file, "PEM file with its key");
  AddCommonOptions(command, arguments);
  command->add_flag("--force", arguments->force, "replace files that somebody else wrote");
}

void AddEdge(CLI::App* app, Session* session, const Arguments& arguments) {
  CLI::App* command = AddCommand(app, session, "edge", "make this machine an edge",
                                 [=] { return Report(SetupEdge(session, *arguments)); });
  command->add_option("--id", arguments->edge.id, "id of the node, its edge_device_id")->required();
  auto* server = command->add_option("--server", arguments->edge.server,
                                     "where the server is, e.g. https://server.site.example:8443");
  command->add_option("--api-key-file", arguments->api_key_file, "file with the API key for it")
      ->needs(server);
  command
      ->add_option("--server-ca", arguments->ca_file,
                   "PEM file with who signs for it (default: the system's authorities)")
      ->needs(server);
  command->add_flag("--devices", arguments->edge.devices,
                    "there are cameras or accelerators on this machine");
  AddCommonOptions(command, arguments);
  command->add_flag("--force", arguments->force, "replace files that somebody else wrote");
}

}  // namespace

void AddSetupCommands(CLI::App* app, Session* session) {
  auto arguments = std::make_shared<SetupArguments>();
  CLI::App* command = app->add_subcommand(
      "setup", "write what a server or an edge needs on its machine, or put it back");
  command->require_subcommand(1);
  AddServer(command, session, arguments);
  AddEdge(command, session, arguments);
  CLI::App* undo = AddCommand(command, session, "undo", "put back what setups have done",
                              [=] { return Report(UndoSetups(session, *arguments)); });
  AddCommonOptions(undo, arguments);
  undo->add_flag("--force", arguments->force,
                 "also what was changed since, and a database that has tables");
}

}  // namespace viaduct::ctl
