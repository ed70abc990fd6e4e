// An HTTP request as a call to the host, and the host's reply as an HTTP answer.
#pragma once

#include <vector>

#include "plugins/common/http_message.h"
#include "viaduct/cpp/text.h"

namespace viaduct {

// What a request carries beside its body, borrowed from it for the time of a call. Credentials are
// taken out of the header fields.
struct CallFields {
  std::vector<vd_attr> attributes;
  std::vector<vd_attr> credentials;
};
CallFields FieldsOf(const HttpRequest& request);

HttpReply HttpReplyOf(const vd_reply& reply);

}  // namespace viaduct
