// One channel of a connection with a server's program for SFTP at its other end.
#pragma once

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace viaduct::sftp {

// Lives on the session's thread, longer than its connection.
class Channel {
 public:
  static constexpr size_t kMaxWriteBytes = 128u << 10;  // At once: what libssh may have to keep.

  explicit Channel(ssh_session session);
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Goes as far as it can without waiting.
  void Advance();
  bool open() const { return phase_ == Phase::kOpen; }
  // The server does not want it, or has ended it.
  bool refused() const;

  // Reads what is there for all channels of the connection.
  void Hear();
  // What came for this one since the last time. To be called after each Hear, whosever it was.
  std::string Take();

  // The server's program has taken all that it lets be on its way.
  bool full() const { return ssh_channel_window_size(channel_) == 0; }
  // Octets that Write would take now; 0: later.
  size_t room() const;
  // Fewer than room(): a new key is being agreed on, the rest goes after something has come.
  absl::Status Write(std::string_view octets, size_t* written);

 private:
  enum class Phase : uint8_t { kOpening, kSubsystem, kOpen, kRefused };
  static int OnData(ssh_session session, ssh_channel channel, void* data, uint32_t size,
                    int is_stderr, void* user);

  const ssh_session session_;
  ssh_channel channel_;  // The session's.
  ssh_channel_callbacks_struct callbacks_{};
  Phase phase_ = Phase::kOpening;
  std::string inbox_;  // What one reading of the socket brought.
  bool blocked_ = false;
};

}  // namespace viaduct::sftp
