// Whether the server is the one that is meant.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

struct ssh_session_struct;

namespace viaduct::sftp {

struct HostKeyOptions {
  enum class Policy : uint8_t {
    kStrict,     // It is in known_hosts.
    kPinned,     // It has one of the fingerprints.
    kAcceptNew,  // As strict, but a server that known_hosts does not have is added to it.
  };
  Policy policy = Policy::kStrict;
  std::string known_hosts;                // "": the user's own and the system's.
  std::vector<std::string> fingerprints;  // "SHA256:...".
};

// Before connecting: which files count.
absl::Status SetKnownHosts(ssh_session_struct* session, const HostKeyOptions& options);

// After the key exchange. FAILED_PRECONDITION: it is unknown or has changed; the text has the
// fingerprint that was offered.
absl::Status CheckHostKey(ssh_session_struct* session, const std::string& host,
                          const HostKeyOptions& options);

}  // namespace viaduct::sftp
