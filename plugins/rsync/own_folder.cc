#include "plugins/rsync/own_folder.h"

#include <unistd.h>

#include <array>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "plugins/common/local_file.h"
#include "plugins/common/remote_name.h"

namespace viaduct::rsync {
namespace {

constexpr char kMachineId[] = "/etc/machine-id";
constexpr size_t kDigits = 16;

// Machines that were copied from one another have one id, and often different names.
std::string MachineName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) name[0] = '\0';
  std::string id;
  std::getline(std::ifstream(kMachineId), id);
  return absl::StrCat(id, " ", name.data());
}

}  // namespace

std::string OwnFolder(const ServerOptions& server) {
  Sha256 digest;
  digest.Update(absl::StrJoin(
      {MachineName(), std::to_string(geteuid()), server.host, std::to_string(server.port),
       server.user, server.remote_path, server.key_file, absl::StrJoin(server.more, " ")},
      "\n"));
  return absl::StrCat(kPartialFolder, "/", digest.Hex().substr(0, kDigits));
}

std::string PartOf(std::string_view name) {
  const std::string_view folder = FolderOf(name);
  const std::string_view base = folder.empty() ? name : name.substr(folder.size() + 1);
  return absl::StrCat(std::string(folder), folder.empty() ? "" : "/", kPartialFolder, "/",
                      std::string(base));
}

}  // namespace viaduct::rsync
