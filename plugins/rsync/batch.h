// The files of one run of rsync: checked before it, and again when the server has them.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plugins/common/file_job.h"
#include "plugins/common/local_file.h"

namespace viaduct::rsync {

// A file that is open, and was what its job says when it was opened.
struct Item {
  FileJob job;
  LocalFile file;
  std::string digest;
  uint64_t told = 0;     // Octets of it that passed, as was told.
  absl::Status changed;  // Not OK: the server has, or may have, what is no content of it.
};

// NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT, ABORTED: the job can not be done. CANCELLED:
// `stop` came. Reads all of the file.
absl::StatusOr<Item> OpenItem(const FileJob& job, const std::atomic<bool>& stop);

// ABORTED: it is no longer what it was. Reads all of it.
absl::Status CheckItem(const Item& item, const std::atomic<bool>& stop);

std::vector<std::string> NamesOf(const std::vector<Item>& items);
// As rsync reads them from its standard input.
std::string ListOf(const std::vector<std::string>& names);

}  // namespace viaduct::rsync
