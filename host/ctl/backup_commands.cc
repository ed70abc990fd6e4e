#include "host/ctl/backup_commands.h"

#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/backup/backup_check.h"
#include "core/backup/backup_restore.h"
#include "core/backup/backups.h"
#include "core/base/clock.h"
#include "core/base/status_macros.h"
#include "core/security/at_rest.h"
#include "core/security/key_ring.h"
#include "core/store/postgres_dump.h"
#include "host/ctl/format.h"
#include "host/rpc/backup_convert.h"
#include "host/rpc/status.h"
#include "viaduct/control/v1/backup.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = viaduct::control::v1;
using Stub = pb::Backup::Stub;

struct RestoreArguments {
  std::string folder;
  std::string data_dir;
  std::string database;
  std::string keys;
};

// What goes wrong without a node.
ExitCode Fail(const Session& session, const absl::Status& status) {
  return session.Report(rpc::ToGrpc(status));
}

void PrintMade(const pb::BackupInfo& made) {
  std::cout << made.name() << ": " << made.files() << " files, " << BytesText(made.bytes()) << ", "
            << made.shared_files() << " of them shared with the one before\n";
  if (made.missing_images() > 0) {
    std::cout << made.missing_images() << " images that rows name are not on this node\n";
  }
  if (!made.secrets()) std::cout << "secrets are not in it (backup.keys)\n";
}

ExitCode Create(Session* session) {
  std::string part;
  const auto told = [&](const pb::BackupCreateResponse& response) {
    if (session->json()) return true;
    if (response.has_made()) {
      PrintMade(response.made());
    } else if (response.progress().part() != part) {
      part = response.progress().part();
      std::cerr << part << "...\n";
    }
    return true;
  };
  return session->Stream<pb::Backup>(&Stub::Create, pb::BackupCreateRequest(),
                                     std::function<bool(const pb::BackupCreateResponse&)>(told));
}

void PrintList(const pb::BackupListResponse& response) {
  Table table({"BACKUP", "MADE", "FILES", "SHARED", "BYTES", "STORE", "SECRETS", "PROBLEM"});
  for (const auto& one : response.backups()) {
    if (!one.problem().empty()) {
      table.Add({Cell(one.name()), "", "", "", "", "", "", Cell(one.problem())});
      continue;
    }
    table.Add({Cell(one.name()), TimeText(one.began()), absl::StrCat(one.files()),
               absl::StrCat(one.shared_files()), BytesText(one.bytes()), Cell(one.database()),
               one.secrets() ? "encrypted" : "no", ""});
  }
  table.Print(std::cout);
}

ExitCode List(Session* session, const std::string& folder) {
  pb::BackupListResponse response;
  if (folder.empty()) {
    const ExitCode code =
        session->Call<pb::Backup>(&Stub::List, pb::BackupListRequest(), &response);
    if (code != kOk) return code;
  } else {
    const auto entries = backup::ListBackups(folder);
    if (!entries.ok()) return Fail(*session, entries.status());
    response.set_path(folder);
    for (const backup::BackupEntry& entry : *entries) *response.add_backups() = rpc::ToProto(entry);
  }
  if (session->json()) {
    Session::PrintJson(response);
  } else {
    PrintList(response);
  }
  return kOk;
}

ExitCode Prune(Session* session, const std::string& folder, uint32_t keep, bool dry_run) {
  pb::BackupPruneResponse response;
  if (folder.empty()) {
    pb::BackupPruneRequest request;
    request.set_keep(keep);
    request.set_dry_run(dry_run);
    const ExitCode code = session->Call<pb::Backup>(&Stub::Prune, request, &response);
    if (code != kOk) return code;
  } else {
    const auto removed = backup::PruneBackups(folder, keep, dry_run);
    if (!removed.ok()) return Fail(*session, removed.status());
    for (const std::string& name : *removed) response.add_removed(name);
  }
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  for (const std::string& name : response.removed()) std::cout << Cell(name) << "\n";
  if (dry_run) std::cout << "nothing was removed\n";
  return kOk;
}

// Exit code 6 for one that is not what was made.
ExitCode Verify(Session* session, const std::string& folder) {
  const SystemClock clock;
  backup::Pace pace({}, &clock);
  const auto verdict = backup::VerifyBackup(folder, &pace, nullptr);
  if (absl::IsNotFound(verdict.status()) || absl::IsDataLoss(verdict.status())) {
    return Fail(*session, absl::InvalidArgumentError(
                              absl::StrCat(verdict.status().message(), "; it is not good")));
  }
  if (!verdict.ok()) return Fail(*session, verdict.status());
  if (session->json()) {
    const nlohmann::json document = {{"backup", verdict->manifest.name}, {"good", verdict->good()},
                                     {"files", verdict->files},          {"bytes", verdict->bytes},
                                     {"mistakes", verdict->mistakes},    {"named", verdict->named}};
    std::cout << document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  } else {
    for (const std::string& mistake : verdict->named) std::cout << Cell(mistake) << "\n";
    std::cout << Cell(verdict->manifest.name) << ": " << verdict->files << " files, "
              << BytesText(verdict->bytes) << ", ";
    std::cout << (verdict->good() ? "good\n" : absl::StrCat(verdict->mistakes, " mistakes\n"));
  }
  return verdict->good() ? kOk : kInvalid;
}

absl::StatusOr<backup::RestoreReport> Restore(const RestoreArguments& arguments) {
  backup::RestoreOptions options;
  options.backup = arguments.folder;
  options.data_dir = arguments.data_dir;
  while (options.data_dir.size() > 1 && options.data_dir.back() == '/') options.data_dir.pop_back();
  if (!arguments.keys.empty()) {
    VD_ASSIGN_OR_RETURN(const security::KeyRing keys, security::KeyRing::Load(arguments.keys));
    options.cipher = std::make_shared<const security::FileCipher>(keys, backup::kCipherPurpose);
  }
  VD_ASSIGN_OR_RETURN(const backup::BackupManifest manifest,
                      backup::LoadManifest(arguments.folder));
  if (manifest.database == "postgresql" && arguments.database.empty()) {
    return absl::InvalidArgumentError("its store is PostgreSQL: name an empty one with --database");
  }
  const SystemClock clock;
  backup::Pace pace({}, &clock);
  VD_ASSIGN_OR_RETURN(backup::RestoreReport report, backup::RestoreBackup(options, &pace));
  if (manifest.database == "postgresql") {
    PostgresAddress address;
    address.url = arguments.database;
    VD_RETURN_IF_ERROR(RestorePostgres(address, arguments.folder + "/store/store.dump"));
  }
  return report;
}

ExitCode RestoreAndTell(Session* session, const RestoreArguments& arguments) {
  const absl::StatusOr<backup::RestoreReport> report = Restore(arguments);
  if (!report.ok()) return Fail(*session, report.status());
  if (session->json()) {
    nlohmann::json elsewhere = nlohmann::json::array();
    for (const backup::BackupPlace& place : report->elsewhere) elsewhere.push_back(place.to);
    const nlohmann::json document = {
        {"backup", report->manifest.name}, {"data_dir", arguments.data_dir},
        {"files", report->files},          {"bytes", report->bytes},
        {"secrets", report->secrets},      {"elsewhere", elsewhere}};
    std::cout << document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    return kOk;
  }
  std::cout << Cell(report->manifest.name) << ": " << report->files << " files, "
            << BytesText(report->bytes) << " in " << arguments.data_dir << "\n";
  for (const backup::BackupPlace& place : report->elsewhere) {
    std::cout << "was at " << Cell(place.to) << ", is at " << arguments.data_dir << "/"
              << backup::kElsewhere << Cell(place.to) << "\n";
  }
  if (report->manifest.secrets && report->secrets == 0) {
    std::cout << "its secrets were left where they are (--keys)\n";
  } else if (!report->manifest.secrets_note.empty()) {
    std::cout << "not in it: " << Cell(report->manifest.secrets_note) << "\n";
  }
  return kOk;
}

void AddRestore(CLI::App* backup, Session* session) {
  auto arguments = std::make_shared<RestoreArguments>();
  CLI::App* restore = AddCommand(backup, session, "restore", "make a backup into a folder again",
                                 [=] { return RestoreAndTell(session, *arguments); });
  restore->add_option("folder", arguments->folder, "of one backup")->required();
  restore->add_option("--data-dir", arguments->data_dir, "absent or empty")->required();
  restore->add_option("--database", arguments->database, "URL of an empty PostgreSQL database");
  restore->add_option("--keys", arguments->keys, "the file of backup.keys, for its secrets");
}

}  // namespace

void AddBackupCommands(CLI::App* app, Session* session) {
  CLI::App* backup = app->add_subcommand("backup", "backups of a node");
  backup->require_subcommand(1);
  AddCommand(backup, session, "create", "the node makes one, while it runs",
             [=] { return Create(session); });
  auto folder = std::make_shared<std::string>();
  auto keep = std::make_shared<uint32_t>(0);
  auto dry_run = std::make_shared<bool>(false);
  CLI::App* list = AddCommand(backup, session, "list", "which there are",
                              [=] { return List(session, *folder); });
  list->add_option("--dir", *folder, "folder of backups, without a node");
  CLI::App* prune = AddCommand(backup, session, "prune", "remove all but the newest",
                               [=] { return Prune(session, *folder, *keep, *dry_run); });
  prune->add_option("--keep", *keep, "how many stay")->required()->check(CLI::Range(1, 1000));
  prune->add_option("--dir", *folder, "folder of backups, without a node");
  prune->add_flag("--dry-run", *dry_run, "only name them");
  CLI::App* verify = AddCommand(backup, session, "verify", "look at every octet of one",
                                [=] { return Verify(session, *folder); });
  verify->add_option("folder", *folder, "of one backup")->required();
  AddRestore(backup, session);
}

}  // namespace viaduct::ctl
