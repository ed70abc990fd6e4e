// The replies that many routes share.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/lpr/json_writer.h"
#include "core/lpr/sink.h"
#include "core/message/exchange.h"

namespace viaduct {

CallReply JsonReply(int status, std::string body);

// {"success":false,"message":...}
CallReply ErrorReply(int status, std::string_view message);

// For JSON that could not be read: the message names the position, and so does "position" where
// the error has one ("at byte 17: ...").
CallReply MalformedReply(const absl::Status& status);

// The HTTP status of a code and, for "try again later", Retry-After; for 401 WWW-Authenticate.
CallReply StatusReply(const absl::Status& status, absl::Duration retry_after);
void AddRetryAfter(absl::Duration wait, CallReply* reply);  // In whole seconds, at least one.
int HttpStatusOf(const absl::Status& status);

// What became of one envelope, in the words of docs/API.md: "stored", "duplicate", "retry",
// "rejected".
std::string_view ResultWord(const AcceptResult& result);
// {message_id, status, id?, error?, retry_after?}, the last in seconds with "retry".
void WriteResult(const std::string& message_id, const AcceptResult& result,
                 absl::Duration retry_after, JsonWriter* json);
// The member "retry_after", where the message may be accepted later.
void WriteRetryAfter(const AcceptResult& result, absl::Duration retry_after, JsonWriter* json);

// UNAVAILABLE or RESOURCE_EXHAUSTED: the same message may be accepted later.
bool IsTransient(const absl::Status& status);

}  // namespace viaduct
