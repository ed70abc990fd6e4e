// What the plugin.cc of a road for files says to the host. It knows the ABI: nothing of a protocol
// includes it.
#pragma once

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "plugins/common/file_job.h"
#include "plugins/common/plugin_wiring.h"
#include "plugins/common/remote_name.h"
#include "viaduct/cpp/plugin.h"

namespace viaduct {

// It becomes a part of names.
inline bool IsSha256OrNone(const std::string& text) {
  constexpr size_t kDigits = 64;
  return text.empty() ||
         (text.size() == kDigits && std::all_of(text.begin(), text.end(), absl::ascii_isxdigit));
}

// INVALID_ARGUMENT: a job that such a road can not do.
inline sdk::Status ReadFileJob(const vd_file_job& raw, FileJob* job) {
  if (raw.direction != VD_FILE_SEND) {
    return sdk::InvalidArgument("file: this road only sends, direction " +
                                std::to_string(raw.direction));
  }
  job->token = raw.token;
  job->local_path = std::string(sdk::Text(raw.local_path));
  job->remote_name = std::string(sdk::Text(raw.remote_name));
  job->sha256 = absl::AsciiStrToLower(std::string(sdk::Text(raw.sha256)));
  job->size = raw.size;
  job->offset = raw.offset;
  job->max_bytes_per_second = raw.max_bytes_per_second;
  job->deadline_ns = raw.deadline_ns;
  job->identity = {raw.local_device, raw.local_inode};
  if (!IsSha256OrNone(job->sha256)) {
    return sdk::InvalidArgument("file: the digest is not of 64 hexadecimal digits");
  }
  const bool absolute = !job->local_path.empty() && job->local_path.front() == '/';
  if (!absolute || job->local_path.find('\0') != std::string::npos) {
    return sdk::InvalidArgument("file: the local path is not absolute");
  }
  return SdkStatus(CheckRemoteName(job->remote_name));
}

// INVALID_ARGUMENT: what such a road can not have left.
inline sdk::Status ReadFileLeftover(const vd_leftover& raw, FileLeftover* leftover) {
  leftover->remote_name = std::string(sdk::Text(raw.remote_name));
  leftover->sha256 = absl::AsciiStrToLower(std::string(sdk::Text(raw.sha256)));
  if (!IsSha256OrNone(leftover->sha256)) {
    return sdk::InvalidArgument("leftover: the digest is not of 64 hexadecimal digits");
  }
  return SdkStatus(CheckRemoteName(leftover->remote_name));
}

inline uint32_t OutcomeOf(FileOutcome outcome) {
  switch (outcome) {
    case FileOutcome::kDurable:
      return VD_OUTCOME_DURABLE;
    case FileOutcome::kReject:
      return VD_OUTCOME_REJECT;
    case FileOutcome::kCancelled:
      return VD_OUTCOME_CANCELLED;
    case FileOutcome::kRetry:
      break;
  }
  return VD_OUTCOME_RETRY;
}

inline void TellFileEnd(const sdk::Host& host, const FileEnd& end) {
  vd_file_result result = sdk::Record<vd_file_result>();
  result.outcome = OutcomeOf(end.outcome);
  result.token = end.token;
  result.durable_offset = end.durable_offset;
  result.code = end.status.raw_code();
  result.sha256 = sdk::Str(end.sha256);
  result.detail = sdk::Str(TextOf(end.status));
  host.FileDone(result);
}

}  // namespace viaduct
