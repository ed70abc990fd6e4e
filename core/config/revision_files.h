// The files of the revision store: one text a revision, by number. Internal to the room.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace viaduct {

// "0000000012.yaml"
std::string TextName(uint64_t number);
// The number of a text file's name; 0: it is no such file.
uint64_t NumberOf(const std::string& name);

std::vector<std::string> FilesIn(const std::string& dir);
// Only its owner may look into it.
absl::Status MakeFolder(const std::string& dir);

}  // namespace viaduct
