// The part of the listener that is cpp-httplib's: binding, accepting, parsing, wording answers.
// Sockets that it accepts are given away; requests come to it complete, in memory.
#pragma once

#include <httplib.h>

#include <functional>
#include <string>

#include "plugins/rest/http_server.h"

namespace viaduct::rest {

// Thread-safe once bound.
class HttpEngine final : public httplib::Server {
 public:
  using AcceptFn = std::function<void(int fd)>;  // Takes the descriptor over; does not block.

  // All three outlive the engine.
  HttpEngine(const HttpServerOptions& options, const HttpServer::Handler& handler,
             AcceptFn on_accept);

  // With port 0 any free one, written to *port. False: errno says why.
  bool Bind(const std::string& host, int* port);
  // Answers the one complete request in [data, data + size), appending to *out. True: the
  // connection may be kept.
  bool Process(const char* data, size_t size, const std::string& peer, std::string* out);

 private:
  bool process_and_close_socket(socket_t socket) override;
  void Route();
  bool ReadBody(const httplib::Request& request, httplib::Response& response,
                const httplib::ContentReader& reader, std::string* body);
  void Answer(const httplib::Request& request, std::string body, httplib::Response& response);

  const HttpServerOptions& options_;
  const HttpServer::Handler& handler_;
  const AcceptFn on_accept_;
};

// RFC 9110 section 15, for the answers that are given without asking anybody.
const char* ReasonPhrase(int status);
std::string ErrorBody(const std::string& message);

}  // namespace viaduct::rest
