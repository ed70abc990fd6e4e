#include "core/lpr/replies.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/lpr/json_writer.h"

namespace viaduct {
namespace {

constexpr absl::string_view kPositionMark = "at byte ";

// The number behind "at byte "; -1 without one.
int64_t PositionIn(absl::string_view message) {
  const size_t mark = message.find(kPositionMark);
  if (mark == absl::string_view::npos) return -1;
  absl::string_view digits = message.substr(mark + kPositionMark.size());
  size_t end = 0;
  while (end < digits.size() && absl::ascii_isdigit(static_cast<unsigned char>(digits[end]))) ++end;
  int64_t position = -1;
  return absl::SimpleAtoi(digits.substr(0, end), &position) ? position : -1;
}

int64_t WholeSeconds(absl::Duration wait) {
  return std::max<int64_t>(1, absl::ToInt64Seconds(absl::Ceil(wait, absl::Seconds(1))));
}

}  // namespace

CallReply JsonReply(int status, std::string body) {
  CallReply reply;
  reply.status = status;
  reply.attributes.emplace_back("content-type", "application/json");
  reply.body = std::move(body);
  return reply;
}

CallReply ErrorReply(int status, std::string_view message) {
  JsonWriter json;
  json.BeginObject().Field("success", false).Field("message", message).EndObject();
  return JsonReply(status, json.Take());
}

CallReply MalformedReply(const absl::Status& status) {
  const std::string message = absl::StrCat("Malformed JSON: ", status.message());
  JsonWriter json;
  json.BeginObject().Field("success", false).Field("message", std::string_view(message));
  const int64_t position = PositionIn(status.message());
  if (position >= 0) json.Field("position", position);
  json.EndObject();
  return JsonReply(400, json.Take());
}

int HttpStatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
      return 409;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kResourceExhausted:
      return 507;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kFailedPrecondition:
      return 503;
    default:
      return 500;
  }
}

CallReply StatusReply(const absl::Status& status, absl::Duration retry_after) {
  CallReply reply = ErrorReply(HttpStatusOf(status), StdView(status.message()));
  if (reply.status == 503 || reply.status == 507) AddRetryAfter(retry_after, &reply);
  if (reply.status == 401) {
    reply.attributes.emplace_back("www-authenticate", "Bearer, Basic realm=\"viaduct\"");
  }
  return reply;
}

void AddRetryAfter(absl::Duration wait, CallReply* reply) {
  reply->attributes.emplace_back("retry-after", absl::StrCat(WholeSeconds(wait)));
}

bool IsTransient(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable ||
         status.code() == absl::StatusCode::kResourceExhausted;
}

std::string_view ResultWord(const AcceptResult& result) {
  if (result.status.ok()) return result.duplicate ? "duplicate" : "stored";
  return IsTransient(result.status) ? "retry" : "rejected";
}

void WriteRetryAfter(const AcceptResult& result, absl::Duration retry_after, JsonWriter* json) {
  if (IsTransient(result.status)) json->Field("retry_after", WholeSeconds(retry_after));
}

void WriteResult(const std::string& message_id, const AcceptResult& result,
                 absl::Duration retry_after, JsonWriter* json) {
  json->BeginObject().Field("message_id", std::string_view(message_id));
  json->Field("status", ResultWord(result));
  if (!result.id.empty()) json->Field("id", std::string_view(result.id));
  if (!result.status.ok()) json->Field("error", StdView(result.status.message()));
  WriteRetryAfter(result, retry_after, json);
  json->EndObject();
}

}  // namespace viaduct
