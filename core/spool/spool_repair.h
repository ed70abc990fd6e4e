// A spool file looked at, and what can be read of it copied, without a node and without touching
// it. A node does the same by itself when it opens a damaged file; this is for people.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/spool/spool.h"

namespace viaduct {

struct SpoolInspection {
  std::string path;
  int64_t bytes = 0;      // Of the file.
  int64_t log_bytes = 0;  // Of its log.
  bool state_found = false;
  std::array<int64_t, 3> messages{};  // By priority, high first: rows that prove themselves.
  std::array<int64_t, 3> expected{};  // What the state says; 0 without one.
  int64_t dead = 0;
  int64_t expected_dead = 0;
  int64_t encrypted = 0;              // Of the messages; they need the node's key.
  int64_t damaged_rows = 0;           // Looked like a message and failed their checksum.
  bool log_has_tail = false;          // The log goes on behind what SQLite would take.
  std::vector<std::string> problems;  // In words; none: sound.
};

// `path` is the file, or the folder that has a spool.db. NOT_FOUND; FAILED_PRECONDITION: a node has
// it open.
absl::StatusOr<SpoolInspection> InspectSpool(const std::string& path);

// Everything readable into `to`/spool.db; `to` is absent or an empty folder. What was copied of the
// damaged file to do so is removed. As InspectSpool; ALREADY_EXISTS.
absl::StatusOr<DamageReport> RepairSpool(const std::string& path, const std::string& to);

}  // namespace viaduct
