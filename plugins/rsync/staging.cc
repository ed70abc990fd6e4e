#include "plugins/rsync/staging.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "plugins/common/remote_name.h"
#include "plugins/rsync/own_folder.h"

namespace viaduct::rsync {
namespace {

constexpr char kPrefix[] = "viaduct-rsync-";
constexpr mode_t kOwnerOnly = 0600;
constexpr mode_t kOwnerRuns = 0700;

absl::Status Trouble(const std::string& what, int error) {
  return absl::UnavailableError(absl::StrCat("staging: ", what, ", ", std::strerror(error)));
}

// Of this process, as its children reach it.
std::string PathOfDescriptor(int fd) { return absl::StrCat("/proc/", getpid(), "/fd/", fd); }

absl::Status WriteAll(int fd, std::string_view text, const std::string& what) {
  while (!text.empty()) {
    const ssize_t put = write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Trouble(what, errno);
    text.remove_prefix(static_cast<size_t>(put));
  }
  return absl::OkStatus();
}

absl::Status WriteFile(const std::string& path, std::string_view text, mode_t mode) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) return Trouble(path, errno);
  const absl::Status status = WriteAll(fd, text, path);
  close(fd);
  return status;
}

// In memory: it is on no disk that somebody might find.
absl::Status KeepSecret(const std::string& secret, int* fd) {
  *fd = memfd_create("viaduct-rsync", MFD_CLOEXEC);
  if (*fd < 0) return Trouble("memfd", errno);
  fchmod(*fd, kOwnerOnly);
  return WriteAll(*fd, secret, "memfd");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Staging>> Staging::Make(const ServerOptions& server) {
  std::error_code error;
  const std::string base = std::filesystem::temp_directory_path(error).string();
  if (error) return absl::UnavailableError("staging: no temporary folder, " + error.message());
  absl::StatusOr<std::unique_ptr<PrivateFolder>> folder = PrivateFolder::Make(base, kPrefix);
  if (!folder.ok()) return folder.status();
  std::unique_ptr<Staging> staging(new Staging(*std::move(folder)));
  const absl::Status status = staging->Fill(server);
  if (!status.ok()) return status;
  return staging;
}

Staging::Staging(std::unique_ptr<PrivateFolder> folder) : folder_(std::move(folder)) {}

Staging::~Staging() {
  for (const int fd : {password_fd_, passphrase_fd_}) {
    if (fd >= 0) close(fd);
  }
}

absl::Status Staging::Fill(const ServerOptions& server) {
  const std::string& folder = folder_->path();
  if (folder.find('\'') != std::string::npos) {
    return absl::FailedPreconditionError("staging: a temporary folder with a quote in its name");
  }
  paths_.staging = folder + "/files";
  paths_.config = folder + "/ssh_config";
  paths_.own = OwnFolder(server);
  paths_.session = folder + "/session";
  environment_ = {"PATH=/usr/bin:/bin", "LC_ALL=C"};
  std::error_code error;
  std::filesystem::create_directories(PathOf(paths_.own), error);
  if (error) return Trouble(paths_.staging, error.value());
  if (!server.daemon) return FillForSsh(server);
  if (server.password.empty()) return absl::OkStatus();
  // rsync follows no link to what has no name, so here it is a file.
  paths_.password = folder + "/password";
  return WriteFile(paths_.password, server.password + "\n", kOwnerOnly);
}

absl::Status Staging::FillForSsh(const ServerOptions& server) {
  paths_.pinned = folder_->path() + "/pinned";
  absl::Status status = WriteFile(paths_.config, SshConfigOf(server, paths_), kOwnerOnly);
  if (status.ok() && !server.fingerprints.empty()) {
    // Its arguments: fingerprint, name, kind and key of the server.
    const std::string any = absl::StrJoin(server.fingerprints, "|");
    status = WriteFile(
        paths_.pinned,
        absl::StrCat("#!/bin/sh\ncase \"$1\" in\n", any, ") echo \"$2 $3 $4\" ;;\nesac\n"),
        kOwnerRuns);
  }
  if (!status.ok() || (server.password.empty() && server.passphrase.empty())) return status;
  return WriteAskPass(server);
}

// ssh asks this program; its argument says for what.
absl::Status Staging::WriteAskPass(const ServerOptions& server) {
  const auto kept = [](const std::string& secret, int* fd) {
    return secret.empty() ? absl::OkStatus() : KeepSecret(secret, fd);
  };
  absl::Status status = kept(server.password, &password_fd_);
  if (status.ok()) status = kept(server.passphrase, &passphrase_fd_);
  if (!status.ok()) return status;
  const auto answer = [](int fd) {
    return fd < 0 ? std::string("exit 1") : absl::StrCat("exec cat ", PathOfDescriptor(fd));
  };
  const std::string ask = folder_->path() + "/askpass";
  environment_.push_back("SSH_ASKPASS=" + ask);
  environment_.push_back("SSH_ASKPASS_REQUIRE=force");
  environment_.push_back("DISPLAY=:0");  // Older ones of ssh want it, and nothing is shown there.
  return WriteFile(
      ask,
      absl::StrCat("#!/bin/sh\ncase \"$1\" in\n\"Enter passphrase for key \"*) ",
                   answer(passphrase_fd_), " ;;\n*) ", answer(password_fd_), " ;;\nesac\n"),
      kOwnerRuns);
}

absl::Status Staging::MakeFolder(const std::string& name) {
  std::error_code error;
  std::filesystem::create_directories(PathOf(std::string(FolderOf(name))), error);
  return error ? Trouble(name, error.value()) : absl::OkStatus();
}

absl::Status Staging::Link(const std::string& name, int fd) {
  const absl::Status made = MakeFolder(name);
  if (!made.ok()) return made;
  unlink(PathOf(name).c_str());
  if (symlink(PathOfDescriptor(fd).c_str(), PathOf(name).c_str()) != 0) return Trouble(name, errno);
  return absl::OkStatus();
}

absl::Status Staging::Seed(const std::string& name) {
  const absl::Status made = MakeFolder(name);
  if (!made.ok()) return made;
  unlink(PathOf(name).c_str());
  return WriteFile(PathOf(name), "", kOwnerOnly);
}

bool Staging::Linked(const std::string& name) const {
  struct stat facts {};
  return lstat(PathOf(name).c_str(), &facts) == 0;
}

void Staging::Unlink(const std::string& name) {
  const std::string path = PathOf(name);
  if (unlink(path.c_str()) != 0 && errno != ENOENT && errno != ENOTDIR) return;
  // Its folders, as far as no other file is in them.
  std::string_view folder = FolderOf(name);
  while (!folder.empty() && rmdir(PathOf(std::string(folder)).c_str()) == 0) {
    folder = FolderOf(folder);
  }
}

}  // namespace viaduct::rsync
