#include "plugins/rest/http_reply.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace viaduct::rest {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxDetailBytes = 200;
constexpr absl::Duration kMaxRetryAfter = absl::Hours(1);

absl::string_view Abbreviate(std::string_view text) {
  return absl::string_view(text.data(), std::min(text.size(), kMaxDetailBytes));
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
std::string Reason(std::string_view body) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (json.is_object()) {
    for (const char* key : {"message", "error", "detail"}) {
      const std::string text = StringAt(json, key);
      if (!text.empty()) return std::string(Abbreviate(text));
    }
  }
  return std::string();
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
  return Retry(absl::UnavailableError(
      absl::StrCat("answer: status \"", Abbreviate(status), "\", ", Abbreviate(error))));
}

}  // namespace

Judgement JudgeStatus(int http_status, std::string_view retry_after, std::string_view body,
                      size_t count) {
  Judgement judgement;
  if (http_status >= 200 && http_status < 300) {
    judgement.kind = Judgement::Kind::kReadItems;
    return judgement;
  }
  const std::string text = absl::StrCat("HTTP ", http_status, ": ", Reason(body));
  if (http_status == 400 || http_status == 413 || http_status == 422) {
    judgement.kind = count > 1 ? Judgement::Kind::kSplit : Judgement::Kind::kAll;
    judgement.result.outcome = DeliveryOutcome::kReject;
    judgement.result.status = absl::InvalidArgumentError(text);
    return judgement;
  }
  int64_t seconds = 0;
  if (absl::SimpleAtoi(absl::string_view(retry_after.data(), retry_after.size()), &seconds) &&
      seconds > 0)
    judgement.result.retry_after = std::min(absl::Seconds(seconds), kMaxRetryAfter);
  if (http_status == 401 || http_status == 403)
    judgement.result.status = absl::PermissionDeniedError(text);
  else if (http_status == 429 || http_status == 507)
    judgement.result.status = absl::ResourceExhaustedError(text);
  else
    judgement.result.status = absl::UnavailableError(text);
  return judgement;
}

std::vector<DeliveryResult> ReadEnvelopeAnswer(std::string_view body,
                                               absl::Span<const std::string_view> message_ids) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
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

DeliveryResult ReadFlatAnswer(std::string_view body) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return Retry(absl::UnavailableError("answer: not a JSON object; is this the right server?"));
  const auto success = json.find("success");
  DeliveryResult result;
  if (success != json.end() && success->is_boolean() && success->get<bool>()) {
    result.outcome = DeliveryOutcome::kDurable;
    return result;
  }
  return Retry(absl::UnavailableError(absl::StrCat("answer: not successful, ", Reason(body))));
}

}  // namespace viaduct::rest
