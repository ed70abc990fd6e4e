// An HTTP request as a call to the host, and the host's reply as an HTTP answer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plugins/common/http_message.h"
#include "viaduct/cpp/text.h"

namespace viaduct {

// What a request carries beside its body, borrowed from it for the time of a call. Credentials are
// taken out of the header fields, and are what a certificate says. Of cookies only the one of the
// pages of the node goes on, as the credential "session".
struct CallFields {
  std::vector<vd_attr> attributes;
  std::vector<vd_attr> credentials;
};
CallFields FieldsOf(const HttpRequest& request);

// Of the value of the header field "cookie": what the cookie of the pages of the node says; "" when
// it is not among them.
std::string_view SessionCookie(std::string_view cookies);
// The same with its name, as a value of that field.
std::string NamedSessionCookie(std::string_view cookies);

// What `certificate` says, borrowed from it; null says nothing.
void AddCertificate(const PeerCertificate* certificate, std::vector<vd_attr>* credentials);

HttpReply HttpReplyOf(const vd_reply& reply);

}  // namespace viaduct
