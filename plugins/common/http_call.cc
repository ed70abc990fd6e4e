#include "plugins/common/http_call.h"

#include <string>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace viaduct {
namespace {

constexpr absl::string_view kSessionCookie = "viaduct_session=";

}  // namespace

// Of several the first counts: the others may be of whoever has a name of the same site.
std::string_view SessionCookie(std::string_view cookies) {
  for (absl::string_view cookie :
       absl::StrSplit(absl::string_view(cookies.data(), cookies.size()), ';')) {
    cookie = absl::StripLeadingAsciiWhitespace(cookie);
    if (absl::ConsumePrefix(&cookie, kSessionCookie)) return {cookie.data(), cookie.size()};
  }
  return "";
}

std::string NamedSessionCookie(std::string_view cookies) {
  const std::string_view value = SessionCookie(cookies);
  if (value.empty()) return "";
  return absl::StrCat(kSessionCookie, absl::string_view(value.data(), value.size()));
}

CallFields FieldsOf(const HttpRequest& request) {
  CallFields fields;
  fields.attributes.reserve(request.headers.size());
  for (const auto& [name, value] : request.headers) {
    if (name == "x-api-key") {
      fields.credentials.push_back(sdk::Attr("api_key", value));
    } else if (name == "cookie") {
      const std::string_view session = SessionCookie(value);
      if (!session.empty()) fields.credentials.push_back(sdk::Attr("session", session));
    } else if (name != "authorization") {
      fields.attributes.push_back(sdk::Attr(name, value));
    } else if (absl::StartsWithIgnoreCase(value, "bearer ")) {
      fields.credentials.push_back(sdk::Attr("bearer", std::string_view(value).substr(7)));
    } else if (absl::StartsWithIgnoreCase(value, "basic ")) {
      fields.credentials.push_back(sdk::Attr("basic", std::string_view(value).substr(6)));
    }
  }
  AddCertificate(request.certificate.get(), &fields.credentials);
  return fields;
}

void AddCertificate(const PeerCertificate* certificate, std::vector<vd_attr>* credentials) {
  if (certificate == nullptr) return;
  credentials->push_back(sdk::Attr("certificate_sha256", certificate->sha256));
  credentials->push_back(sdk::Attr("certificate_subject", certificate->subject));
  for (const std::string& name : certificate->names) {
    credentials->push_back(sdk::Attr("certificate_san", name));
  }
}

HttpReply HttpReplyOf(const vd_reply& reply) {
  HttpReply out;
  out.status = reply.status;
  out.body = std::string(sdk::Text(reply.body));
  out.headers.reserve(static_cast<size_t>(reply.attribute_count));
  for (uint64_t i = 0; i < reply.attribute_count; ++i)
    out.headers.emplace_back(sdk::Text(reply.attributes[i].name),
                             sdk::Text(reply.attributes[i].value));
  return out;
}

}  // namespace viaduct
