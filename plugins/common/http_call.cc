#include "plugins/common/http_call.h"

#include <string>
#include <string_view>

#include "absl/strings/match.h"

namespace viaduct {

CallFields FieldsOf(const HttpRequest& request) {
  CallFields fields;
  fields.attributes.reserve(request.headers.size());
  for (const auto& [name, value] : request.headers) {
    if (name == "x-api-key") {
      fields.credentials.push_back(sdk::Attr("api_key", value));
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
