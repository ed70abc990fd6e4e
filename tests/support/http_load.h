// The HTTP load: one thread, epoll, keep-alive connections with one request outstanding on each.
#pragma once

#include <netinet/in.h>
#include <sys/epoll.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plugins/common/tls_channel.h"
#include "tests/support/http_response.h"
#include "tests/support/load.h"

namespace viaduct::support {

enum class HttpForm {
  kFlat,      // One detection of a field device, POST /api/detection.
  kEnvelope,  // One envelope, POST /api/lpr/data.
  kArray,     // An array of envelopes, POST /api/lpr/data; every item has its own answer.
};

struct HttpOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 8000;
  std::string path;  // Empty: the one of the form.
  HttpForm form = HttpForm::kFlat;
  int connections = 16;
  int batch = 32;            // Messages of one array.
  int idle_connections = 0;  // Opened first, used once, then only held.
  std::string headers;       // Further header lines, each with its line end.
  std::string ca_file;       // TLS, with servers of these authorities; "": plain.
};

// Thread-compatible; Run() once.
class HttpLoad {
 public:
  HttpLoad(HttpOptions http, LoadOptions load, MessageSource* source);
  ~HttpLoad();
  absl::StatusOr<LoadResults> Run();

 private:
  // One request: the bytes and whose ids are in it.
  struct Request {
    std::vector<std::string> ids;
    std::vector<std::string> message_ids;
    std::string bytes;
    int64_t due_ns = 0;
  };
  struct Connection {
    int fd = -1;
    bool connecting = false;
    bool wants_write = false;
    int64_t next_try_ns = 0;
    int64_t sent_ns = 0;
    size_t written = 0;
    std::unique_ptr<Request> request;  // Outstanding.
    HttpResponseReader reader;
    std::unique_ptr<TlsChannel> tls;  // Null: plain.
  };

  absl::Status OpenIdle();
  void Connect(Connection& c, int64_t now);
  void Disconnect(Connection& c, int64_t now, bool failed);
  void WatchWrites(Connection& c, bool on);
  bool Agree(Connection& c);
  static ssize_t Send(Connection& c, const char* data, size_t size);
  static ssize_t Receive(Connection& c, char* data, size_t size);
  void StartRequest(Connection& c, int64_t now);
  void Write(Connection& c, int64_t now);
  void ReadFrom(Connection& c);
  void Finish(Connection& c, int64_t now);
  void Settle(std::unique_ptr<Request> request, int status, const std::string& body);
  void SettleArray(std::unique_ptr<Request> request, const std::string& body);
  void AcceptId(const std::string& id);
  void GiveUpOrRetry(std::unique_ptr<Request> request);
  std::unique_ptr<Request> NextRequest(int64_t now);
  std::unique_ptr<Request> MakeRequest(int64_t due);
  bool MayMake(int64_t now) const;
  bool Finished(int64_t now);
  void Feed(int64_t now);
  int64_t WaitNanos(int64_t now) const;
  void Dispatch(const epoll_event* events, int count);
  void CheckTimeouts(int64_t now);

  const HttpOptions http_;
  const LoadOptions load_;
  MessageSource* const source_;
  std::string request_head_;  // Up to the value of Content-Length.
  sockaddr_in peer_{};
  TlsContext tls_;  // Null: plain.
  int epoll_fd_ = -1;
  std::vector<Connection> connections_;
  std::vector<size_t> idle_;  // Connections that can take a request.
  std::vector<int> held_fds_;
  std::deque<std::unique_ptr<Request>> again_;
  Pace pace_;
  LedgerLog log_;
  LoadResults results_;
  std::string body_;  // Scratch.
  size_t outstanding_ = 0;
  int64_t first_ns_ = 0;
  int64_t last_answer_ns_ = 0;
  int64_t make_until_ns_ = 0;
  int64_t made_until_ns_ = 0;  // When the last chance to make one was.
  int64_t next_timeout_check_ns_ = 0;
};

}  // namespace viaduct::support
