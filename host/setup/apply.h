// Does what a setup consists of, as far as the machine is not like that already.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/disk_files.h"
#include "host/setup/journal.h"
#include "host/setup/root.h"
#include "host/setup/step.h"

namespace viaduct::setup {

struct Change {
  Step step;
  FileState before;  // Of a file.
  FileState after;
  // Somebody else wrote what is there: neither deploy/ nor an earlier setup.
  bool foreign = false;
};

// What differs from `steps`, in their order. Changes nothing.
absl::StatusOr<std::vector<Change>> Pending(const Root& root, const Journal& journal,
                                            const std::vector<Step>& steps);

// Makes the folder of the journal and holds it against other setups. FAILED_PRECONDITION when one
// is under way.
absl::StatusOr<disk::LockFile> LockJournal(const Root& root);

// Each is in the journal before it is done, so that what fails in the middle can be undone.
absl::Status Apply(const Root& root, const std::vector<Change>& changes, Journal* journal);

// "--- a\n+++ b\n@@ ..." by diff(1); for a secret a line without it.
absl::StatusOr<std::string> DiffText(const std::string& path, const FileState& before,
                                     const FileState& after, bool secret);

// Starts those services again that have to take notice, where systemd runs, with `verb` of
// systemctl. `lines` tell what was done, or is left to do. FAILED_PRECONDITION with what the first
// one said that did not start.
absl::Status RestartServices(const Root& root, const std::vector<std::string>& services,
                             const char* verb, std::vector<std::string>* lines);

}  // namespace viaduct::setup
