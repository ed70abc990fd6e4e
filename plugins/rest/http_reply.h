// What an HTTP answer means for the messages that were in the request.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "plugins/common/delivery.h"

namespace viaduct::rest {

struct HttpAnswer {
  int status = 0;
  std::string_view retry_after;  // As in the header field.
  std::string_view body;
  std::string_view date = {};  // The same: when the server thinks it is.
};

// What an answer means for all that was in the request.
struct Verdict {
  // The fault may be one message's: send them singly. `results` is then empty.
  bool split = false;
  std::vector<DeliveryResult> results;  // One a message.
  std::string problem;                  // What the operator should know; "" when all is well.
};

// A message is refused only on proof. A wrong address, a proxy, a missing right or a sign-in page
// can answer anything with any status: that is never a message's fault, it stays.

// The answer to envelopes: one result {message_id, status, error} per item, alone, in a list, or in
// a list called "results". Refused is what has a result of its own that says "rejected", and what
// alone is too large for a listener that says so in JSON.
Verdict JudgeEnvelopes(const HttpAnswer& answer, absl::Span<const std::string_view> message_ids);

// The answer of a server of the old kind to one body: {"success": true}, or {"success": false} and
// why. Refused is what a 400, 413 or 422 with the latter is about.
Verdict JudgeFlat(const HttpAnswer& answer);

// The answer to GET /api/test. UNAVAILABLE: it comes from no server, as a redirection or a page
// does. One that does not know the path, or the credentials, is there.
absl::Status JudgeProbe(const HttpAnswer& answer);

}  // namespace viaduct::rest
