// Reads what a server has stored straight from its SQLite file and its image folder, past all of
// its code. The server should be stopped: the file is opened read-only, and a write-ahead log that
// was left by a kill is read with it.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace viaduct::support {

struct StoreFiles {
  std::string database;
  std::string images;             // Image paths of the database are below it.
  std::string source = "sqlite";  // Name in the ledger's log.
};

// One `stored` line for each detection. The id is the plate text of its first OCR result; the
// digest is PayloadDigest() of the stored payload with its images read back from their files.
absl::Status WriteStoredRows(const StoreFiles& files, const std::string& out_path);

}  // namespace viaduct::support
