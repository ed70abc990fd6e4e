// Puts back what setups have done, the last thing first.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "host/setup/journal.h"
#include "host/setup/root.h"

namespace viaduct::setup {

// What an undo would do with one entry.
struct UndoStep {
  JournalEntry entry;
  FileState now;         // Of a file: as it is,
  FileState before;      // and as it will be.
  bool changed = false;  // Since the setup: it is left alone, unless forced.
};

absl::StatusOr<std::vector<UndoStep>> PlanUndo(const Root& root, const Journal& journal);

struct UndoResult {
  std::vector<std::string> left;      // What was not undone, and why.
  std::vector<std::string> services;  // Those that have to take notice.
};

// What is not undone stays in the journal. `force`: also what was changed since, and databases that
// have tables; folders with something in them stay even then.
absl::StatusOr<UndoResult> Undo(const Root& root, bool force, Journal* journal);

}  // namespace viaduct::setup
