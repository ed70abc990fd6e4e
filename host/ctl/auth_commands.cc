#include "host/ctl/auth_commands.h"

#include <iostream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/security/permissions.h"
#include "host/ctl/format.h"
#include "viaduct/control/v1/auth.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = control::v1;

ExitCode WhoAmI(Session* session) {
  pb::AuthWhoAmIResponse response;
  const ExitCode code =
      session->Call<pb::Auth>(&pb::Auth::Stub::WhoAmI, pb::AuthWhoAmIRequest(), &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  const pb::Principal& principal = response.principal();
  Table table({"PEER", Cell(response.peer())});
  if (!response.enforced()) {
    table.Add({"allowed", "everything: this node asks nobody for credentials"});
  } else if (!response.has_principal()) {
    table.Add({"principal", "nobody"});
  } else {
    table.Add({"principal", absl::StrCat(KindText(principal.kind()), " ", Cell(principal.id()))});
    table.Add({"role", RoleText(principal.role())});
    table.Add({"scopes", ScopesText(principal)});
    table.Add({"speaks for", Cell(absl::StrJoin(principal.devices(), " "))});
    table.Add({"proof", Cell(absl::StrCat(response.proof(), " ", response.proof_id()))});
    table.Add({"until", TimeText(response.expires_at())});
  }
  table.Print(std::cout);
  return kOk;
}

}  // namespace

std::string KindText(pb::PrincipalKind kind) {
  return EnumText(pb::PrincipalKind_Name(kind), "PRINCIPAL_KIND_");
}

std::string RoleText(pb::Role role) { return EnumText(pb::Role_Name(role), "ROLE_"); }

std::string ScopesText(const pb::Principal& principal) {
  // One value of the enumeration means none.
  if (principal.scopes_size() == pb::Scope_ARRAYSIZE - 1) return "all";
  std::vector<std::string> names;
  for (const int scope : principal.scopes()) {
    names.push_back(EnumText(pb::Scope_Name(static_cast<pb::Scope>(scope)), "SCOPE_"));
  }
  return absl::StrJoin(names, " ");
}

void AddPrincipalOptions(CLI::App* command, PrincipalArguments* arguments) {
  command->add_option("--role", arguments->role, "of a user or tool")
      ->check(CLI::IsMember({"viewer", "operator", "admin"}));
  command
      ->add_option("--scope", arguments->scopes,
                   "only this part of what the role may do; may be repeated")
      ->check(CLI::IsMember({"ingest", "read", "files", "edit", "control", "manage"}));
  command->add_option("--speaks-for", arguments->devices,
                      "of a device: another one, or the beginning of ids and *; may be repeated");
}

void FillPrincipal(const PrincipalArguments& arguments, pb::Principal* principal) {
  pb::Role role = pb::ROLE_UNSPECIFIED;
  if (pb::Role_Parse("ROLE_" + absl::AsciiStrToUpper(arguments.role), &role)) {
    principal->set_role(role);
  }
  if (!arguments.scopes.empty()) principal->clear_scopes();
  for (const std::string& name : arguments.scopes) {
    pb::Scope scope = pb::SCOPE_UNSPECIFIED;
    if (pb::Scope_Parse("SCOPE_" + absl::AsciiStrToUpper(name), &scope)) {
      principal->add_scopes(scope);
    }
  }
  if (!arguments.devices.empty()) principal->clear_devices();
  for (const std::string& device : arguments.devices) principal->add_devices(device);
}

void AddAuthCommands(CLI::App* app, Session* session) {
  CLI::App* auth = app->add_subcommand("auth", "who may do what, and who did");
  auth->require_subcommand(1);
  AddCommand(auth, session, "whoami", "as whom the node sees you", [=] { return WhoAmI(session); });
  AddAuthKeyCommands(auth, session);
  AddAuthUserCommands(auth, session);
  AddAuthAuditCommands(auth, session);
  // No node is asked: the table is the program's.
  AddCommand(auth, session, "matrix", "every action, and which roles may do it", [=] {
    std::cout << (session->json() ? security::PermissionMatrixJson()
                                  : security::PermissionMatrixText());
    return kOk;
  });
}

}  // namespace viaduct::ctl
