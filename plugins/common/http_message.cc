#include "plugins/common/http_message.h"

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

struct Phrase {
  int status;
  const char* text;
};
constexpr Phrase kPhrases[] = {
    {100, "Continue"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {507, "Insufficient Storage"},
};

bool BreaksFraming(const std::string& text) {
  return text.find_first_of(std::string("\r\n\0", 3)) != std::string::npos;
}

}  // namespace

const char* ReasonPhrase(int status) {
  for (const Phrase& phrase : kPhrases) {
    if (phrase.status == status) return phrase.text;
  }
  return "";
}

HttpReply Problem(int status, const char* message) {
  HttpReply reply;
  reply.status = status;
  reply.headers = {{"content-type", "application/json"}};
  if (status == 503) reply.headers.emplace_back("retry-after", "1");
  reply.body = absl::StrCat("{\"success\":false,\"message\":\"", message, "\"}");
  return reply;
}

void WriteReply(const HttpReply& reply, ReplyForm form, std::string* out) {
  absl::StrAppend(out, "HTTP/1.1 ", reply.status, " ", ReasonPhrase(reply.status), "\r\n");
  for (const auto& [name, value] : reply.headers) {
    if (name.empty() || BreaksFraming(name) || BreaksFraming(value)) continue;
    absl::StrAppend(out, name, ": ", value, "\r\n");
  }
  if (!form.keep_alive) absl::StrAppend(out, "connection: close\r\n");
  // RFC 9110 section 8.6: neither has a body, nor a length of it.
  const bool bodiless = reply.status == 204 || reply.status == 304;
  if (!bodiless) absl::StrAppend(out, "content-length: ", reply.body.size(), "\r\n");
  absl::StrAppend(out, "\r\n");
  if (!bodiless && !form.without_body) out->append(reply.body);
}

}  // namespace viaduct
