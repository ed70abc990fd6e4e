#include "plugins/rest/http_engine.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace viaduct::rest {
namespace {

constexpr int kListenBacklog = 1024;
constexpr size_t kMaxRequestsPerConnection = 1'000'000;

// A complete request to read from, a buffer to write to: cpp-httplib never sees a socket.
class MemoryStream final : public httplib::Stream {
 public:
  MemoryStream(const char* data, size_t size, std::string* out)
      : data_(data), size_(size), out_(out) {}
  bool is_readable() const override { return size_ > 0; }
  bool is_writable() const override { return true; }
  ssize_t read(char* to, size_t size) override {
    const size_t n = std::min(size, size_);
    std::memcpy(to, data_, n);
    data_ += n;
    size_ -= n;
    return static_cast<ssize_t>(n);
  }
  ssize_t write(const char* from, size_t size) override {
    out_->append(from, size);
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return -1; }

 private:
  const char* data_;
  size_t size_;
  std::string* out_;
};

// cpp-httplib hands an accepted socket over by enqueueing a task; ours only files it with epoll.
class InlineQueue final : public httplib::TaskQueue {
 public:
  void enqueue(std::function<void()> task) override { task(); }
  void shutdown() override {}
};

HeaderList LowerCaseHeaders(const httplib::Headers& headers) {
  HeaderList list;
  list.reserve(headers.size());
  for (const auto& [name, value] : headers) {
    // cpp-httplib adds these four itself; from a peer they would be a forgery.
    if (name == "REMOTE_ADDR" || name == "REMOTE_PORT" || name == "LOCAL_ADDR" ||
        name == "LOCAL_PORT")
      continue;
    list.emplace_back(absl::AsciiStrToLower(name), value);
  }
  return list;
}

}  // namespace

// RFC 9110 section 15, for the answers that are given here without asking anybody.
const char* ReasonPhrase(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Request Refused";
  }
}

std::string ErrorBody(const std::string& message) {
  return absl::StrCat("{\"success\":false,\"message\":\"", message, "\"}");
}

HttpEngine::HttpEngine(const HttpServerOptions& options, const HttpServer::Handler& handler,
                       AcceptFn on_accept)
    : options_(options), handler_(handler), on_accept_(std::move(on_accept)) {
  new_task_queue = [] { return std::make_unique<InlineQueue>().release(); };
  set_tcp_nodelay(true);
  // The library's default is SO_REUSEPORT, with which two nodes would share a port unnoticed.
  set_socket_options([](socket_t socket) {
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  });
  const auto seconds = absl::ToInt64Seconds(options.idle_timeout);
  set_keep_alive_timeout(seconds);
  set_keep_alive_max_count(kMaxRequestsPerConnection);
  set_payload_max_length(options.limits.max_body_bytes);
  set_error_handler([](const httplib::Request&, httplib::Response& response) {
    if (response.body.empty())
      response.set_content(ErrorBody(ReasonPhrase(response.status)), "application/json");
  });
  // The library's own answer would put the text of the exception into a header.
  set_exception_handler(
      [](const httplib::Request&, httplib::Response& response, std::exception_ptr) {
        response.status = 500;
        response.set_content(ErrorBody("internal error"), "application/json");
      });
  Route();
}

bool HttpEngine::Bind(const std::string& host, int* port) {
  if (*port == 0) {
    *port = bind_to_any_port(host);
    if (*port < 0) return false;
  } else if (!bind_to_port(host, *port)) {
    return false;
  }
  return ::listen(svr_sock_, kListenBacklog) == 0;
}

bool HttpEngine::Process(const char* data, size_t size, const std::string& peer, std::string* out) {
  MemoryStream stream(data, size, out);
  bool closed = false;
  const bool answered = process_request(stream, false, closed, [&peer](httplib::Request& request) {
    // Routing by regular expression is cpp-httplib's way and costs more than the whole parse
    // (and stack for every octet of the path): everything goes to one route, the path travels
    // beside.
    request.local_addr = std::move(request.path);
    request.path = "/";
    request.remote_addr = peer;
    if (request.ranges.size() > 1 || request.method != "GET") request.ranges.clear();
  });
  return answered && !closed;
}

bool HttpEngine::process_and_close_socket(socket_t socket) {
  on_accept_(socket);
  return true;
}

void HttpEngine::Route() {
  const auto plain = [this](const httplib::Request& request, httplib::Response& response) {
    Answer(request, std::string(), response);
  };
  const auto with_body = [this](const httplib::Request& request, httplib::Response& response,
                                const httplib::ContentReader& reader) {
    std::string body;
    if (ReadBody(request, response, reader, &body)) Answer(request, std::move(body), response);
  };
  Get("/", plain);
  Options("/", plain);
  Post("/", with_body);
  Put("/", with_body);
  Patch("/", with_body);
  Delete("/", with_body);
}

// The body, decoded; the limit holds for the decoded size too (a decompression bomb).
bool HttpEngine::ReadBody(const httplib::Request& request, httplib::Response& response,
                          const httplib::ContentReader& reader, std::string* body) {
  const size_t limit = options_.limits.max_body_bytes;
  if (request.is_multipart_form_data()) {
    response.status = 415;
    response.set_content(ErrorBody("multipart/form-data is not accepted here, send JSON"),
                         "application/json");
    return false;
  }
  bool too_big = false;
  const bool complete = reader([&](const char* data, size_t size) {
    too_big = body->size() + size > limit;
    if (!too_big) body->append(data, size);
    return !too_big;
  });
  if (complete) return true;
  response.status = too_big ? 413 : 400;
  return false;
}

void HttpEngine::Answer(const httplib::Request& request, std::string body,
                        httplib::Response& response) {
  HttpRequest ours;
  ours.method = request.method;
  ours.path = request.local_addr;
  const size_t mark = request.target.find('?');
  if (mark != std::string::npos) ours.query = request.target.substr(mark + 1);
  ours.headers = LowerCaseHeaders(request.headers);
  ours.body = std::move(body);
  ours.peer = request.remote_addr;
  HttpReply reply = handler_(std::move(ours));
  // With 200 the library chooses between 200 and 206, by the Range it has parsed.
  if (reply.status != 200) response.status = reply.status;
  for (auto& [name, value] : reply.headers) response.set_header(name, value);
  response.body = std::move(reply.body);
}

}  // namespace viaduct::rest
