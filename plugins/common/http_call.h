// An HTTP request as a call to the host, and the host's reply as an HTTP answer.
#pragma once

#include <vector>

#include "plugins/common/http_message.h"
#include "viaduct/cpp/text.h"

namespace viaduct {

// What a request carries beside its body, borrowed from it for the time of a call. Credentials are
// taken out of the header fields, and are what a certificate says.
struct CallFields {
  std::vector<vd_attr> attributes;
  std::vector<vd_attr> credentials;
};
CallFields FieldsOf(const HttpRequest& request);

// What `certificate` says, borrowed from it; null says nothing.
void AddCertificate(const PeerCertificate* certificate, std::vector<vd_attr>* credentials);

HttpReply HttpReplyOf(const vd_reply& reply);

}  // namespace viaduct
