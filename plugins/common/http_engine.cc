#include "plugins/common/http_engine.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"

namespace viaduct {
namespace {

constexpr int kListenBacklog = 1024;

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

HttpEngine::HttpEngine(size_t max_body_bytes, AcceptFn on_accept)
    : max_body_bytes_(max_body_bytes), on_accept_(std::move(on_accept)) {
  new_task_queue = [] { return std::make_unique<InlineQueue>().release(); };
  set_tcp_nodelay(true);
  // The library's default is SO_REUSEPORT, with which two nodes would share a port unnoticed.
  set_socket_options([](socket_t socket) {
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  });
  set_payload_max_length(max_body_bytes_);
  set_error_handler([](const httplib::Request&, httplib::Response& response) {
    if (!response.body.empty()) return;
    const HttpReply problem = Problem(response.status, ReasonPhrase(response.status));
    response.set_content(problem.body, "application/json");
  });
  // The library's own answer would put the text of the exception into a header.
  set_exception_handler(
      [](const httplib::Request&, httplib::Response& response, std::exception_ptr) {
        response.status = 500;
        response.set_content(Problem(500, "internal error").body, "application/json");
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

ParsedRequest HttpEngine::Parse(const char* data, size_t size) {
  ParsedRequest parsed;
  parsing_ = &parsed;
  MemoryStream stream(data, size, &parsed.answer);
  bool closed = false;
  const bool answered =
      process_request(stream, false, closed, [&parsed](httplib::Request& request) {
        // Routing by regular expression is cpp-httplib's way and costs more than the whole parse
        // (and stack for every octet of the path): everything goes to one route, the path travels
        // beside.
        request.path = "/";
        parsed.is_head = request.method == "HEAD";
        // Many ranges would multiply the body; one is what players and browsers ask for.
        parsed.wants_range = request.method == "GET" && request.ranges.size() == 1;
        request.ranges.clear();
      });
  parsing_ = nullptr;
  parsed.keep_alive = answered && !closed;
  return parsed;
}

std::string HttpEngine::AnswerWithRange(const char* data, size_t size, HttpReply reply) {
  std::string out;
  answering_ = &reply;
  MemoryStream stream(data, size, &out);
  bool closed = false;
  const bool answered =
      process_request(stream, false, closed, [](httplib::Request& request) { request.path = "/"; });
  answering_ = nullptr;
  if (!answered) out.clear();
  return out;
}

bool HttpEngine::process_and_close_socket(socket_t socket) {
  on_accept_(socket);
  return true;
}

void HttpEngine::Route() {
  const auto plain = [this](const httplib::Request& request, httplib::Response& response) {
    Handle(request, std::string(), response);
  };
  const auto with_body = [this](const httplib::Request& request, httplib::Response& response,
                                const httplib::ContentReader& reader) {
    std::string body;
    if (ReadBody(request, response, reader, &body)) Handle(request, std::move(body), response);
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
  if (request.is_multipart_form_data()) {
    response.status = 415;
    response.set_content(Problem(415, "multipart/form-data is not accepted here, send JSON").body,
                         "application/json");
    return false;
  }
  bool too_big = false;
  const bool complete = reader([&](const char* data, size_t size) {
    too_big = body->size() + size > max_body_bytes_;
    if (!too_big) body->append(data, size);
    return !too_big;
  });
  if (complete) return true;
  response.status = too_big ? 413 : 400;
  return false;
}

void HttpEngine::Handle(const httplib::Request& request, std::string body,
                        httplib::Response& response) {
  if (answering_ != nullptr) {
    // With the status left open the library chooses between 200 and 206.
    for (auto& [name, value] : answering_->headers) response.set_header(name, value);
    response.body = std::move(answering_->body);
    return;
  }
  parsing_->accepted = true;
  HttpRequest& ours = parsing_->request;
  ours.method = request.method;
  const size_t mark = request.target.find('?');
  ours.path = request.target.substr(0, mark);
  if (mark != std::string::npos) ours.query = request.target.substr(mark + 1);
  ours.headers = LowerCaseHeaders(request.headers);
  ours.body = std::move(body);
}

}  // namespace viaduct
