#include <iostream>

#include "core/security/permissions.h"
#include "host/ctl/local_commands.h"

namespace viaduct::ctl {

// No node is asked: the table is the program's.
void AddAuthCommands(CLI::App* app, Session* session) {
  CLI::App* auth = app->add_subcommand("auth", "who may do what");
  auth->require_subcommand(1);
  AddCommand(auth, session, "matrix", "every action, and which roles are meant to have it", [=] {
    std::cout << (session->json() ? security::PermissionMatrixJson()
                                  : security::PermissionMatrixText());
    return kOk;
  });
}

}  // namespace viaduct::ctl
