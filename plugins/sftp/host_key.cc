#include "plugins/sftp/host_key.h"

#include <fcntl.h>
#include <libssh/libssh.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "plugins/common/remote_name.h"

namespace viaduct::sftp {
namespace {

struct FreeText {
  void operator()(char* text) const { ssh_string_free_char(text); }
};
using SshText = std::unique_ptr<char, FreeText>;

// "" where there is none.
std::string Fingerprint(ssh_session session) {
  ssh_key key = nullptr;
  if (ssh_get_server_publickey(session, &key) != SSH_OK) return "";
  unsigned char* hash = nullptr;
  size_t size = 0;
  const int code = ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &size);
  ssh_key_free(key);
  if (code != SSH_OK) return "";
  const SshText text(ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, size));
  ssh_clean_pubkey_hash(&hash);
  return text == nullptr ? "" : text.get();
}

absl::Status StoreError(const std::string& path, int error) {
  return absl::FailedPreconditionError(
      absl::StrCat("known_hosts: ", path, " can not be written, ", std::strerror(error)));
}

bool SyncFolder(const std::string& path) {
  const std::string folder(FolderOf(path));
  const int fd = open(folder.empty() ? "/" : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool synced = fsync(fd) == 0;
  return close(fd) == 0 && synced;
}

// All of `line`, as a line of its own, or nothing of it: half a line would make the server a
// stranger for ever. 0, or what is wrong.
int AppendLine(int fd, std::string_view line) {
  struct stat facts {};
  if (fstat(fd, &facts) != 0) return errno;
  char last = '\n';
  if (facts.st_size > 0 && pread(fd, &last, 1, facts.st_size - 1) != 1) return EIO;
  const std::string text = absl::StrCat(last == '\n' ? "" : "\n", std::string(line));
  const ssize_t written = write(fd, text.data(), text.size());
  const bool all = written == static_cast<ssize_t>(text.size());
  if (all && fsync(fd) == 0) return 0;
  const int error = all || written < 0 ? errno : ENOSPC;
  return ftruncate(fd, facts.st_size) == 0 ? error : errno;
}

// A server that was accepted stays so when the power goes: or any other could be next time.
absl::Status Append(const std::string& path, std::string_view line) {
  const int fd = open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return StoreError(path, errno);
  const int error = AppendLine(fd, line);
  close(fd);
  if (error != 0) return StoreError(path, error);
  return SyncFolder(path) ? absl::OkStatus() : StoreError(path, errno);
}

// A line for this server that libssh can not read makes it unknown for ssh_session_is_known_server,
// but may have been its key.
bool IsStranger(ssh_session session) {
  const ssh_known_hosts_e entry = ssh_session_has_known_hosts_entry(session);
  return entry == SSH_KNOWN_HOSTS_UNKNOWN || entry == SSH_KNOWN_HOSTS_NOT_FOUND;
}

absl::Status Accept(ssh_session session, const std::string& path) {
  char* raw = nullptr;
  if (ssh_session_export_known_hosts_entry(session, &raw) != SSH_OK) {
    return absl::UnavailableError("host key: can not be written down");
  }
  const SshText entry(raw);
  return Append(path, entry.get());  // A whole line.
}

absl::Status CheckKnown(ssh_session session, const std::string& about,
                        const HostKeyOptions& options) {
  const std::string file = options.known_hosts.empty() ? "known_hosts" : options.known_hosts;
  switch (ssh_session_is_known_server(session)) {
    case SSH_KNOWN_HOSTS_OK:
      return absl::OkStatus();
    case SSH_KNOWN_HOSTS_CHANGED:
    case SSH_KNOWN_HOSTS_OTHER:
      return absl::FailedPreconditionError(
          absl::StrCat(about, " has CHANGED, ", file, " has another: somebody may be in between"));
    case SSH_KNOWN_HOSTS_UNKNOWN:
    case SSH_KNOWN_HOSTS_NOT_FOUND:
      if (options.policy == HostKeyOptions::Policy::kAcceptNew) {
        if (!IsStranger(session)) {
          return absl::FailedPreconditionError(
              absl::StrCat(about, " can not be compared, a line for it in ", file,
                           " can not be read: mend or remove the line"));
        }
        return Accept(session, options.known_hosts);
      }
      return absl::FailedPreconditionError(absl::StrCat(about, " is not in ", file));
    case SSH_KNOWN_HOSTS_ERROR:
      break;
  }
  return absl::FailedPreconditionError(
      absl::StrCat(about, " can not be compared, ", ssh_get_error(session)));
}

}  // namespace

absl::Status SetKnownHosts(ssh_session session, const HostKeyOptions& options) {
  std::string file = options.known_hosts;
  if (options.policy == HostKeyOptions::Policy::kPinned) file = "/dev/null";
  if (file.empty()) return absl::OkStatus();
  if (ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, file.c_str()) == SSH_OK &&
      ssh_options_set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null") == SSH_OK) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("known_hosts: ", file, " is no name of a file"));
}

absl::Status CheckHostKey(ssh_session session, const std::string& host,
                          const HostKeyOptions& options) {
  const std::string offered = Fingerprint(session);
  const std::string about = absl::StrCat("host key: that of ", host, ", ", offered, ",");
  if (offered.empty()) return absl::UnavailableError("host key: none was offered");
  if (options.policy != HostKeyOptions::Policy::kPinned) {
    return CheckKnown(session, about, options);
  }
  const auto& pins = options.fingerprints;
  if (std::find(pins.begin(), pins.end(), offered) != pins.end()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(about, " is none of those in host_key"));
}

}  // namespace viaduct::sftp
