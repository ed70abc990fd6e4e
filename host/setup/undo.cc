#include "host/setup/undo.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/durable_file.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "host/setup/accounts.h"

namespace viaduct::setup {
namespace {

std::string DigestOf(const FileState& state) {
  return state.exists ? HexSha256(state.text) : std::string();
}

absl::StatusOr<FileState> StateBefore(const Journal& journal, const JournalEntry& entry) {
  FileState state = entry.before;
  if (!state.exists) return state;
  VD_ASSIGN_OR_RETURN(state.text, journal.TextBefore(entry));
  return state;
}

absl::StatusOr<UndoStep> PlanFile(const Journal& journal, const JournalEntry& entry,
                                  FileState now) {
  UndoStep step;
  step.entry = entry;
  VD_ASSIGN_OR_RETURN(step.before, StateBefore(journal, entry));
  // Also as it was: the setup came no further than the journal, or an undo no further than this.
  const std::string digest = DigestOf(now);
  step.changed = digest != entry.after_sha256 && digest != DigestOf(step.before);
  step.now = std::move(now);
  return step;
}

absl::Status UndoFile(const Root& root, const UndoStep& step, bool force) {
  if (step.changed && !force) {
    return absl::FailedPreconditionError(
        absl::StrCat(step.entry.subject, ": was changed since, --force puts it back"));
  }
  return step.before.exists ? root.Write(step.entry.subject, step.before)
                            : root.Remove(step.entry.subject);
}

absl::Status UndoFolder(const Root& root, const std::string& path) {
  VD_ASSIGN_OR_RETURN(const std::string there, root.Inside(path));
  if (::rmdir(there.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  if (errno == ENOTEMPTY || errno == EEXIST) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": is not empty"));
  }
  return FileFailure(there, "remove");
}

absl::Status UndoEntry(const Root& root, const Journal& journal, const JournalEntry& entry,
                       bool force) {
  if (entry.kind == StepKind::kFolder) return UndoFolder(root, entry.subject);
  if (entry.kind != StepKind::kFile) return RemoveAccount(root, entry.kind, entry.subject, force);
  VD_ASSIGN_OR_RETURN(FileState now, root.Read(entry.subject));
  VD_ASSIGN_OR_RETURN(const UndoStep step, PlanFile(journal, entry, std::move(now)));
  return UndoFile(root, step, force);
}

void AddOnce(const std::string& service, std::vector<std::string>* services) {
  if (service.empty()) return;
  if (std::find(services->begin(), services->end(), service) == services->end()) {
    services->push_back(service);
  }
}

}  // namespace

absl::StatusOr<std::vector<UndoStep>> PlanUndo(const Root& root, const Journal& journal) {
  std::vector<UndoStep> steps;
  std::map<std::string, FileState> files;  // As they will be by then.
  for (auto entry = journal.entries().rbegin(); entry != journal.entries().rend(); ++entry) {
    if (entry->kind != StepKind::kFile) {
      steps.emplace_back().entry = *entry;
      continue;
    }
    auto known = files.find(entry->subject);
    if (known == files.end()) {
      VD_ASSIGN_OR_RETURN(FileState now, root.Read(entry->subject));
      known = files.emplace(entry->subject, std::move(now)).first;
    }
    VD_ASSIGN_OR_RETURN(UndoStep step, PlanFile(journal, *entry, known->second));
    if (!step.changed) known->second = step.before;
    steps.push_back(std::move(step));
  }
  return steps;
}

absl::StatusOr<UndoResult> Undo(const Root& root, bool force, Journal* journal) {
  UndoResult result;
  for (size_t i = journal->entries().size(); i-- > 0;) {
    const JournalEntry entry = journal->entries()[i];
    const absl::Status undone = UndoEntry(root, *journal, entry, force);
    if (absl::IsFailedPrecondition(undone)) {
      result.left.emplace_back(undone.message());
      continue;
    }
    if (!undone.ok()) return undone;
    AddOnce(entry.service, &result.services);
    VD_RETURN_IF_ERROR(journal->Forget(i));
  }
  return result;
}

}  // namespace viaduct::setup
