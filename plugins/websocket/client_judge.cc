// What a server's words mean, and where it is.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plugins/common/retry_after.h"
#include "plugins/websocket/client.h"

namespace viaduct::websocket {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxDetailBytes = 200;

std::string TextAt(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Never ends inside a character of UTF-8.
std::string Abbreviate(std::string text) {
  size_t size = std::min(text.size(), kMaxDetailBytes);
  while (size < text.size() && size > 0 &&
         (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) {
    --size;
  }
  text.resize(size);
  return text;
}

DeliveryResult Unclear(const std::string& why) {
  DeliveryResult result;
  result.status = absl::UnavailableError(absl::StrCat("answer: ", why));
  return result;
}

}  // namespace

DeliveryResult JudgeAnswer(const std::string& json, const std::string& message_id, bool raw) {
  const Json answer = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object()) return Unclear("not an object; is this a Viaduct server?");
  const std::string word = TextAt(answer, raw ? "result" : "status");
  const std::string named = TextAt(answer, "message_id");
  DeliveryResult result;
  if (word == "rejected") {
    // What could not be read has no name; the acknowledgement itself says which one it was.
    if (named != message_id && !named.empty()) return Unclear("of another message");
    result.outcome = DeliveryOutcome::kReject;
    const std::string why = TextAt(answer, raw ? "message" : "error");
    result.status = absl::InvalidArgumentError(absl::StrCat("rejected: ", Abbreviate(why)));
    return result;
  }
  if (named != message_id) return Unclear(absl::StrCat("of message \"", Abbreviate(named), "\""));
  if (word != "stored" && word != "duplicate") {
    result = Unclear(absl::StrCat("status \"", Abbreviate(word), "\", ",
                                  Abbreviate(TextAt(answer, raw ? "message" : "error"))));
    result.retry_after = RetryAfterIn(answer);
    return result;
  }
  result.outcome = DeliveryOutcome::kDurable;
  result.duplicate = word == "duplicate";
  return result;
}

std::optional<absl::Duration> IntroduceAgain(const std::string& json, absl::Duration otherwise) {
  const Json answer = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (answer.is_object()) {
    const auto success = answer.find("success");
    const bool taken = success != answer.end() && *success == true;
    if (taken || TextAt(answer, "status") == "success") return std::nullopt;
    const auto after = answer.find("retry_after");
    if (after != answer.end() && after->is_number())
      otherwise = absl::Seconds(after->get<double>());
  }
  return std::clamp(otherwise, Client::kMinIntroduceAgain, Client::kMaxIntroduceAgain);
}

absl::Status ReadServerUrl(const std::string& url, ServerAddress* address) {
  const auto wrong = [&](const char* what) {
    // It may hold a password, which is nothing for a log.
    if (absl::StrContains(url, "@")) {
      return absl::InvalidArgumentError(absl::StrCat("server_url: ", what));
    }
    return absl::InvalidArgumentError(absl::StrCat("server_url: ", what, ", \"", url, "\""));
  };
  absl::string_view rest = url;
  if (absl::ConsumePrefix(&rest, "wss://") || absl::ConsumePrefix(&rest, "https://")) {
    address->secure = true;
  } else if (!absl::ConsumePrefix(&rest, "ws://") && !absl::ConsumePrefix(&rest, "http://")) {
    return wrong("expected ws://host:port or wss://host:port");
  }
  const size_t slash = rest.find('/');
  absl::string_view authority = rest.substr(0, slash);
  address->path = slash == absl::string_view::npos ? "" : std::string(rest.substr(slash));
  if (absl::StrContains(authority, "@") || absl::StrContains(address->path, "#")) {
    return wrong("has no place for a user or a fragment");
  }
  address->port = address->secure ? "443" : "80";
  const size_t colon = authority.rfind(':');
  const bool has_port = colon != absl::string_view::npos && authority.back() != ']';
  if (has_port) {
    int port = 0;
    if (!absl::SimpleAtoi(authority.substr(colon + 1), &port) || port < 1 || port > 65535) {
      return wrong("a port is 1 to 65535");
    }
    address->port = absl::StrCat(port);
    authority = authority.substr(0, colon);
  }
  if (absl::ConsumePrefix(&authority, "[") && !absl::ConsumeSuffix(&authority, "]")) {
    return wrong("a bracket is open");
  }
  if (authority.empty()) return wrong("names no host");
  address->host = std::string(authority);
  if (address->path == "/") address->path.clear();
  return absl::OkStatus();
}

}  // namespace viaduct::websocket
