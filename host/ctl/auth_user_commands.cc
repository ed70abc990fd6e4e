#include <algorithm>
#include <iostream>
#include <memory>

#include "core/security/secret_octets.h"
#include "host/ctl/auth_commands.h"
#include "host/ctl/format.h"
#include "host/ctl/password.h"
#include "viaduct/control/v1/auth.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = control::v1;
using Stub = pb::Auth::Stub;

struct UserArguments {
  std::string name;
  PrincipalArguments principal;
  std::string password_file;
  bool tool = false;
  bool disable = false;
  bool enable = false;
};
using Arguments = std::shared_ptr<UserArguments>;

ExitCode ReadPassword(const UserArguments& arguments, std::string* password) {
  auto read = ReadNewPassword(arguments.password_file);
  if (read.ok()) {
    *password = *std::move(read);
    return kOk;
  }
  std::cerr << "viaductctl: " << read.status().message() << "\n";
  return kInvalid;
}

ExitCode ListAll(Session* session, pb::AuthListUsersResponse* all) {
  pb::AuthListUsersRequest request;
  request.set_page_size(1000);
  do {
    request.set_page_token(all->next_page_token());
    pb::AuthListUsersResponse page;
    const ExitCode code = session->Call<pb::Auth>(&Stub::ListUsers, request, &page);
    if (code != kOk) return code;
    all->mutable_users()->MergeFrom(page.users());
    all->set_next_page_token(page.next_page_token());
  } while (!all->next_page_token().empty());
  return kOk;
}

void Print(Session* session, const pb::AuthListUsersResponse& users) {
  if (session->json()) return Session::PrintJson(users);
  Table table({"NAME", "KIND", "ROLE", "SCOPES", "STATE", "CREATED"});
  for (const pb::User& user : users.users()) {
    table.Add({Cell(user.principal().id()), KindText(user.principal().kind()),
               RoleText(user.principal().role()), ScopesText(user.principal()),
               user.disabled() ? "disabled" : "enabled", TimeText(user.created_at())});
  }
  table.Print(std::cout);
}

ExitCode List(Session* session) {
  pb::AuthListUsersResponse all;
  const ExitCode code = ListAll(session, &all);
  if (code == kOk) Print(session, all);
  return code;
}

ExitCode Set(Session* session, const pb::AuthSetUserRequest& request) {
  pb::AuthSetUserResponse response;
  const ExitCode code = session->Call<pb::Auth>(&Stub::SetUser, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  pb::AuthListUsersResponse one;
  *one.add_users() = response.user();
  Print(session, one);
  return kOk;
}

ExitCode Find(Session* session, const std::string& name, pb::User* user) {
  pb::AuthListUsersResponse all;
  const ExitCode code = ListAll(session, &all);
  if (code != kOk) return code;
  for (const pb::User& each : all.users()) {
    if (each.principal().id() != name) continue;
    *user = each;
    return kOk;
  }
  return kNotFound;
}

ExitCode Add(Session* session, const UserArguments& arguments) {
  pb::User present;
  const ExitCode found = Find(session, arguments.name, &present);
  if (found == kOk) {
    std::cerr << "viaductctl: there is a user " << Cell(arguments.name)
              << " already: auth user change, auth user password\n";
    return kConflict;
  }
  if (found != kNotFound) return found;
  pb::AuthSetUserRequest request;
  pb::Principal* principal = request.mutable_user()->mutable_principal();
  principal->set_id(arguments.name);
  principal->set_kind(arguments.tool ? pb::PRINCIPAL_KIND_TOOL : pb::PRINCIPAL_KIND_USER);
  FillPrincipal(arguments.principal, principal);
  const ExitCode read = ReadPassword(arguments, request.mutable_password());
  if (read != kOk) return read;
  const ExitCode code = Set(session, request);
  security::Wipe(request.mutable_password());
  return code;
}

ExitCode Change(Session* session, const UserArguments& arguments) {
  pb::AuthSetUserRequest request;
  const ExitCode found = Find(session, arguments.name, request.mutable_user());
  if (found == kNotFound) {
    std::cerr << "viaductctl: there is no user " << Cell(arguments.name) << "\n";
  }
  if (found != kOk) return found;
  FillPrincipal(arguments.principal, request.mutable_user()->mutable_principal());
  if (arguments.disable) request.mutable_user()->set_disabled(true);
  if (arguments.enable) request.mutable_user()->set_disabled(false);
  return Set(session, request);
}

ExitCode Done(Session* session, ExitCode code, const google::protobuf::Message& response,
              const std::string& text) {
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
  } else {
    std::cout << text << "\n";
  }
  return kOk;
}

ExitCode Password(Session* session, const UserArguments& arguments) {
  pb::AuthSetPasswordRequest request;
  request.set_name(arguments.name);
  const ExitCode read = ReadPassword(arguments, request.mutable_password());
  if (read != kOk) return read;
  pb::AuthSetPasswordResponse response;
  const ExitCode code = session->Call<pb::Auth>(&Stub::SetPassword, request, &response);
  security::Wipe(request.mutable_password());
  return Done(session, code, response, "the old password of " + Cell(arguments.name) + " is void");
}

ExitCode Remove(Session* session, const UserArguments& arguments) {
  pb::AuthRemoveUserRequest request;
  request.set_name(arguments.name);
  pb::AuthRemoveUserResponse response;
  const ExitCode code = session->Call<pb::Auth>(&Stub::RemoveUser, request, &response);
  return Done(session, code, response, Cell(arguments.name) + " is no user any more");
}

void AddPasswordFile(CLI::App* command, const Arguments& arguments) {
  command->add_option("--password-file", arguments->password_file,
                      "file of mode 0600 with the password, - for standard input; without it the "
                      "terminal asks");
}

void AddAdd(CLI::App* user, Session* session) {
  auto arguments = std::make_shared<UserArguments>();
  CLI::App* add = AddCommand(user, session, "add", "a new user with a password",
                             [=] { return Add(session, *arguments); });
  add->add_option("name", arguments->name)->required();
  AddPrincipalOptions(add, &arguments->principal);
  add->get_option("--role")->required();
  add->add_flag("--tool", arguments->tool, "a program, no person");
  AddPasswordFile(add, arguments);
}

void AddChange(CLI::App* user, Session* session) {
  auto arguments = std::make_shared<UserArguments>();
  CLI::App* change =
      AddCommand(user, session, "change", "another role or scope; the password stays",
                 [=] { return Change(session, *arguments); });
  change->add_option("name", arguments->name)->required();
  AddPrincipalOptions(change, &arguments->principal);
  auto* disable = change->add_flag("--disable", arguments->disable, "its password is not accepted");
  change->add_flag("--enable", arguments->enable, "its password is accepted again")
      ->excludes(disable);
}

}  // namespace

void AddAuthUserCommands(CLI::App* auth, Session* session) {
  CLI::App* user = auth->add_subcommand("user", "people and programs with a password");
  user->require_subcommand(1);
  AddAdd(user, session);
  AddChange(user, session);
  AddCommand(user, session, "list", "who has which role", [=] { return List(session); });
  auto password = std::make_shared<UserArguments>();
  CLI::App* command = AddCommand(user, session, "password", "another password",
                                 [=] { return Password(session, *password); });
  command->add_option("name", password->name)->required();
  AddPasswordFile(command, password);
  auto remove = std::make_shared<UserArguments>();
  AddCommand(user, session, "remove", "no user any more", [=] { return Remove(session, *remove); })
      ->add_option("name", remove->name)
      ->required();
}

}  // namespace viaduct::ctl
