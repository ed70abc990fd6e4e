#include "core/store/postgres_dump.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/base/program.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/store/libpq.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;

constexpr int kRowsAtOnce = 1000;
constexpr absl::Duration kLockPatience = absl::Seconds(10);
constexpr absl::Duration kVersionPatience = absl::Seconds(10);
constexpr size_t kMaxShown = 600;  // Of what a program says.

// The paths of one row are lines of the second column. $1 is the number of the last row.
constexpr const char* kImages[] = {
    "SELECT id, coalesce(image_path, '') || E'\\n' || coalesce(plate_images, '') FROM detections"
    " WHERE id > $1 AND (image_path IS NOT NULL OR plate_images IS NOT NULL)"
    " ORDER BY id LIMIT $2",
    "SELECT id, path FROM file_transfers WHERE id > $1 AND path IS NOT NULL ORDER BY id LIMIT $2",
};

std::string Shown(const std::string& output) {
  std::string line(absl::StripAsciiWhitespace(output));
  absl::StrReplaceAll({{"\n", "; "}}, &line);
  if (line.size() > kMaxShown) line.resize(kMaxShown);
  return line;
}

absl::Status Missing(const std::string& name) {
  return absl::FailedPreconditionError(
      absl::StrCat(name, ": not installed, it comes with the package postgresql-client"));
}

// 15 for "pg_dump (PostgreSQL) 15.6 (Debian ...)"; 0: it does not say.
int MajorOf(const std::string& program) {
  const absl::StatusOr<ProgramEnd> end =
      RunProgram({{program, "--version"}, {}, kVersionPatience, nullptr});
  if (!end.ok()) return 0;
  const std::vector<std::string> words = absl::StrSplit(end->output, ' ');
  int major = 0;
  if (words.size() < 3) return 0;
  const std::pair<absl::string_view, absl::string_view> version =
      absl::StrSplit(words[2], absl::MaxSplits('.', 1));
  return absl::SimpleAtoi(version.first, &major) ? major : 0;
}

// Of the server's kind: a lower one cannot read it.
absl::StatusOr<std::string> DumpProgram(PgConnection* db) {
  const std::string program = FindPostgresProgram("pg_dump");
  if (program.empty()) return Missing("pg_dump");
  VD_ASSIGN_OR_RETURN(const int64_t number,
                      db->QueryInt("SELECT current_setting('server_version_num')::bigint"));
  const int64_t server = number / 10'000;
  const int own = MajorOf(program);
  if (own >= server) return program;
  return absl::FailedPreconditionError(absl::StrCat(program, ": of version ", own,
                                                    ", the server is of ", server,
                                                    "; install postgresql-client-", server));
}

absl::Status EachImage(PgConnection* db, const char* sql,
                       const std::function<absl::Status(std::string_view)>& image) {
  int64_t after = 0;
  while (true) {
    PgParams params;
    params.Add(after);
    params.Add(int64_t{kRowsAtOnce});
    VD_ASSIGN_OR_RETURN(const PgResult rows, db->Run(sql, params, "cannot list the images"));
    for (int row = 0; row < rows.rows(); ++row) {
      after = rows.Int(row, 0);
      for (const absl::string_view path :
           absl::StrSplit(AbslView(rows.View(row, 1)), '\n', absl::SkipEmpty())) {
        VD_RETURN_IF_ERROR(image(StdView(path)));
      }
    }
    if (rows.rows() < kRowsAtOnce) return absl::OkStatus();
  }
}

absl::Status RunTool(const std::string& name, ProgramCall call) {
  VD_ASSIGN_OR_RETURN(const ProgramEnd end, RunProgram(call));
  if (end.exit_code == 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(name, ": ended with ", end.exit_code, ", ", Shown(end.output)));
}

}  // namespace

std::string FindPostgresProgram(const std::string& name) {
  std::vector<std::pair<int, std::string>> versions;
  std::error_code error;
  for (fs::directory_iterator each("/usr/lib/postgresql", error), end; !error && each != end;
       each.increment(error)) {
    int major = 0;
    if (absl::SimpleAtoi(each->path().filename().string(), &major)) {
      versions.emplace_back(-major, each->path().string() + "/bin");
    }
  }
  std::sort(versions.begin(), versions.end());
  std::vector<std::string> folders;
  for (const auto& [minus_major, folder] : versions) folders.push_back(folder);
  folders.insert(folders.end(), {"/usr/local/bin", "/usr/bin"});
  return FindProgram(name, folders);
}

absl::StatusOr<PostgresCall> CallOf(const PostgresAddress& address) {
  VD_RETURN_IF_ERROR(LoadLibpq());
  std::map<std::string, std::string> values;  // By the name of the variable.
  PostgresCall call;
  if (!address.url.empty()) {
    char* why = nullptr;
    const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> options(
        PQconninfoParse(address.url.c_str(), &why), PQconninfoFree);
    PQfreemem(why);  // It may hold the password.
    if (options == nullptr) return absl::InvalidArgumentError("store: url is none of PostgreSQL");
    for (const PQconninfoOption* each = options.get(); each->keyword != nullptr; ++each) {
      if (each->val != nullptr && each->envvar != nullptr) values[each->envvar] = each->val;
    }
  }
  const std::pair<const char*, std::string> named[] = {
      {"PGHOST", address.host},
      {"PGPORT", address.port > 0 ? absl::StrCat(address.port) : ""},
      {"PGDATABASE", address.database},
      {"PGUSER", address.user},
      {"PGPASSWORD", address.password},
      {"PGSSLMODE", address.ssl_mode},
      {"PGSSLROOTCERT", address.ssl_ca},
      {"PGSSLCERT", address.ssl_certificate},
      {"PGSSLKEY", address.ssl_key}};
  for (const auto& [name, value] : named) {
    if (!value.empty()) values[name] = value;
  }
  values.emplace("PGCONNECT_TIMEOUT", "10");
  for (const auto& [name, value] : values) {
    call.environment.push_back(absl::StrCat(name, "=", value));
  }
  call.database = values["PGDATABASE"];
  return call;
}

absl::Status DumpPostgres(const PostgresAddress& address, const std::string& to,
                          const std::function<absl::Status(std::string_view)>& image,
                          const absl::Notification* stopping) {
  PgConnection::Options options;
  options.address = address;
  options.application_name = "viaduct backup";
  VD_ASSIGN_OR_RETURN(const std::unique_ptr<PgConnection> db, PgConnection::Open(options));
  VD_ASSIGN_OR_RETURN(const std::string program, DumpProgram(db.get()));
  VD_RETURN_IF_ERROR(db->Exec("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  std::string snapshot;
  {
    VD_ASSIGN_OR_RETURN(const PgResult row, db->Run("SELECT pg_export_snapshot()", PgParams(),
                                                    "cannot name the moment"));
    snapshot = row.Text(0, 0);
  }
  for (const char* sql : kImages) VD_RETURN_IF_ERROR(EachImage(db.get(), sql, image));
  VD_ASSIGN_OR_RETURN(const PostgresCall call, CallOf(address));
  // The transaction stays open until the end: the moment would be forgotten with it.
  VD_RETURN_IF_ERROR(RunTool(
      "pg_dump", {{program, "--format=custom", "--no-owner", "--no-privileges", "--no-password",
                   absl::StrCat("--lock-wait-timeout=", absl::ToInt64Milliseconds(kLockPatience)),
                   absl::StrCat("--snapshot=", snapshot), absl::StrCat("--file=", to)},
                  call.environment,
                  absl::InfiniteDuration(),
                  stopping}));
  return db->Exec("COMMIT");
}

absl::Status RestorePostgres(const PostgresAddress& address, const std::string& from) {
  const std::string program = FindPostgresProgram("pg_restore");
  if (program.empty()) return Missing("pg_restore");
  PgConnection::Options options;
  options.address = address;
  options.application_name = "viaduct restore";
  VD_ASSIGN_OR_RETURN(std::unique_ptr<PgConnection> db, PgConnection::Open(options));
  VD_ASSIGN_OR_RETURN(
      const int64_t tables,
      db->QueryInt("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                   " WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%'"
                   " AND n.nspname <> 'information_schema'"));
  if (tables > 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the database has ", tables, " tables already, give an empty one"));
  }
  db.reset();
  VD_ASSIGN_OR_RETURN(const PostgresCall call, CallOf(address));
  return RunTool("pg_restore",
                 {{program, "--no-owner", "--no-privileges", "--no-password", "--exit-on-error",
                   "--single-transaction", absl::StrCat("--dbname=", call.database), from},
                  call.environment,
                  absl::InfiniteDuration(),
                  nullptr});
}

}  // namespace viaduct
