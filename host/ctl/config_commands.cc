#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "host/ctl/arguments.h"
#include "host/ctl/format.h"
#include "host/ctl/session.h"
#include "viaduct/control/v1/config.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = viaduct::control::v1;
using Stub = pb::Config::Stub;

std::vector<std::string> Row(const pb::Revision& revision) {
  return {absl::StrCat(revision.number()),
          absl::StrCat(EnumText(pb::RevisionState_Name(revision.state()), "REVISION_STATE_"),
                       revision.last_good() ? " (last good)" : ""),
          TimeText(revision.applied_at()),
          Cell(revision.origin()),
          Cell(revision.author()),
          Cell(revision.comment()),
          revision.has_confirm_by() ? TimeText(revision.confirm_by()) : "-",
          Cell(revision.reason())};
}

Table RevisionTable() {
  return Table(
      {"REVISION", "STATE", "APPLIED", "ORIGIN", "AUTHOR", "COMMENT", "CONFIRM BY", "REASON"});
}

template <typename Findings>
void PrintFindings(const Findings& findings) {
  for (const auto& finding : findings) {
    std::cout << (finding.file().empty() ? "config" : finding.file());
    if (finding.line() > 0) std::cout << ":" << finding.line() << ":" << finding.column();
    std::cout << ": " << EnumText(pb::Severity_Name(finding.severity()), "SEVERITY_") << ": "
              << finding.pointer() << ": " << finding.text() << " [" << finding.code() << "]\n";
  }
}

template <typename Effects>
void PrintEffects(const Effects& effects) {
  Table table({"SUBJECT", "EFFECT", "DETAIL"});
  for (const auto& effect : effects) {
    table.Add({Cell(effect.subject()), EnumText(pb::EffectKind_Name(effect.kind()), "EFFECT_KIND_"),
               Cell(effect.text())});
  }
  table.Print(std::cout);
}

// Calls, then prints JSON, or what `show` makes of the answer.
template <typename Request, typename Response, typename Show>
ExitCode CallAndShow(Session* session, Session::UnaryMethod<Stub, Request, Response> method,
                     const Request& request, Show show) {
  Response response;
  ExitCode code = session->Call<pb::Config>(method, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
  } else {
    show(response);
  }
  if constexpr (std::is_same_v<Response, pb::ConfigValidateResponse> ||
                std::is_same_v<Response, pb::ConfigPlanResponse>) {
    return response.valid() ? kOk : kInvalid;
  }
  return kOk;
}

template <typename Response>
void ShowRevision(const Response& response) {
  Table table = RevisionTable();
  table.Add(Row(response.revision()));
  table.Print(std::cout);
}

void AddReadCommands(CLI::App* config, Session* session) {
  auto revision = std::make_shared<uint64_t>(0);
  auto last_good = std::make_shared<bool>(false);
  CLI::App* get = AddCommand(config, session, "get", "the running document, secrets redacted", [=] {
    pb::ConfigGetRequest request;
    if (*revision > 0) request.set_revision(*revision);
    if (*last_good) request.set_version(pb::CONFIG_VERSION_LAST_GOOD);
    return CallAndShow(session, &Stub::Get, request,
                       [](const auto& response) { std::cout << response.yaml(); });
  });
  auto* by_number = get->add_option("-r,--revision", *revision, "this revision");
  get->add_flag("--last-good", *last_good, "the last one that worked")->excludes(by_number);

  auto plugin = std::make_shared<std::string>();
  AddCommand(config, session, "schema", "JSON Schema of the document", [=] {
    pb::ConfigGetSchemaRequest request;
    request.set_plugin(*plugin);
    return CallAndShow(session, &Stub::GetSchema, request,
                       [](const auto& response) { std::cout << response.json_schema() << "\n"; });
  })->add_option("plugin", *plugin, "of this plugin's config instead");

  AddCommand(config, session, "revisions", "history, newest first", [=] {
    return CallAndShow(session, &Stub::ListRevisions, pb::ConfigListRevisionsRequest(),
                       [](const auto& response) {
                         Table table = RevisionTable();
                         for (const auto& revision : response.revisions()) table.Add(Row(revision));
                         table.Print(std::cout);
                       });
  });
}

void AddCheckCommands(CLI::App* config, Session* session) {
  auto file = std::make_shared<std::string>();
  AddCommand(config, session, "validate", "all mistakes of a file, changing nothing",
             [=] {
               pb::ConfigValidateRequest request;
               if (!ReadInput(*file, request.mutable_yaml())) return kInvalid;
               return CallAndShow(session, &Stub::Validate, request, [](const auto& response) {
                 PrintFindings(response.findings());
                 if (response.valid()) std::cout << "valid\n";
               });
             })
      ->add_option("file", *file, "YAML, - for standard input")
      ->required();
  AddCommand(config, session, "plan", "what applying a file would do",
             [=] {
               pb::ConfigPlanRequest request;
               if (!ReadInput(*file, request.mutable_yaml())) return kInvalid;
               return CallAndShow(session, &Stub::Plan, request, [](const auto& response) {
                 PrintFindings(response.findings());
                 if (response.valid()) PrintEffects(response.effects());
               });
             })
      ->add_option("file", *file, "YAML, - for standard input")
      ->required();
}

struct ApplyArguments {
  std::string file;
  std::string request_id;
  std::string confirm_within;
  std::string comment;
  uint64_t if_revision = 0;
};

ExitCode Apply(Session* session, const ApplyArguments& arguments) {
  pb::ConfigApplyRequest request;
  if (!ReadInput(arguments.file, request.mutable_yaml())) return kInvalid;
  if (arguments.if_revision > 0) request.set_if_revision(arguments.if_revision);
  if (!arguments.confirm_within.empty() &&
      !SetDuration(arguments.confirm_within, request.mutable_confirm_within())) {
    return kUsage;
  }
  request.set_request_id(arguments.request_id);
  request.set_comment(arguments.comment);
  return CallAndShow(session, &Stub::Apply, request, [](const auto& response) {
    ShowRevision(response);
    PrintFindings(response.findings());
    PrintEffects(response.effects());
    if (response.revision().state() == pb::REVISION_STATE_UNCONFIRMED) {
      std::cout << "rolls back by itself unless: viaductctl config confirm "
                << response.revision().number() << "\n";
    }
  });
}

void AddChangeCommands(CLI::App* config, Session* session) {
  auto arguments = std::make_shared<ApplyArguments>();
  CLI::App* apply = AddCommand(config, session, "apply", "take over a file, all or nothing",
                               [=] { return Apply(session, *arguments); });
  apply->add_option("file", arguments->file, "YAML, - for standard input")->required();
  apply->add_option("--if-revision", arguments->if_revision, "only if this revision runs");
  apply->add_option("--request-id", arguments->request_id, "the same id again changes nothing");
  apply->add_option("--confirm-within", arguments->confirm_within, "roll back unless confirmed")
      ->check(IsDuration);
  apply->add_option("--comment", arguments->comment, "kept with the revision");

  auto number = std::make_shared<uint64_t>(0);
  AddCommand(config, session, "confirm", "keep an unconfirmed revision",
             [=] {
               pb::ConfigConfirmRequest request;
               request.set_revision(*number);
               return CallAndShow(session, &Stub::Confirm, request,
                                  ShowRevision<pb::ConfigConfirmResponse>);
             })
      ->add_option("revision", *number)
      ->required();
  AddCommand(config, session, "cancel", "take an unconfirmed revision back now",
             [=] {
               pb::ConfigCancelRequest request;
               request.set_revision(*number);
               return CallAndShow(session, &Stub::Cancel, request,
                                  ShowRevision<pb::ConfigCancelResponse>);
             })
      ->add_option("revision", *number)
      ->required();
  CLI::App* rollback = AddCommand(config, session, "rollback", "back to an older revision", [=] {
    pb::ConfigRollbackRequest request;
    request.set_to_revision(*number);
    if (arguments->if_revision > 0) request.set_if_revision(arguments->if_revision);
    request.set_request_id(arguments->request_id);
    return CallAndShow(session, &Stub::Rollback, request, [](const auto& response) {
      ShowRevision(response);
      PrintEffects(response.effects());
    });
  });
  rollback->add_option("--to", *number, "this one; default: the last good one before");
  rollback->add_option("--if-revision", arguments->if_revision, "only if this revision runs");
  rollback->add_option("--request-id", arguments->request_id, "the same id again changes nothing");
}

void AddWatchCommand(CLI::App* config, Session* session) {
  auto from = std::make_shared<uint64_t>(0);
  AddCommand(config, session, "watch", "revisions as they come", [=] {
    pb::ConfigWatchRequest request;
    request.set_from_revision(*from);
    return session->Stream<pb::Config, Stub, pb::ConfigWatchRequest, pb::ConfigWatchResponse>(
        &Stub::Watch, request, [session](const auto& response) {
          if (session->json() || !response.has_revision()) return true;
          for (const auto& cell : Row(response.revision())) std::cout << cell << "  ";
          std::cout << std::endl;
          return true;
        });
  })->add_option("--from", *from, "from this revision on");
}

}  // namespace

void AddConfigCommands(CLI::App* app, Session* session) {
  CLI::App* config = app->add_subcommand("config", "the node's configuration");
  config->require_subcommand(1);
  AddReadCommands(config, session);
  AddCheckCommands(config, session);
  AddChangeCommands(config, session);
  AddWatchCommand(config, session);
}

}  // namespace viaduct::ctl
