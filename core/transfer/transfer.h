// One file on its way to the server, as the durable queue keeps it. See docs/TRANSFERS.md.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/message/envelope.h"
#include "core/transfer/file_stamp.h"

namespace viaduct {

// The numbers are those of the database.
enum class TransferState : uint8_t {
  kQueued = 0,
  kActive = 1,  // On a road. Never in the database: there it is queued.
  kWaitingConfirmation =
      2,  // The road has it; the server has not said yet that the digest is right.
  kDone = 3,
  kFailed = 4,     // Given up until somebody retries it.
  kCancelled = 5,  // By somebody.
};
inline constexpr size_t kTransferStates = 6;
std::string_view TransferStateName(TransferState state);  // "queued", "waiting_confirmation", ...
// Done or cancelled: nothing of it is to come any more.
bool IsFinished(TransferState state);

enum class FileOwner : uint8_t {
  kSender,  // The file stays where it is and is never touched.
  kNode,    // It lies in the node's own folder.
  kWatch,   // It lies in a watch folder that says what becomes of it.
};

struct Transfer {
  int64_t sequence = 0;  // Order of acceptance; given by the queue.
  std::string id;        // A UUID; the key of exactly-once effect.
  std::string device;    // edge_device_id it is of.
  std::string local_path;
  FileOwner owner = FileOwner::kSender;
  bool held = false;  // The local file is there, and ours to remove once it is confirmed.
  FileStamp stamp;    // Of the local file, where it is not in the node's own folder.
  std::string remote_name;
  uint64_t size = 0;
  std::string sha256;  // 64 hexadecimal digits in lower case.
  Priority priority = Priority::kNormal;
  std::string kind = "file";  // "image", "plate" or "file".
  uint32_t index = 0;         // Among those of one detection.
  std::string message_id;     // Of the detection it belongs to; "": of none.
  absl::Time captured;
  absl::Time created;
  absl::Time changed;  // Of the state.
  TransferState state = TransferState::kQueued;
  uint32_t attempts = 0;  // Begun and ended without success.
  uint32_t strikes = 0;   // Of these, those for which no outage is to blame.
  std::string last_error;
  std::string road;                         // That has it, or had it last.
  std::map<std::string, uint64_t> durable;  // By road: where a later attempt may resume.
  bool announced = false;                   // The server was told of it, durably, or need not be.
  uint32_t tellings = 0;                    // How often it had to be told anew.
  bool server_stored = false;               // The server has said that the digest is right.

  // Of one that is added; not in the database: the name is as its sender wants it. Else it gets one
  // of its own where another transfer has that.
  bool named = true;

  // Of one that is active; not in the database.
  uint64_t moved = 0;
  uint64_t bytes_per_second = 0;
};

// The server is to be told of it once more.
void TellAnew(Transfer* transfer);
// The id of the message that tells of it now: that of the transfer, at first.
std::string TellingId(const Transfer& transfer);
// A UUID (version 8, RFC 9562) that the same text always has.
std::string UuidOfText(std::string_view text);

// The row as text with all that is not a column of its own; and back. DATA_LOSS: no such text.
std::string EncodeTransfer(const Transfer& transfer);
absl::Status DecodeTransfer(std::string_view text, Transfer* transfer);

}  // namespace viaduct
