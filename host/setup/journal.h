// What setups have done to a machine, so that it can be put back: /var/lib/viaduct-setup, for root
// alone. An entry and the file as it was are on the disk before anything is changed.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "host/setup/root.h"
#include "host/setup/step.h"

namespace viaduct::setup {

struct JournalEntry {
  StepKind kind = StepKind::kFile;
  std::string subject;
  std::string service;
  // Of a file: what was there, its text by its digest, and the digest of what was written.
  FileState before;
  std::string before_sha256;
  std::string after_sha256;
};

inline constexpr char kJournalFolder[] = "/var/lib/viaduct-setup";
inline constexpr size_t kMaxJournalEntries = 10000;

// Thread-compatible. Two programs must not change one at once: see Lock in apply.h.
class Journal {
 public:
  // An empty one where there is none. DATA_LOSS: it is damaged.
  static absl::StatusOr<Journal> Open(const Root& root);

  const std::vector<JournalEntry>& entries() const { return entries_; }
  // Whether a setup wrote this text as the last one there.
  bool Wrote(const std::string& path, const std::string& text) const;

  // Keeps `entry` and the text of what was there.
  absl::Status Add(JournalEntry entry);
  // The text that was there before. DATA_LOSS when it is not what was kept.
  absl::StatusOr<std::string> TextBefore(const JournalEntry& entry) const;
  // Forgets the entry at `index`; with the last one goes the folder.
  absl::Status Forget(size_t index);

 private:
  explicit Journal(const Root& root) : root_(root) {}
  absl::Status Save() const;

  const Root root_;
  std::string folder_;
  std::vector<JournalEntry> entries_;
};

}  // namespace viaduct::setup
