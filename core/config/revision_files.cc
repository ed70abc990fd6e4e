#include "core/config/revision_files.h"

#include <dirent.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace viaduct {

std::string TextName(uint64_t number) { return absl::StrFormat("%010d.yaml", number); }

uint64_t NumberOf(const std::string& name) {
  uint64_t number = 0;
  if (name.size() < 6 || name.substr(name.size() - 5) != ".yaml") return 0;
  return absl::SimpleAtoi(name.substr(0, name.size() - 5), &number) ? number : 0;
}

std::vector<std::string> FilesIn(const std::string& dir) {
  std::vector<std::string> names;
  DIR* open = ::opendir(dir.c_str());
  if (open == nullptr) return names;
  while (const dirent* entry = ::readdir(open)) names.emplace_back(entry->d_name);
  ::closedir(open);
  return names;
}

absl::Status MakeFolder(const std::string& dir) {
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::UnavailableError(
        absl::StrCat("config: ", dir, ": cannot create, ", std::strerror(errno)));
  }
  ::chmod(dir.c_str(), 0700);
  return absl::OkStatus();
}

}  // namespace viaduct
