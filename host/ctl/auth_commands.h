// The parts of `viaductctl auth`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "host/ctl/session.h"
#include "viaduct/control/v1/auth.pb.h"

namespace viaduct::ctl {

void AddAuthKeyCommands(CLI::App* auth, Session* session);
void AddAuthUserCommands(CLI::App* auth, Session* session);
void AddAuthAuditCommands(CLI::App* auth, Session* session);

// Whom a key or user is for, as it is told on the command line.
struct PrincipalArguments {
  std::string role;
  std::vector<std::string> scopes;
  std::vector<std::string> devices;
};
void AddPrincipalOptions(CLI::App* command, PrincipalArguments* arguments);
// Role, scopes and devices; what is not given stays as it is.
void FillPrincipal(const PrincipalArguments& arguments, control::v1::Principal* principal);

std::string KindText(control::v1::PrincipalKind kind);
std::string RoleText(control::v1::Role role);
// "all", or their names.
std::string ScopesText(const control::v1::Principal& principal);

}  // namespace viaduct::ctl
