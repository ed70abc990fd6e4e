// The lines of the audit log: one JSON object each, chained by SHA-256, so that a line that is
// changed, taken out or put in between is seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace viaduct::security {

struct AuditRecord {
  std::string who;      // Principal::Describe(), "nobody"
  std::string what;     // "login", "POST /api/blacklist", "viaduct.control.v1.Node/Drain"
  std::string subject;  // On what: a device, an instance, a revision.
  std::string from;     // Peer::address
  std::string result;   // "ok", or why not. Never a secret.
};

// Where the chain stands: whoever notes it elsewhere can prove later that nothing was cut off.
struct AuditHead {
  uint64_t sequence = 0;  // Of the last record; 0: there is none.
  std::string hash;       // In hexadecimal.
};

struct AuditReport {
  uint64_t records = 0;
  uint64_t first = 0;
  AuditHead head;
};

// How far a look goes while the log is written.
struct AuditReach {
  uint64_t last = std::numeric_limits<uint64_t>::max();  // Nothing behind this record.
  std::function<bool()> go_on;  // Asked now and then; false: CANCELLED. May be empty.
};

namespace audit {

inline constexpr size_t kMaxFieldBytes = 512;    // What is longer is cut.
inline constexpr size_t kMaxLineBytes = 24'576;  // Every octet of every field escaped.
inline constexpr std::string_view kCurrentName = "audit.jsonl";

AuditHead Beginning();

// The line of the record that comes after `head`, with its line break, and moves `head`.
std::string WriteLine(const AuditRecord& record, absl::Time time, AuditHead* head);

// Checks a line (without its break) by itself. DATA_LOSS: it is none, or was changed.
struct Line {
  uint64_t sequence = 0;
  std::string previous;
  std::string hash;
};
absl::StatusOr<Line> ReadLine(std::string_view text);
// Another line without an answer from AuditReach::go_on may be looked at.
inline constexpr uint64_t kLinesBetweenQuestions = 1'024;

// Names of the files in their order, the current one last. At most a few thousand are looked at.
absl::StatusOr<std::vector<std::string>> ListFiles(const std::string& folder);
// "audit-000000000042.jsonl" for the 42nd file, and back; 0 for every other name.
std::string RotatedName(uint64_t number);
uint64_t NumberOf(std::string_view name);

}  // namespace audit

// Reads everything that is there, up to `reach`; behind it, what is being written meanwhile may
// look cut. DATA_LOSS names file and line where the chain is broken. With `noted`, a head that was
// noted before, it must still be in it, unless it is older than the oldest file that is kept.
absl::StatusOr<AuditReport> VerifyAudit(const std::string& folder,
                                        const std::optional<AuditHead>& noted,
                                        const AuditReach& reach = AuditReach());

}  // namespace viaduct::security
