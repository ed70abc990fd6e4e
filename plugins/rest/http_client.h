// Carries messages to a server of our own kind (envelopes, many in one body) or of the old kind
// (flat bodies, one at a time) over kept-alive HTTP connections, and says of each how it ended.
//
// There is no retry here: what could not be confirmed is given back at once with the reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "plugins/common/tls_options.h"
#include "plugins/rest/http_reply.h"

namespace viaduct::rest {

struct HttpClientOptions {
  std::string base_url = "http://127.0.0.1:8000";
  std::string endpoint = "/api/lpr/data";  // For the envelope form.
  bool flat = false;                       // Bodies of their own kind, each to its own path.
  int connections = 3;                     // Threads, one connection each.
  size_t max_batch = 128;                  // Envelopes in one body.
  size_t max_batch_bytes = 4u << 20;
  size_t window = 1024;  // Messages held at once.
  size_t window_bytes = 64u << 20;
  absl::Duration timeout = absl::Seconds(30);  // For one request, from send to answer.
  absl::Duration connect_timeout = absl::Seconds(5);
  std::string api_key;  // X-API-Key
  std::string token;    // Authorization: Bearer
  TlsRoadOptions tls;   // For https.
};

struct HttpDelivery {
  uint64_t token = 0;
  std::string message_id;
  std::string body;       // The envelope, or the body of the flat form.
  std::string_view path;  // Of the flat form, with static lifetime; unused otherwise.
  bool backlog = false;   // Behind all others, and never on every connection.
};

// Thread-safe.
class HttpClient {
 public:
  using DoneFn = std::function<void(absl::Span<const DeliveryResult>)>;
  // `problem` is empty when the peer answers as it should. Called on changes only.
  using HealthFn = std::function<void(const std::string& problem)>;

  HttpClient(HttpClientOptions options, DoneFn on_done, HealthFn on_health);
  ~HttpClient();  // Stops.

  // INVALID_ARGUMENT: base_url is not http(s)://host[:port][/path].
  static absl::Status CheckUrl(const std::string& base_url);

  // FAILED_PRECONDITION: a file of `tls` cannot be used.
  absl::Status Start();
  // Waits until nothing is held and all is told, or `timeout` has passed; says which.
  bool Drain(absl::Duration timeout);
  // Cuts connections, gives everything still held back as kCancelled, joins.
  void Stop();

  // How many more messages Take would accept now.
  size_t credit() const;
  // False: no room, the delivery was not taken.
  bool Take(HttpDelivery delivery);
  // Lets go of a message that no connection has begun to send.
  void Cancel(absl::Span<const uint64_t> tokens);
  // Asks the peer for /api/test. False: one is under way.
  bool Probe(absl::Duration timeout, ProbeFn on_result);

 private:
  class Connection;

  using Queue = std::deque<HttpDelivery>;

  void WorkerLoop(Connection& connection, bool takes_backlog);
  std::vector<HttpDelivery> NextBatch(bool takes_backlog);
  void Send(Connection& connection, std::vector<HttpDelivery> batch);
  Verdict Judge(const HttpAnswer& answer, const std::vector<HttpDelivery>& batch) const;
  void Finish(const std::vector<HttpDelivery>& batch, std::vector<DeliveryResult> results);
  void CutAll();
  void ReportHealth(const std::string& problem);
  void RunProbe(absl::Duration timeout, const ProbeFn& on_result);

  const HttpClientOptions options_;
  const DoneFn on_done_;
  const HealthFn on_health_;
  std::string path_prefix_;  // Of base_url, without a final slash.

  mutable absl::Mutex mutex_;
  Queue queue_ ABSL_GUARDED_BY(mutex_);
  Queue backlog_ ABSL_GUARDED_BY(mutex_);
  size_t held_ ABSL_GUARDED_BY(mutex_) = 0;     // Queued and in flight.
  size_t telling_ ABSL_GUARDED_BY(mutex_) = 0;  // Batches that have ended and are being told.
  size_t held_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;  // Workers.
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool probing_ ABSL_GUARDED_BY(mutex_) = false;
  std::string problem_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::thread> workers_;
  std::unique_ptr<Connection> probe_connection_;
  std::thread prober_;
};

}  // namespace viaduct::rest
