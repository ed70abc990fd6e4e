// What the audit log says, the newest first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/security/audit_chain.h"

namespace viaduct::security {

struct AuditEntry {
  uint64_t sequence = 0;
  absl::Time time;
  AuditRecord record;
};

// Everything that is given must fit.
struct AuditFilter {
  std::string who;  // A part of it, letters in any case; so are the next two.
  std::string what;
  std::string subject;
  absl::Time since = absl::InfinitePast();
};

// Where a page ended. It stays what it is while records are added and files become full.
struct AuditPosition {
  uint64_t file = 0;  // Its number; the current file's is the one that it will be given.
  uint64_t offset = 0;
};

struct AuditPage {
  std::vector<AuditEntry> entries;
  std::optional<AuditPosition> next;  // Nothing: there is no more.
  uint64_t unreadable = 0;            // Lines that are no record; VerifyAudit says where they are.
};

inline constexpr uint64_t kMaxAuditScanBytes = 64u << 20;  // Looked at for one page.

// At most `max_entries` that fit, from `from` or from the newest. A page may hold fewer, also none,
// and yet have a `next`. Does not judge the chain. `go_on` is asked now and then; false: CANCELLED.
// It may be empty.
absl::StatusOr<AuditPage> ReadAudit(const std::string& folder, const AuditFilter& filter,
                                    const std::optional<AuditPosition>& from, size_t max_entries,
                                    const std::function<bool()>& go_on);

namespace audit {

// One line without its break. DATA_LOSS: it is no record. Does not look at hashes.
absl::StatusOr<AuditEntry> ReadEntry(std::string_view text);

}  // namespace audit

}  // namespace viaduct::security
