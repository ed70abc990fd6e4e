#include "plugins/sftp/channel.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct::sftp {

Channel::Channel(ssh_session session) : session_(session), channel_(ssh_channel_new(session)) {
  if (channel_ == nullptr) {
    phase_ = Phase::kRefused;
    return;
  }
  callbacks_.userdata = this;
  callbacks_.channel_data_function = &Channel::OnData;
  ssh_callbacks_init(&callbacks_);
  ssh_set_channel_callbacks(channel_, &callbacks_);
}

int Channel::OnData(ssh_session, ssh_channel, void* data, uint32_t size, int is_stderr,
                    void* user) {
  // What the server's program says beside the protocol is for nobody.
  if (is_stderr == 0) {
    static_cast<Channel*>(user)->inbox_.append(static_cast<const char*>(data), size);
  }
  return static_cast<int>(size);
}

void Channel::Advance() {
  if (phase_ == Phase::kOpening) {
    const int code = ssh_channel_open_session(channel_);
    if (code == SSH_AGAIN) return;
    phase_ = code == SSH_OK ? Phase::kSubsystem : Phase::kRefused;
  }
  if (phase_ == Phase::kSubsystem) {
    const int code = ssh_channel_request_subsystem(channel_, "sftp");
    if (code == SSH_AGAIN) return;
    phase_ = code == SSH_OK ? Phase::kOpen : Phase::kRefused;
  }
}

bool Channel::refused() const {
  return phase_ == Phase::kRefused || ssh_channel_is_eof(channel_) != 0 ||
         (open() && ssh_channel_is_closed(channel_) != 0);
}

// What is wrong with the connection shows itself by refused() and in the next Write.
void Channel::Hear() { static_cast<void>(ssh_channel_poll(channel_, 0)); }

std::string Channel::Take() {
  blocked_ = false;
  return std::exchange(inbox_, {});
}

size_t Channel::room() const {
  if (blocked_ || (ssh_get_status(session_) & SSH_WRITE_PENDING) != 0) return 0;
  return std::min<size_t>(ssh_channel_window_size(channel_), kMaxWriteBytes);
}

absl::Status Channel::Write(std::string_view octets, size_t* written) {
  const int code = ssh_channel_write(channel_, octets.data(), static_cast<uint32_t>(octets.size()));
  if (code < 0) {
    return absl::UnavailableError(absl::StrCat("server: writing, ", ssh_get_error(session_)));
  }
  *written = static_cast<size_t>(code);
  blocked_ = *written < octets.size();
  return absl::OkStatus();
}

}  // namespace viaduct::sftp
