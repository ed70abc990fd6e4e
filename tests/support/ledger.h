// The judge of the fault tests. It sits outside of every node, believes only what was read from a
// socket or from the server's store, and knows nothing of how a node works.
//
// Log format, one line an event, fields separated by one blank (docs/TESTING.md):
//   claimed <id> <digest>            the generator is about to send it
//   accepted <id>                    its OK was read: from here on it is an obligation
//   mark <name>                      a point in the run, e.g. "faults-over"
//   stored <source> <id> <digest>    one row seen in the store; digest "-": the source shows none
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"

namespace viaduct::support {

// The name of a stored row that has none, or none that can be read.
inline constexpr std::string_view kNameless = "?";
// How many ids of each kind of mistake are named in a report.
inline constexpr size_t kMaxNamedIds = 10;

struct LedgerRules {
  uint64_t max_lost = 0;  // What the node itself has counted as lost (damage runs only).
  // Rows that differ or name nobody because damage hit them where nothing notices (damage runs
  // only).
  uint64_t max_altered = 0;
  uint64_t min_stored = 1;  // A run that stored nothing proves nothing.
  std::string fresh_mark;   // When set: after this mark messages must have flowed again,
  uint64_t min_fresh = 1;   // at least so many accepted and stored.
};

// What one source (the SQLite file, the REST API) shows, held against the obligations.
struct SourceVerdict {
  uint64_t rows = 0;
  uint64_t stored = 0;  // Distinct claimed ids.
  uint64_t lost = 0;
  uint64_t doubled = 0;
  uint64_t changed = 0;
  uint64_t unknown = 0;
  uint64_t unasked = 0;  // Stored although its OK was never read: allowed, at most once.
  uint64_t fresh = 0;
  std::map<std::string, std::vector<std::string>> named;  // Kind of mistake -> first ids.
};

struct Verdict {
  uint64_t claimed = 0;
  uint64_t obligations = 0;
  std::map<std::string, SourceVerdict> sources;
  std::vector<std::string> mistakes;  // Empty: all is well.
  bool ok() const { return mistakes.empty(); }
  std::string ToJson() const;
  std::string ToText() const;
};

// Thread-compatible.
class Ledger {
 public:
  // Adds a log. A line that is not in the format is INVALID_ARGUMENT with its number: a judge that
  // skips what it cannot read would be blind.
  absl::Status Read(std::istream& in, std::string_view name);
  absl::Status ReadFile(const std::string& path);

  void Claim(std::string_view id, std::string_view digest);
  absl::Status Accept(std::string_view id);
  void Mark(std::string_view name);
  void Store(std::string_view source, std::string_view id, std::string_view digest);

  Verdict Judge(const LedgerRules& rules) const;

 private:
  struct Entry {
    std::string digest;
    uint64_t order = 0;  // Position of the claim among all events.
    bool accepted = false;
    bool ambiguous = false;  // Claimed twice with different digests: the generator is broken.
  };
  struct Seen {
    uint32_t times = 0;
    std::string digest;
  };
  using SeenById = std::unordered_map<std::string, Seen>;

  absl::Status ReadLine(std::string_view line);
  SourceVerdict JudgeSource(const SeenById& seen, uint64_t fresh_order) const;

  std::unordered_map<std::string, Entry> entries_;
  std::unordered_map<std::string, uint64_t> marks_;
  std::map<std::string, SeenById> sources_;
  uint64_t order_ = 0;
};

}  // namespace viaduct::support
