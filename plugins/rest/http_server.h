// An HTTP/1.1 listener on cpp-httplib that keeps thousands of idle connections without a thread
// each.
//
// cpp-httplib gives a connection a thread for as long as it lives. Here a connection waits in an
// epoll set instead; whichever worker wakes reads what is there, and only a complete request is
// handed to cpp-httplib, which parses, routes and words the answer from memory. A worker is
// busy only while the handler works.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "plugins/rest/request_scanner.h"

namespace viaduct::rest {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;
  std::string path;    // Percent-decoded.
  std::string query;   // Raw, without '?'.
  HeaderList headers;  // Names in lower case.
  std::string body;    // Decoded from any content coding.
  std::string peer;    // "192.0.2.7:51234"
};

struct HttpReply {
  int status = 200;
  HeaderList headers;  // "content-type" among them.
  std::string body;
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 8000;  // 0: any free one, see HttpServer::port.
  ScanLimits limits;
  int max_connections = 10'000;
  int max_threads = 64;
  size_t max_buffered_bytes = 256u << 20;          // Of all connections together.
  absl::Duration idle_timeout = absl::Minutes(5);  // Between requests.
  absl::Duration request_timeout =
      absl::Seconds(30);                   // First octet to last, plus size over min_rate.
  size_t min_bytes_per_second = 8u << 10;  // What a slow body must at least do.
};

// Counters since start; read at any time.
struct HttpServerStats {
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> refused_connections{0};  // Over max_connections.
  std::atomic<uint64_t> timed_out{0};
  std::atomic<uint64_t> bad_requests{0};  // Refused before any handler saw them.
  std::atomic<uint64_t> bytes_in{0};
  std::atomic<uint64_t> bytes_out{0};
  std::atomic<int64_t> connections{0};
  std::atomic<int64_t> threads{0};
};

class HttpEngine;

// Thread-safe.
class HttpServer {
 public:
  // Answers one request; may block its worker. Called on up to max_threads threads.
  using Handler = std::function<HttpReply(HttpRequest)>;

  HttpServer(HttpServerOptions options, Handler handler);
  ~HttpServer();  // Stops.

  // Binds and serves. UNAVAILABLE: the address is taken or not ours.
  absl::Status Start();
  // Closes the listening socket and idle connections; answers what is under way, until `timeout`.
  // False: something was still under way.
  bool Drain(absl::Duration timeout);
  // Ends all; when it returns no thread and no descriptor is left. Handlers must be returning.
  void Stop();

  int port() const { return port_; }
  const HttpServerStats& stats() const { return stats_; }

 private:
  struct Connection;

  void Adopt(int fd);
  void SpawnWorker();
  void WorkerLoop();
  bool RetireWorker();
  // The chain of one wake-up; each returns what is to become of the connection.
  enum class Next { kWaitReadable, kWaitWritable, kClose };
  void Serve(Connection& connection, uint32_t events);
  Next Step(Connection& connection, uint32_t events);
  Next ProcessBuffered(Connection& connection);
  void ProcessOne(Connection& connection);
  Next RefuseRequest(Connection& connection, ScanResult why);
  Next Refuse(Connection& connection, int status, const char* reason);
  Next FlushThen(Connection& connection);
  bool ReadSome(Connection& connection);
  Next Linger(Connection& connection);
  void Rearm(Connection& connection, uint32_t events);
  void Close(Connection& connection);
  void Sweep();
  void SetDeadline(Connection& connection);
  bool AccountBuffers(Connection& connection);

  const HttpServerOptions options_;
  const Handler handler_;
  HttpServerStats stats_;
  std::unique_ptr<HttpEngine> engine_;
  int port_ = 0;
  int epoll_ = -1;
  int wake_ = -1;   // eventfd: stop.
  int timer_ = -1;  // timerfd: sweep once a second.
  std::atomic<bool> draining_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<int> idle_workers_{0};
  std::atomic<size_t> buffered_bytes_{0};
  std::thread acceptor_;

  absl::Mutex mutex_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> workers_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> retired_ ABSL_GUARDED_BY(mutex_);  // Ended, to be joined.
  int busy_ ABSL_GUARDED_BY(mutex_) = 0;                      // Requests inside the handler.
};

}  // namespace viaduct::rest
