// An HTTP/1.1 listener on cpp-httplib that keeps thousands of connections on one thread.
//
// cpp-httplib gives a connection a thread for as long as it lives. Here every connection waits in
// an epoll set; only a complete request is handed to cpp-httplib, which parses it from memory, and
// the answer may come later, from any thread. An idle connection, a slow sender, a slow reader and
// an answer that waits for the disk cost memory, and that is bounded.
#pragma once

#include <atomic>
#include <cstddef>
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
#include "plugins/common/address_counts.h"
#include "plugins/common/http_message.h"
#include "plugins/common/listener_tls.h"
#include "plugins/common/request_scanner.h"
#include "plugins/common/tls_options.h"

namespace viaduct {
class EventFd;     // descriptors.h
class HttpEngine;  // http_engine.h
}  // namespace viaduct

namespace viaduct::rest {

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 8000;  // 0: any free one, see HttpServer::port.
  ScanLimits limits;
  int max_connections = 10'000;  // Fewer where the process may not open so many descriptors.
  int max_connections_per_address = 1'000;
  size_t max_buffered_bytes = 256u << 20;          // Of all connections together.
  absl::Duration idle_timeout = absl::Minutes(5);  // Between requests.
  // First octet of a request to its last, plus size over rate; a reader of an answer that takes
  // less than the rate for so long is cut off.
  absl::Duration request_timeout = absl::Seconds(30);
  size_t min_bytes_per_second = 8u << 10;  // What a slow sender or reader must at least do.
  absl::Duration answer_timeout = absl::Seconds(30);  // From the whole request to Answer.
  TlsListenerOptions tls;
  absl::Duration tls_handshake_timeout = absl::Seconds(10);
};

// Counters since the start; read at any time.
struct HttpServerStats {
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> refused_connections{0};  // Over max_connections.
  std::atomic<uint64_t> refused_of_address{0};   // Over max_connections_per_address.
  std::atomic<uint64_t> refused_requests{0};     // Before any handler saw them.
  std::atomic<uint64_t> timed_out{0};
  std::atomic<uint64_t> failed_handshakes{0};  // Of TLS.
  std::atomic<uint64_t> timed_out_handshakes{0};
  std::atomic<uint64_t> bytes_in{0};
  std::atomic<uint64_t> bytes_out{0};
  std::atomic<int64_t> connections{0};
};

// Thread-safe.
class HttpServer {
 public:
  // Takes one request; called on the server's one thread, must not block. It is answered by exactly
  // one Answer(ticket, ...), which may come first.
  using Handler = std::function<void(uint64_t ticket, HttpRequest request)>;
  // The answer is no longer wanted: the peer is gone, or it took too long.
  using CancelFn = std::function<void(uint64_t ticket)>;

  HttpServer(HttpServerOptions options, Handler handler, CancelFn on_cancel);
  ~HttpServer();  // Stops.

  // Binds and serves. UNAVAILABLE: the address is taken or not ours; FAILED_PRECONDITION: the
  // certificate or its key cannot be used.
  absl::Status Start();
  // Answers the request of that ticket. One that is not waited for any more is ignored. Any thread.
  void Answer(uint64_t ticket, HttpReply reply);
  // Takes no new connection and no new request; waits until all are answered. False: `timeout`
  // passed.
  bool Drain(absl::Duration timeout);
  // Ends all; when it returns no thread and no descriptor is left and no handler will be called.
  void Stop();

  int port() const { return port_; }
  const HttpServerStats& stats() const { return stats_; }
  ListenerTls* tls() const { return tls_.get(); }  // Null: plain.

 private:
  struct Connection;
  using Answers = std::vector<std::pair<uint64_t, HttpReply>>;

  // On any thread: what the loop is to look at.
  void Adopt(int fd);

  // On the loop's thread from here on.
  void Loop();
  void TakeMail();
  bool Admit(const std::string& address, const char** refusal);
  void Open(int fd);
  void BeginHandshake(Connection& connection);
  bool StepHandshake(Connection& connection);
  void OnEvents(Connection& connection, uint32_t events);
  void OnAnswer(uint64_t ticket, HttpReply reply);
  void Advance(Connection& connection);
  bool ReadSome(Connection& connection);
  bool Flush(Connection& connection);
  bool StepInput(Connection& connection);
  void Ask(Connection& connection);
  void Refuse(Connection& connection, int status, const char* reason);
  void Refuse(Connection& connection, ScanResult why);
  void Linger(Connection& connection);
  void Settle(Connection& connection);
  bool AccountBuffers(Connection& connection);
  bool HasRoomFor(size_t answer_bytes) const;
  void Watch(Connection& connection, int64_t now);
  bool Reads(Connection& connection, int64_t now);
  void Sweep(int64_t now);
  void Expire(Connection& connection);
  void Close(Connection& connection);
  void CloseMarked();

  const HttpServerOptions options_;
  const Handler handler_;
  const CancelFn on_cancel_;
  HttpServerStats stats_;
  std::unique_ptr<ListenerTls> tls_;
  std::unique_ptr<HttpEngine> engine_;
  int port_ = 0;
  int max_connections_ = 0;
  int epoll_ = -1;
  std::shared_ptr<const EventFd> wake_;  // From Start to Stop; shared with who is signalling it.
  std::thread acceptor_;
  std::thread loop_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> draining_{false};

  absl::Mutex mutex_;
  std::vector<int> adopted_ ABSL_GUARDED_BY(mutex_);
  Answers answers_ ABSL_GUARDED_BY(mutex_);
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool quiet_ ABSL_GUARDED_BY(mutex_) = false;  // Draining, and nothing waits for an answer.

  // The loop's own.
  AddressCounts addresses_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  std::unordered_map<uint64_t, Connection*> waiting_;  // By ticket.
  std::vector<Connection*> marked_;                    // To be closed when nothing looks at them.
  uint64_t last_ticket_ = 0;
  size_t buffered_bytes_ = 0;
  int64_t next_sweep_ns_ = 0;
};

}  // namespace viaduct::rest
