#include "host/setup/apply.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/descriptor.h"
#include "core/base/durable_file.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "host/setup/accounts.h"
#include "host/setup/deploy_files.h"
#include "host/setup/program.h"

namespace viaduct::setup {
namespace {

// What a package puts there, and nobody has touched.
bool IsFromDeploy(const std::string& text) {
  constexpr std::array<std::string_view, 2> kNodeFiles = {"node/edge.yaml", "node/server.yaml"};
  return std::any_of(kNodeFiles.begin(), kNodeFiles.end(),
                     [&](std::string_view name) { return DeployFile(name) == text; });
}

absl::StatusOr<bool> FolderIsThere(const Root& root, const std::string& path) {
  VD_ASSIGN_OR_RETURN(const std::string there, root.Inside(path));
  struct stat found {};
  if (::lstat(there.c_str(), &found) != 0) {
    if (errno == ENOENT) return false;
    return FileFailure(there, "look at");
  }
  if (S_ISDIR(found.st_mode)) return true;
  return absl::FailedPreconditionError(absl::StrCat(path, ": is no folder"));
}

absl::Status FillOwner(const Root& root, const Step& step, FileState* after) {
  VD_ASSIGN_OR_RETURN(after->uid, root.User(step.owner));
  VD_ASSIGN_OR_RETURN(after->gid, root.Group(step.group));
  after->exists = true;
  after->mode = step.mode;
  after->text = step.text;
  return absl::OkStatus();
}

bool Same(const FileState& a, const FileState& b) {
  return a.exists && b.exists && a.text == b.text && a.mode == b.mode && a.uid == b.uid &&
         a.gid == b.gid;
}

// False: it is like that already.
absl::StatusOr<bool> Differs(const Root& root, const Journal& journal, Change* change) {
  const Step& step = change->step;
  if (step.kind != StepKind::kFile && step.kind != StepKind::kFolder) {
    VD_ASSIGN_OR_RETURN(const bool there, AccountExists(root, step.kind, step.subject));
    return !there;
  }
  VD_RETURN_IF_ERROR(FillOwner(root, step, &change->after));
  if (step.kind == StepKind::kFolder) {
    VD_ASSIGN_OR_RETURN(const bool there, FolderIsThere(root, step.subject));
    return !there;
  }
  VD_ASSIGN_OR_RETURN(change->before, root.Read(step.subject));
  const FileState& before = change->before;
  change->foreign = before.exists && before.text != step.text && !step.shared &&
                    !IsFromDeploy(before.text) && !journal.Wrote(step.subject, before.text);
  return !Same(before, change->after);
}

absl::Status MakeFolder(const Root& root, const Change& change) {
  VD_ASSIGN_OR_RETURN(const std::string there, root.Inside(change.step.subject));
  if (::mkdir(there.c_str(), 0700) != 0) return FileFailure(there, "make");
  if (::chown(there.c_str(), change.after.uid, change.after.gid) != 0) {
    return FileFailure(there, "give away");
  }
  if (::chmod(there.c_str(), change.after.mode) != 0) return FileFailure(there, "protect");
  return disk::SyncDirectoryOf(there);
}

absl::Status Do(const Root& root, const Change& change) {
  switch (change.step.kind) {
    case StepKind::kFile:
      return root.Write(change.step.subject, change.after);
    case StepKind::kFolder:
      return MakeFolder(root, change);
    default:
      return MakeAccount(root, change.step.kind, change.step.subject);
  }
}

}  // namespace

absl::StatusOr<std::vector<Change>> Pending(const Root& root, const Journal& journal,
                                            const std::vector<Step>& steps) {
  std::vector<Change> changes;
  std::set<std::pair<StepKind, std::string>> seen;  // Two parts may want the same folder.
  for (const Step& step : steps) {
    if (!seen.emplace(step.kind, step.subject).second) continue;
    Change change;
    change.step = step;
    VD_ASSIGN_OR_RETURN(const bool differs, Differs(root, journal, &change));
    if (differs) changes.push_back(std::move(change));
  }
  return changes;
}

absl::StatusOr<disk::LockFile> LockJournal(const Root& root) {
  VD_ASSIGN_OR_RETURN(const std::string folder, root.Inside(kJournalFolder));
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error || ::chmod(folder.c_str(), 0700) != 0) return FileFailure(folder, "make");
  return disk::LockFile::Acquire(folder + "/lock");
}

absl::Status Apply(const Root& root, const std::vector<Change>& changes, Journal* journal) {
  for (const Change& change : changes) {
    JournalEntry entry;
    entry.kind = change.step.kind;
    entry.subject = change.step.subject;
    entry.service = change.step.service;
    entry.before = change.before;
    entry.after_sha256 = HexSha256(change.after.text);
    VD_RETURN_IF_ERROR(journal->Add(std::move(entry)));
    VD_RETURN_IF_ERROR(Do(root, change));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> DiffText(const std::string& path, const FileState& before,
                                     const FileState& after, bool secret) {
  const std::string old_label = before.exists ? path : "/dev/null";
  const std::string new_label = after.exists ? path : "/dev/null";
  if (secret || before.text == after.text) {
    return absl::StrFormat("--- %s\n+++ %s\n(%s, mode %04o, %u:%u)\n", old_label, new_label,
                           secret ? "a secret, not shown" : "the same text", after.mode, after.uid,
                           after.gid);
  }
  const std::string shape = std::filesystem::temp_directory_path() / "viaduct-setup-XXXXXX";
  std::string old_text = shape;
  const Descriptor file(::mkstemp(old_text.data()));  // Mode 0600.
  if (file.get() < 0) return FileFailure(old_text, "create");
  absl::Status written = WriteAll(file.get(), old_text, before.text);
  absl::StatusOr<ProgramEnd> result = written.ok()
                                          ? RunToEnd({"diff", "-u", "--label", old_label, "--label",
                                                      new_label, "--", old_text, "-"},
                                                     after.text)
                                          : absl::StatusOr<ProgramEnd>(written);
  static_cast<void>(::unlink(old_text.c_str()));
  if (!result.ok()) return result.status();
  if (result->exit_code <= 1) return std::move(result->output);
  return absl::FailedPreconditionError(absl::StrCat("diff: ", result->errors));
}

absl::Status RestartServices(const Root& root, const std::vector<std::string>& services,
                             const char* verb, std::vector<std::string>* lines) {
  std::vector<std::vector<std::string>> commands;
  if (!services.empty()) commands.push_back({"systemctl", "daemon-reload"});
  for (const std::string& service : services) {
    if (service == "ssh.service") commands.push_back({"/usr/sbin/sshd", "-t"});
    commands.push_back({"systemctl", verb, service});
  }
  const bool runs = root.is_system() && root.Has("/run/systemd/system");
  for (const std::vector<std::string>& command : commands) {
    const std::string text = absl::StrJoin(command, " ");
    if (!runs) {
      lines->push_back(absl::StrCat("left to do, systemd is not running: ", text));
      continue;
    }
    VD_RETURN_IF_ERROR(RunToSuccess(command).status());  // sshd -t: it would not start any more.
    lines->push_back(absl::StrCat("done: ", text));
  }
  return absl::OkStatus();
}

}  // namespace viaduct::setup
