// A connection to a host that may have several addresses, without waiting for any of them.
#pragma once

#include <netdb.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace viaduct::sftp {

// Lives on the session's thread.
class Dialer {
 public:
  Dialer() = default;
  Dialer(const Dialer&) = delete;
  Dialer& operator=(const Dialer&) = delete;
  ~Dialer();

  // Looks the name up, which takes as long as the resolver does, and begins with the first address.
  absl::Status Start(const std::string& host, int port, int64_t now_ns, int64_t deadline_ns);
  // What the socket says, or that it says nothing: the next address, after the last one an error.
  absl::Status Advance(int64_t now_ns);
  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  // The time at which Advance goes on to the next address.
  int64_t next_ns() const { return next_ns_; }
  // The socket is the caller's from now on.
  int Release();

 private:
  absl::Status TryFrom(const addrinfo* first, int64_t now_ns);
  absl::Status Unavailable(int error) const;

  std::string host_;
  addrinfo* addresses_ = nullptr;
  const addrinfo* current_ = nullptr;
  int64_t deadline_ns_ = 0;
  int64_t next_ns_ = 0;
  int fd_ = -1;
  bool connected_ = false;
};

}  // namespace viaduct::sftp
