// Requests and answers of SFTP version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions
// (PROTOCOL of openssh-portable), as octets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace viaduct::sftp {

// The largest answer that any of our requests has is a name; a server that announces more lies.
inline constexpr size_t kMaxAnswerBytes = 64u << 10;
inline constexpr size_t kMaxHandleBytes = 256;  // As the protocol has it.

enum class RequestType : uint8_t {
  kInit = 1,
  kOpen = 3,
  kClose = 4,
  kWrite = 6,
  kLstat = 7,
  kFstat = 8,
  kRemove = 13,
  kMkdir = 14,
  kRealpath = 16,
  kStat = 17,
  kRename = 18,
  kExtended = 200,
};

inline constexpr uint32_t kOpenWrite = 0x02;
inline constexpr uint32_t kOpenCreate = 0x08;
inline constexpr uint32_t kOpenExclusive = 0x20;

// The names of the protocol for what went wrong; servers may send others.
enum class StatusCode : uint32_t {
  kOk = 0,
  kEof = 1,
  kNoSuchFile = 2,
  kPermissionDenied = 3,
  kFailure = 4,
  kBadMessage = 5,
  kUnsupported = 8,
};

enum class AnswerType : uint8_t {
  kVersion = 2,
  kStatus = 101,
  kHandle = 102,
  kData = 103,
  kName = 104,
  kAttributes = 105,
  kExtendedReply = 201,
};

struct Attributes {
  bool has_size = false;
  bool has_mode = false;
  uint64_t size = 0;
  uint32_t mode = 0;
  bool is_folder() const;
  bool is_link() const;
  bool is_file() const;
};

// One answer; the text is borrowed from what was parsed.
struct Answer {
  AnswerType type = AnswerType::kStatus;
  uint32_t id = 0;                      // Of kVersion: the version.
  StatusCode status = StatusCode::kOk;  // Of kStatus, else kOk.
  std::string_view text;                // Message, handle, first name; else all that follows.
  Attributes attributes;                // Of kAttributes.
  bool ok() const { return status == StatusCode::kOk; }
};

// INVALID_ARGUMENT: not an answer of this protocol. `packet` is without its length.
absl::StatusOr<Answer> ParseAnswer(std::string_view packet);

// The pairs of name and value after a VERSION. INVALID_ARGUMENT as above.
absl::Status ReadExtensions(
    std::string_view text,
    absl::FunctionRef<void(std::string_view name, std::string_view value)> each);

struct Limits {
  uint64_t max_packet_bytes = 0;
  uint64_t max_read_bytes = 0;
  uint64_t max_write_bytes = 0;
  uint64_t max_open_handles = 0;  // 0: not told.
};
// Of the answer to limits@openssh.com.
absl::StatusOr<Limits> ReadLimits(std::string_view text);

// Cuts the stream into packets. Holds one answer at most. Thread-compatible.
class PacketReader {
 public:
  using PacketFn = absl::FunctionRef<absl::Status(std::string_view packet)>;
  // INVALID_ARGUMENT: a packet that is empty or above kMaxAnswerBytes; nothing can follow.
  absl::Status Feed(std::string_view octets, PacketFn on_packet);

 private:
  std::string pending_;
};

// Each appends one request with its length to *out.
void AppendInit(std::string* out);
// kLstat, kStat, kRealpath, kRemove.
void AppendPath(RequestType type, uint32_t id, std::string_view path, std::string* out);
// kFstat, kClose.
void AppendHandle(RequestType type, uint32_t id, std::string_view handle, std::string* out);
void AppendOpen(uint32_t id, std::string_view path, uint32_t flags, std::string* out);
void AppendMkdir(uint32_t id, std::string_view path, std::string* out);
void AppendRename(uint32_t id, std::string_view from, std::string_view to, std::string* out);
// Everything of a WRITE but its `size` octets, which follow.
void AppendWriteHead(uint32_t id, std::string_view handle, uint64_t offset, uint32_t size,
                     std::string* out);
// limits@openssh.com without arguments, fsync@openssh.com with a handle, posix-rename@openssh.com
// with two paths.
void AppendExtended(uint32_t id, std::string_view name, std::initializer_list<std::string_view> of,
                    std::string* out);

}  // namespace viaduct::sftp
