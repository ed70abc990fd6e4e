#include "host/setup/accounts.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "host/setup/deploy_files.h"
#include "host/setup/program.h"

namespace viaduct::setup {
namespace {

std::vector<std::string> Command(const Root& root, const char* program,
                                 const std::vector<std::string>& options, const std::string& name) {
  std::vector<std::string> command{program};
  if (!root.is_system()) command.insert(command.end(), {"--prefix", root.folder()});
  command.insert(command.end(), options.begin(), options.end());
  command.push_back(name);
  return command;
}

// As the administrator of the database, who is its own user of the system.
absl::StatusOr<std::string> Psql(const std::string& database, std::string_view sql) {
  VD_ASSIGN_OR_RETURN(const std::string output,
                      RunToSuccess({"/usr/sbin/runuser", "-u", "postgres", "--", "psql", "-X", "-q",
                                    "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"},
                                   sql));
  return std::string(absl::StripAsciiWhitespace(output));
}

// Names are those of steps.cc and of a journal that only root writes; quoted all the same.
absl::StatusOr<bool> Found(const char* table, const char* column, const std::string& name) {
  VD_ASSIGN_OR_RETURN(const std::string found,
                      Psql("postgres", absl::StrCat("SELECT 1 FROM ", table, " WHERE ", column,
                                                    " = $name$", name, "$name$;")));
  return !found.empty();
}

absl::Status DropDatabase(const std::string& name, bool force) {
  if (!force) {
    VD_ASSIGN_OR_RETURN(const std::string tables,
                        Psql(name,
                             "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN "
                             "('pg_catalog', 'information_schema');"));
    if (tables != "0") {
      return absl::FailedPreconditionError(
          absl::StrCat("database ", name, ": has ", tables, " tables"));
    }
  }
  // A node that runs has sessions open, and is started again after the setup is undone.
  return Psql("postgres", absl::StrCat("DROP DATABASE IF EXISTS \"", name, "\"",
                                       force ? " WITH (FORCE)" : "", ";"))
      .status();
}

}  // namespace

absl::StatusOr<bool> AccountExists(const Root& root, StepKind kind, const std::string& name) {
  if (kind == StepKind::kRole) return Found("pg_roles", "rolname", name);
  if (kind == StepKind::kDatabase) return Found("pg_database", "datname", name);
  const absl::Status status =
      kind == StepKind::kUser ? root.User(name).status() : root.Group(name).status();
  if (status.ok() || absl::IsNotFound(status)) return status.ok();
  return status;
}

absl::Status MakeAccount(const Root& root, StepKind kind, const std::string& name) {
  switch (kind) {
    case StepKind::kGroup:
      return RunToSuccess(Command(root, "/usr/sbin/groupadd", {"--system"}, name)).status();
    case StepKind::kUser:
      return RunToSuccess(Command(root, "/usr/sbin/useradd",
                                  {"--system", "--gid", name, "--home-dir", "/", "--no-create-home",
                                   "--shell", "/usr/sbin/nologin"},
                                  name))
          .status();
    case StepKind::kRole:
      return Psql("postgres", DeployFile("postgresql/role.sql")).status();
    case StepKind::kDatabase:
      return Psql("postgres", DeployFile("postgresql/database.sql")).status();
    default:
      return absl::InternalError("setup: no account");
  }
}

absl::Status RemoveAccount(const Root& root, StepKind kind, const std::string& name, bool force) {
  VD_ASSIGN_OR_RETURN(const bool there, AccountExists(root, kind, name));
  if (!there) return absl::OkStatus();
  switch (kind) {
    case StepKind::kGroup:
      return RunToSuccess(Command(root, "/usr/sbin/groupdel", {}, name)).status();
    case StepKind::kUser:
      return RunToSuccess(Command(root, "/usr/sbin/userdel", {}, name)).status();
    case StepKind::kRole:
      return Psql("postgres", absl::StrCat("DROP ROLE IF EXISTS \"", name, "\";")).status();
    case StepKind::kDatabase:
      return DropDatabase(name, force);
    default:
      return absl::InternalError("setup: no account");
  }
}

}  // namespace viaduct::setup
