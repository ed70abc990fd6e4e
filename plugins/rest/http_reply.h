// What an HTTP answer means for the messages that were in the request.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace viaduct::rest {

enum class DeliveryOutcome { kDurable, kRetry, kReject, kCancelled };

struct DeliveryResult {
  uint64_t token = 0;
  DeliveryOutcome outcome = DeliveryOutcome::kRetry;
  absl::Status status;
  bool duplicate = false;
  absl::Duration retry_after = absl::ZeroDuration();
};

// The judgement over a whole answer, before its items are looked at.
struct Judgement {
  enum class Kind {
    kReadItems,  // 2xx: the body says of each message what became of it.
    kSplit,      // 400, 413, 422 to many at once: the fault may be one message's; send them singly.
    kAll,        // The same `result` for all.
  };
  Kind kind = Kind::kAll;
  DeliveryResult result;
};

// `count` messages were sent. A wrong path, a missing right or a sign-in page is never a message's
// fault: such messages stay, and the operator is told.
Judgement JudgeStatus(int http_status, std::string_view retry_after, std::string_view body,
                      size_t count);

// Reads the answer of /api/lpr/data: one result {message_id, status, error} per item, alone, in a
// list, or in a list called "results". Whatever is missing, out of place or not ours (a captive
// portal answers 200 to everything) is a retry.
std::vector<DeliveryResult> ReadEnvelopeAnswer(std::string_view body,
                                               absl::Span<const std::string_view> message_ids);

// Reads the answer of a server of the old kind: {"success": true} or a word of why not.
DeliveryResult ReadFlatAnswer(std::string_view body);

}  // namespace viaduct::rest
