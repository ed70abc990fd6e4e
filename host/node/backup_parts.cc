#include "host/node/backup_parts.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/backup/backup_database.h"
#include "core/backup/backup_files.h"
#include "core/base/disk_files.h"
#include "core/base/durable_file.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/config/incoming_options.h"
#include "core/config/members.h"
#include "core/config/transfer_options.h"
#include "core/security/audit_chain.h"
#include "core/security/secret_octets.h"
#include "core/store/postgres_dump.h"
#include "core/store/sqlite_store.h"
#include "host/node/storage.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;

constexpr int kAttempts = 3;  // Where files were renamed while they were copied.
constexpr char kImagesOfDump[] = "store/images.txt";
constexpr char kDatabaseFile[] = "transfers.db";

std::set<std::string> NamesIn(const std::string& folder) {
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator each(folder, error), end; !error && each != end;
       each.increment(error)) {
    names.insert(each->path().filename().string());
  }
  return names;
}

bool IsHidden(const std::string& name) { return name.empty() || name[0] == '.'; }

}  // namespace

absl::Status BackupParts::Fill(backup::BackupWriter* to) const {
  if (config_->node.sink_store) VD_RETURN_IF_ERROR(FillStore(to));
  if (config_->node.sink_store) VD_RETURN_IF_ERROR(FillIncoming(to));
  if (config_->node.sink_uplink) VD_RETURN_IF_ERROR(FillSpool(to));
  if (config_->node.sink_uplink) VD_RETURN_IF_ERROR(FillTransfers(to));
  VD_RETURN_IF_ERROR(FillAudit(to));
  VD_RETURN_IF_ERROR(FillConfig(to));
  return FillSecrets(to);
}

std::string BackupParts::PlaceOf(const std::string& path) const {
  const fs::path normal = fs::path(path).lexically_normal();
  const fs::path below =
      normal.lexically_relative(fs::path(config_->node.data_dir + "/").lexically_normal());
  const std::string name = below.string();
  return name.empty() || absl::StartsWith(name, "..") ? normal.string() : name;
}

void BackupParts::AddPlace(backup::BackupWriter* to, const std::string& from,
                           const std::string& path) const {
  to->manifest()->places.push_back({from, PlaceOf(path)});
}

absl::Status BackupParts::FillStore(backup::BackupWriter* to) const {
  AddPlace(to, "images", config_->store.images);
  return config_->store.postgresql.has_value() ? FillPostgres(to) : FillSqlite(to);
}

absl::Status BackupParts::FillSqlite(backup::BackupWriter* to) const {
  constexpr char kName[] = "store/store.db";
  to->BeginPart("store");
  to->manifest()->database = "sqlite";
  AddPlace(to, kName, config_->store.sqlite_path);
  VD_RETURN_IF_ERROR(to->Database(config_->store.sqlite_path, kName));
  VD_ASSIGN_OR_RETURN(const std::string copy, to->PathOf(kName));
  to->BeginPart("images");
  return backup::EachText(copy, kSqliteStoreImages,
                          [&](std::string_view path) { return FillImage(to, path); });
}

absl::Status BackupParts::FillPostgres(backup::BackupWriter* to) const {
  to->BeginPart("store");
  to->manifest()->database = "postgresql";
  VD_ASSIGN_OR_RETURN(const std::string dump, to->PathOf("store/store.dump"));
  VD_ASSIGN_OR_RETURN(const std::string list, to->PathOf(kImagesOfDump));
  // The moment is held no longer than the dump takes; the files come afterwards.
  std::ofstream lines(list, std::ios::binary | std::ios::trunc);
  VD_RETURN_IF_ERROR(DumpPostgres(
      AddressOf(*config_->store.postgresql), dump,
      [&](std::string_view path) -> absl::Status {
        lines << path << '\n';
        return to->pace()->Spend(path.size());
      },
      to->pace()->stopping()));
  lines.close();
  if (!lines) return absl::ResourceExhaustedError(absl::StrCat(list, ": cannot write"));
  VD_RETURN_IF_ERROR(disk::SyncFile(dump));
  VD_RETURN_IF_ERROR(disk::SyncFile(list));
  VD_RETURN_IF_ERROR(to->pace()->Spend(static_cast<uint64_t>(disk::FileSize(dump))));
  to->BeginPart("images");
  std::ifstream paths(list, std::ios::binary);
  for (std::string path; std::getline(paths, path);) VD_RETURN_IF_ERROR(FillImage(to, path));
  return absl::OkStatus();
}

// What was erased meanwhile, or is at another node of the same database, is not there.
absl::Status BackupParts::FillImage(backup::BackupWriter* to, std::string_view path) const {
  if (!backup::IsSafeName(path)) return absl::OkStatus();
  const absl::Status shared = to->Share(absl::StrCat(config_->store.images, "/", AbslView(path)),
                                        absl::StrCat("images/", AbslView(path)));
  if (!absl::IsNotFound(shared)) return shared;
  ++to->manifest()->missing_images;
  return absl::OkStatus();
}

absl::Status BackupParts::FillIncoming(backup::BackupWriter* to) const {
  const auto incoming = ReadIncomingOptions(*config_);
  if (!incoming.has_value()) return absl::OkStatus();
  to->BeginPart("files");
  AddPlace(to, "files", incoming->files);
  return to->Folder(incoming->files, "files", /*shared=*/true,
                    [](const std::string& name) { return !IsHidden(name); });
}

absl::Status BackupParts::FillSpool(backup::BackupWriter* to) const {
  to->BeginPart("spool");
  AddPlace(to, "spool/spool.db", config_->spool.path);
  return to->Database(config_->spool.path, "spool/spool.db");
}

absl::Status BackupParts::FillTransfers(backup::BackupWriter* to) const {
  const std::string folder = ReadTransferOptions(*config_).folder;
  to->BeginPart("transfers");
  AddPlace(to, "transfers", folder);
  const auto wanted = [](const std::string& name) {
    return !IsHidden(name) && !absl::StartsWith(name, kDatabaseFile);
  };
  // Before the rows, as a file goes when it is confirmed, and after them, as it comes first.
  VD_RETURN_IF_ERROR(to->Folder(folder, "transfers", /*shared=*/true, wanted));
  VD_RETURN_IF_ERROR(to->Database(absl::StrCat(folder, "/", kDatabaseFile),
                                  absl::StrCat("transfers/", kDatabaseFile)));
  return to->Folder(folder, "transfers", /*shared=*/true, wanted);
}

std::string BackupParts::AuditFolder() const {
  return members::FileBelow(config_->node.data_dir, members::SectionOf(*config_, "audit"),
                            "folder");
}

absl::Status BackupParts::FillAudit(backup::BackupWriter* to) const {
  const std::string folder = AuditFolder();
  to->BeginPart("audit");
  AddPlace(to, "audit", folder);
  for (int attempt = 1;; ++attempt) {
    const std::set<std::string> names = NamesIn(folder);
    // Those that are full change no more.
    VD_RETURN_IF_ERROR(to->Folder(folder, "audit", /*shared=*/true, [](const std::string& name) {
      return absl::EndsWith(name, ".jsonl") && name != security::audit::kCurrentName;
    }));
    const absl::Status copied =
        to->Copy(absl::StrCat(folder, "/", AbslView(security::audit::kCurrentName)),
                 absl::StrCat("audit/", AbslView(security::audit::kCurrentName)));
    if (!copied.ok() && !absl::IsNotFound(copied)) return copied;
    if (names == NamesIn(folder)) return absl::OkStatus();
    if (attempt == kAttempts) {
      return absl::UnavailableError("audit: its files do not stand still, try again later");
    }
    VD_RETURN_IF_ERROR(to->Clear("audit"));
  }
}

std::string BackupParts::ConfigFolder() const { return config_->node.data_dir + "/config"; }

bool BackupParts::RevisionsHoldSecrets() const {
  for (const Revision& revision : revisions_->List(RevisionStore::kMaxRevisions)) {
    const absl::StatusOr<std::string> text = revisions_->ReadYaml(revision.number);
    const absl::StatusOr<ConfigControl::Document> shown = control_->GetRevision(revision.number);
    if (!text.ok() || !shown.ok() || *text != shown->redacted_yaml) return true;
  }
  return false;
}

absl::Status BackupParts::FillConfig(backup::BackupWriter* to) const {
  to->BeginPart("config");
  const absl::StatusOr<ConfigControl::Document> running = control_->GetRunning();
  if (running.ok()) VD_RETURN_IF_ERROR(to->Text(running->redacted_yaml, "running.yaml"));
  const bool secret = RevisionsHoldSecrets();
  if (secret && !to->keeps_secrets()) {
    to->manifest()->secrets_note =
        "the revisions of the configuration, which hold secrets; running.yaml has what runs";
    return absl::OkStatus();
  }
  // The index names texts that are there before it and go after it.
  const std::string folder = ConfigFolder();
  if (!secret) AddPlace(to, "config", folder);
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    VD_ASSIGN_OR_RETURN(const std::string index,
                        ReadWholeFile(folder + "/index.json", backup::kMaxSecretBytes));
    VD_RETURN_IF_ERROR(FillRevisions(to, index, secret));
    VD_ASSIGN_OR_RETURN(const std::string after,
                        ReadWholeFile(folder + "/index.json", backup::kMaxSecretBytes));
    if (index == after) return absl::OkStatus();
    VD_RETURN_IF_ERROR(to->Clear(secret ? "secrets" : "config"));
  }
  return absl::UnavailableError("config: its revisions do not stand still, try again later");
}

absl::Status BackupParts::FillRevisions(backup::BackupWriter* to, const std::string& index,
                                        bool secret) const {
  const std::string folder = ConfigFolder();
  const auto add = [&](const std::string& name, const std::string& text) {
    return secret ? AddSecret(to, text, absl::StrCat(folder, "/", name))
                  : to->Text(text, absl::StrCat("config/", name));
  };
  VD_RETURN_IF_ERROR(add("index.json", index));
  for (const std::string& name : NamesIn(folder)) {
    if (!absl::EndsWith(name, ".yaml")) continue;
    absl::StatusOr<std::string> text =
        ReadWholeFile(absl::StrCat(folder, "/", name), RevisionStore::kMaxTextBytes);
    if (absl::IsNotFound(text.status())) continue;
    VD_RETURN_IF_ERROR(text.status());
    VD_RETURN_IF_ERROR(add(name, *text));
  }
  return absl::OkStatus();
}

absl::Status BackupParts::AddSecret(backup::BackupWriter* to, std::string_view text,
                                    const std::string& path) const {
  const std::string place = PlaceOf(path);
  // By its place, so that a second attempt gives the same name.
  const std::string name =
      absl::StrCat("secrets/", place[0] == '/' ? absl::string_view(place).substr(1) : place);
  backup::BackupManifest* manifest = to->manifest();
  const auto same = [&](const backup::BackupPlace& one) { return one.from == name; };
  if (std::none_of(manifest->places.begin(), manifest->places.end(), same)) {
    manifest->places.push_back({name, place});
  }
  return to->Secret(text, name);
}

absl::Status BackupParts::AddSecretFile(backup::BackupWriter* to, const std::string& path) const {
  absl::StatusOr<std::string> text = ReadWholeFile(path, backup::kMaxSecretBytes);
  if (!text.ok()) {
    return absl::Status(text.status().code() == absl::StatusCode::kNotFound
                            ? absl::StatusCode::kFailedPrecondition
                            : text.status().code(),
                        absl::StrCat("secrets: ", text.status().message()));
  }
  const absl::Status added = AddSecret(to, *text, path);
  security::Wipe(&*text);
  return added;
}

absl::Status BackupParts::FillSecrets(backup::BackupWriter* to) const {
  to->BeginPart("secrets");
  std::vector<std::string> files = SecretFilesOf(*config_);
  files.insert(files.end(), options_.files.begin(), options_.files.end());
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  if (!to->keeps_secrets()) {
    std::string* note = &to->manifest()->secrets_note;
    const bool any = !files.empty() || access_->guarded();
    if (any)
      absl::StrAppend(note, note->empty() ? "" : "; ", "API keys, users, ", files.size(),
                      " files of keys and certificates");
    return absl::OkStatus();
  }
  for (const std::string& file : files) VD_RETURN_IF_ERROR(AddSecretFile(to, file));
  return FillAuth(to);
}

absl::Status BackupParts::FillAuth(backup::BackupWriter* to) const {
  if (!access_->guarded()) return absl::OkStatus();
  const std::string folder =
      members::FileBelow(config_->node.data_dir, members::SectionOf(*config_, "auth"), "folder");
  VD_ASSIGN_OR_RETURN(std::string keys, access_->keys()->Serialize());
  VD_RETURN_IF_ERROR(AddSecret(to, keys, folder + "/api_keys.db"));
  VD_ASSIGN_OR_RETURN(std::string users, access_->users()->Serialize());
  VD_RETURN_IF_ERROR(AddSecret(to, users, folder + "/users.db"));
  return AddSecretFile(to, folder + "/api_keys.secret");
}

}  // namespace viaduct
