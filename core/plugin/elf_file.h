// What the header of a shared library says, read without loading it: nothing of the file runs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace viaduct {

struct ElfFile {
  std::vector<std::string> needed;   // DT_NEEDED: the libraries it wants.
  std::vector<std::string> exports;  // Defined symbols that others can see; at most kMaxExports.
};

constexpr uint64_t kMaxElfBytes = 256u << 20;
constexpr size_t kMaxElfNeeded = 256;
constexpr size_t kMaxElfExports = 4096;

// The octets of a file that may be a library. INVALID_ARGUMENT when it is no regular file or too
// large; NOT_FOUND, PERMISSION_DENIED and the like are the file system's.
absl::StatusOr<std::string> ReadLibraryFile(const std::string& path);

// INVALID_ARGUMENT says why this is no shared library for this machine. Accepts any octets.
absl::StatusOr<ElfFile> ParseElf(std::string_view octets);

}  // namespace viaduct
