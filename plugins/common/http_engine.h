// The part of the listener that is cpp-httplib's: binding, accepting, parsing, and cutting ranges
// out of answers. Sockets that it accepts are given away; requests come to it complete, in memory.
#pragma once

#include <httplib.h>

#include <functional>
#include <string>

#include "plugins/common/http_message.h"

namespace viaduct {

struct ParsedRequest {
  // False: cpp-httplib has worded the answer itself (a malformed request, a body that is too
  // large); it stands in `answer`.
  bool accepted = false;
  HttpRequest request;
  std::string answer;
  bool keep_alive = false;
  bool is_head = false;
  bool wants_range = false;
};

// Parse and AnswerWithRange: on one thread at a time.
class HttpEngine final : public httplib::Server {
 public:
  using AcceptFn = std::function<void(int fd)>;  // Takes the descriptor over; does not block.

  HttpEngine(size_t max_body_bytes, AcceptFn on_accept);

  // With port 0 any free one, written to *port. False: errno says why.
  bool Bind(const std::string& host, int* port);
  // Parses the one complete request in [data, data + size).
  ParsedRequest Parse(const char* data, size_t size);
  // Words the answer to a request that asks for a part of the body (RFC 9110 section 14).
  std::string AnswerWithRange(const char* data, size_t size, HttpReply reply);

 private:
  bool process_and_close_socket(socket_t socket) override;
  void Route();
  bool ReadBody(const httplib::Request& request, httplib::Response& response,
                const httplib::ContentReader& reader, std::string* body);
  void Handle(const httplib::Request& request, std::string body, httplib::Response& response);

  const size_t max_body_bytes_;
  const AcceptFn on_accept_;
  ParsedRequest* parsing_ = nullptr;  // While Parse runs.
  HttpReply* answering_ = nullptr;    // While AnswerWithRange runs.
};

}  // namespace viaduct
