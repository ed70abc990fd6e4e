// A folder that looks like the one on the server is to look: links to the files of a batch, below
// their names there.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plugins/rsync/private_folder.h"
#include "plugins/rsync/server.h"

namespace viaduct::rsync {

// Thread-compatible. Private to the process; gone with the object, or with the next one that is
// made where the process was killed.
class Staging {
 public:
  // UNAVAILABLE: the machine is in trouble.
  static absl::StatusOr<std::unique_ptr<Staging>> Make(const ServerOptions& server);
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  ~Staging();

  const RunPaths& paths() const { return paths_; }
  // Of the children: a password is in none of it, only where it can be read.
  const std::vector<std::string>& environment() const { return environment_; }

  // The one that `name` is in: without it the folder would be what is missing.
  absl::Status MakeFolder(const std::string& name);
  // `name` leads to the file that is open as `fd` here, whatever becomes of its path.
  absl::Status Link(const std::string& name, int fd);
  // An empty file at `name`.
  absl::Status Seed(const std::string& name);
  bool Linked(const std::string& name) const;
  void Unlink(const std::string& name);

 private:
  explicit Staging(std::unique_ptr<PrivateFolder> folder);
  absl::Status Fill(const ServerOptions& server);
  absl::Status FillForSsh(const ServerOptions& server);
  absl::Status WriteAskPass(const ServerOptions& server);
  std::string PathOf(const std::string& name) const { return paths_.staging + "/" + name; }

  const std::unique_ptr<PrivateFolder> folder_;
  int password_fd_ = -1;
  int passphrase_fd_ = -1;
  RunPaths paths_;
  std::vector<std::string> environment_;
};

}  // namespace viaduct::rsync
