// A request and its answer, between the listener and whoever answers.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "plugins/common/peer_certificate.h"

namespace viaduct {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;
  std::string path;    // As in the request target, still percent-encoded: "a%2Fb" is one name.
  std::string query;   // Raw, without '?'.
  HeaderList headers;  // Names in lower case.
  std::string body;    // Decoded from any content coding.
  std::string peer;    // "192.0.2.7:51234"
  std::shared_ptr<const PeerCertificate> certificate;  // Null: it has shown none.
};

struct HttpReply {
  int status = 200;
  HeaderList headers;  // "content-type" among them; not content-length.
  std::string body;
};

// RFC 9110 section 15.
const char* ReasonPhrase(int status);

// An answer of the listener's own: {"success":false,"message":...}, as JSON.
HttpReply Problem(int status, const char* message);

struct ReplyForm {
  bool without_body = false;  // To HEAD.
  bool keep_alive = true;
};
// Appends the answer as it goes over the wire. A header that would break the framing is left out.
void WriteReply(const HttpReply& reply, ReplyForm form, std::string* out);

}  // namespace viaduct
