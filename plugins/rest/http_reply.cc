#include "plugins/rest/http_reply.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "plugins/common/retry_after.h"

namespace viaduct::rest {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxDetailBytes = 200;

// Never ends inside a character of UTF-8.
absl::string_view Abbreviate(std::string_view text) {
  size_t size = std::min(text.size(), kMaxDetailBytes);
  while (size < text.size() && size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80)
    --size;
  return absl::string_view(text.data(), size);
}

std::string StringAt(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

DeliveryResult Retry(absl::Status why) {
  DeliveryResult result;
  result.status = std::move(why);
  return result;
}

// The words of a server about why it refused, if it has any.
std::string Reason(const Json& json) {
  if (!json.is_object()) return std::string();
  for (const char* key : {"message", "error", "detail"}) {
    const std::string text = StringAt(json, key);
    if (!text.empty()) return std::string(Abbreviate(text));
  }
  return std::string();
}

bool Says(const Json& json, bool success) {
  if (!json.is_object()) return false;
  const auto it = json.find("success");
  return it != json.end() && it->is_boolean() && it->get<bool>() == success;
}

bool IsSuccess(int status) { return status >= 200 && status < 300; }

// Statuses by which a server speaks of what it was sent. Any proxy has them too.
bool IsAboutContent(int status) { return status == 400 || status == 413 || status == 422; }

bool ReadHttpDate(std::string_view text, absl::Time* time) {
  std::string error;
  return absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", absl::string_view(text.data(), text.size()),
                         time, &error);
}

// In seconds, or as the time by the server's own clock.
absl::Duration RetryAfter(const HttpAnswer& answer) {
  const std::string_view text = answer.retry_after;
  int64_t seconds = 0;
  if (absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &seconds)) {
    return BoundedRetryAfter(absl::Seconds(seconds));
  }
  absl::Time until;
  if (!ReadHttpDate(text, &until)) return absl::ZeroDuration();
  absl::Time now;
  if (!ReadHttpDate(answer.date, &now)) now = absl::Now();
  return BoundedRetryAfter(until - now);
}

// For an answer that says nothing of a message by itself.
DeliveryResult StatusResult(const HttpAnswer& answer, const Json& json) {
  const std::string text = absl::StrCat("HTTP ", answer.status, ": ", Reason(json));
  DeliveryResult result;
  result.retry_after = RetryAfter(answer);
  if (answer.status == 401 || answer.status == 403)
    result.status = absl::PermissionDeniedError(text);
  else if (answer.status == 429 || answer.status == 507)
    result.status = absl::ResourceExhaustedError(text);
  else
    result.status = absl::UnavailableError(text);
  return result;
}

DeliveryResult Refused(const HttpAnswer& answer, const Json& json) {
  DeliveryResult result;
  result.outcome = DeliveryOutcome::kReject;
  result.status =
      absl::InvalidArgumentError(absl::StrCat("HTTP ", answer.status, ": ", Reason(json)));
  return result;
}

DeliveryResult ReadItem(const Json& item, std::string_view message_id) {
  if (!item.is_object()) return Retry(absl::UnavailableError("answer: a result is not an object"));
  if (StringAt(item, "message_id") != message_id)
    return Retry(absl::UnavailableError(
        absl::StrCat("answer: expected the result of ", Abbreviate(message_id), ", got one of \"",
                     Abbreviate(StringAt(item, "message_id")), "\"")));
  const std::string status = StringAt(item, "status");
  DeliveryResult result;
  if (status == "stored" || status == "duplicate") {
    result.outcome = DeliveryOutcome::kDurable;
    result.duplicate = status == "duplicate";
    return result;
  }
  const std::string error = StringAt(item, "error");
  if (status == "rejected") {
    result.outcome = DeliveryOutcome::kReject;
    result.status = absl::InvalidArgumentError(absl::StrCat("rejected: ", Abbreviate(error)));
    return result;
  }
  result = Retry(absl::UnavailableError(
      absl::StrCat("answer: status \"", Abbreviate(status), "\", ", Abbreviate(error))));
  result.retry_after = RetryAfterIn(item);
  return result;
}

// What the header says holds for all that a result says nothing else of.
void AddRetryAfter(const HttpAnswer& answer, std::vector<DeliveryResult>* results) {
  const absl::Duration asked = RetryAfter(answer);
  for (DeliveryResult& result : *results) {
    if (result.outcome != DeliveryOutcome::kRetry) continue;
    if (result.retry_after == absl::ZeroDuration()) result.retry_after = asked;
  }
}

std::vector<DeliveryResult> ReadItems(const Json& json,
                                      absl::Span<const std::string_view> message_ids) {
  const Json* items = &json;
  if (json.is_object() && json.contains("results")) items = &json["results"];
  std::vector<DeliveryResult> results;
  results.reserve(message_ids.size());
  for (size_t i = 0; i < message_ids.size(); ++i) {
    if (items->is_array() && i < items->size())
      results.push_back(ReadItem((*items)[i], message_ids[i]));
    else if (items->is_object() && message_ids.size() == 1)
      results.push_back(ReadItem(*items, message_ids[i]));
    else
      results.push_back(Retry(
          absl::UnavailableError("answer: no result for this message; is this a Viaduct server?")));
  }
  return results;
}

DeliveryResult ReadSuccess(const Json& json) {
  if (!json.is_object())
    return Retry(absl::UnavailableError("answer: not a JSON object; is this the right server?"));
  DeliveryResult result;
  if (Says(json, true))
    result.outcome = DeliveryOutcome::kDurable;
  else
    result.status = absl::UnavailableError(absl::StrCat("answer: not successful, ", Reason(json)));
  return result;
}

// A refusal by status may still come from something between us and the server: it is shown.
std::string ProblemOf(const HttpAnswer& answer, const std::vector<DeliveryResult>& results) {
  const DeliveryResult& first = results.front();
  if (IsSuccess(answer.status) && first.outcome != DeliveryOutcome::kRetry) return std::string();
  return std::string(first.status.message());
}

}  // namespace

Verdict JudgeEnvelopes(const HttpAnswer& answer, absl::Span<const std::string_view> message_ids) {
  const Json json = Json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  Verdict verdict;
  const bool alone = message_ids.size() == 1;
  if (IsSuccess(answer.status)) {
    verdict.results = ReadItems(json, message_ids);
    AddRetryAfter(answer, &verdict.results);
  } else if (IsAboutContent(answer.status) && Says(json, false) && !alone) {
    verdict.split = true;
    return verdict;
  } else {
    DeliveryResult result = StatusResult(answer, json);
    if (alone && IsAboutContent(answer.status)) {
      const DeliveryResult item = ReadItems(json, message_ids)[0];
      if (item.outcome == DeliveryOutcome::kReject) result = item;
      if (answer.status == 413 && Says(json, false)) result = Refused(answer, json);
    }
    verdict.results.assign(message_ids.size(), result);
  }
  verdict.problem = ProblemOf(answer, verdict.results);
  return verdict;
}

Verdict JudgeFlat(const HttpAnswer& answer) {
  const Json json = Json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  Verdict verdict;
  if (IsSuccess(answer.status))
    verdict.results = {ReadSuccess(json)};
  else if (IsAboutContent(answer.status) && Says(json, false))
    verdict.results = {Refused(answer, json)};
  else
    verdict.results = {StatusResult(answer, json)};
  verdict.problem = ProblemOf(answer, verdict.results);
  return verdict;
}

absl::Status JudgeProbe(const HttpAnswer& answer) {
  if (answer.status < 200 || answer.status >= 500 ||
      (!IsSuccess(answer.status) && answer.status < 400))
    return absl::UnavailableError(absl::StrCat("HTTP ", answer.status));
  if (IsSuccess(answer.status) &&
      !Json::parse(answer.body, nullptr, /*allow_exceptions=*/false).is_object())
    return absl::UnavailableError("answer: not a JSON object; is this the right server?");
  return absl::OkStatus();
}

}  // namespace viaduct::rest
