#include "plugins/rest/http_client.h"

#include <httplib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "plugins/common/monotonic.h"
#include "plugins/common/road_files.h"
#include "plugins/common/tls_context.h"

namespace viaduct::rest {
namespace {

constexpr size_t kMaxAnswerBytes = 64u << 10;
constexpr size_t kMaxAnswerBytesPerMessage = 1u << 10;  // Beyond that.
constexpr absl::Duration kCutInterval = absl::Milliseconds(20);

struct Url {
  std::string origin;  // scheme://host[:port]
  std::string host;    // Without port and brackets.
  std::string path;    // Without a final slash; "" for none.
};

std::string HostOf(const std::string& authority) {
  if (authority.front() == '[') return authority.substr(1, authority.find(']') - 1);
  return authority.substr(0, authority.find(':'));
}

absl::StatusOr<Url> ParseUrl(const std::string& text) {
  const size_t scheme_end = text.find("://");
  const std::string scheme = scheme_end == std::string::npos ? "" : text.substr(0, scheme_end);
  if (scheme != "http" && scheme != "https")
    return absl::InvalidArgumentError(
        absl::StrCat("base_url: expected http:// or https://, \"", text, "\""));
  const size_t path = text.find('/', scheme_end + 3);
  Url url;
  url.origin = text.substr(0, path);
  if (url.origin.size() == scheme_end + 3)
    return absl::InvalidArgumentError(absl::StrCat("base_url: no host, \"", text, "\""));
  if (url.origin.find('@') != std::string::npos)
    return absl::InvalidArgumentError(
        "base_url: credentials do not belong into a URL, use api_key or token");
  url.host = HostOf(url.origin.substr(scheme_end + 3));
  if (path != std::string::npos) url.path = std::string(absl::StripSuffix(text.substr(path), "/"));
  return url;
}

// One answer, or why there is none.
struct Exchange {
  std::string problem;
  int status = 0;
  std::string retry_after;
  std::string date;
  std::string body;
  ProbeCost cost;
};

// What httplib adds to a head: the fields Host, Accept and User-Agent.
constexpr size_t kAddedHeadBytes = 54;

// Of the fields of a head, as they go over the wire.
size_t BytesOf(const httplib::Headers& headers) {
  size_t bytes = 0;
  for (const auto& [name, value] : headers) bytes += name.size() + value.size() + 4;
  return bytes;
}

std::string JoinArray(const std::vector<HttpDelivery>& batch) {
  size_t size = 2;
  for (const HttpDelivery& delivery : batch) size += delivery.body.size() + 1;
  std::string body;
  body.reserve(size);
  char separator = '[';
  for (const HttpDelivery& delivery : batch) {
    body += separator;
    body += delivery.body;
    separator = ',';
  }
  body += ']';
  return body;
}

}  // namespace

// One kept-alive connection and its thread's use of it.
class HttpClient::Connection {
 public:
  Connection(const HttpClientOptions& options, Url url)
      : tls_(options.tls),
        url_(std::move(url)),
        files_(options.tls),
        connect_timeout_(options.connect_timeout),
        timeout_(options.timeout) {
    if (!options.api_key.empty()) headers_.emplace("X-API-Key", options.api_key);
    if (!options.token.empty()) headers_.emplace("Authorization", "Bearer " + options.token);
  }
  // With the files as they are now. FAILED_PRECONDITION: one cannot be used; then the connection
  // goes on with what it had.
  absl::Status Open() {
    auto client = std::make_unique<httplib::Client>(url_.origin);
    if (client->ssl_context() != nullptr) {
      const absl::Status status = SetUpRoad(tls_, url_.host, absl::Now(), client->ssl_context());
      if (!status.ok()) return status;
      // Or the library would trust the system's authorities beside.
      if (!tls_.ca_file.empty()) client->set_ca_cert_path(tls_.ca_file.c_str());
      client->enable_server_certificate_verification(true);
    }
    client->set_keep_alive(true);
    client->set_tcp_nodelay(true);
    client->set_follow_location(false);
    absl::MutexLock lock(&mutex_);
    client_ = std::move(client);
    return absl::OkStatus();
  }
  void SetTimeouts(absl::Duration connect, absl::Duration transfer) {
    connect_timeout_ = connect;
    timeout_ = transfer;
  }
  // The answer's body may have `max_answer_bytes` and, from its first octet on, `timeout`.
  Exchange Post(const std::string& path, const std::string& body, size_t max_answer_bytes) {
    httplib::Request request;
    request.method = "POST";
    request.body = body;
    request.set_header("Content-Type", "application/json");
    return Send(path, max_answer_bytes, std::move(request));
  }
  Exchange Get(const std::string& path) {
    httplib::Request request;
    request.method = "GET";
    return Send(path, kMaxAnswerBytes, std::move(request));
  }
  // Whoever gave that answer may not be the server, and would keep the connection for ever: the
  // next request asks for the name again. On the thread that sends.
  void Close() { client_->stop(); }
  // From any thread: ends the request under way, and lets no other begin. One that is just opening
  // its socket is missed: repeat until the thread is back.
  void Cut() {
    cut_ = true;
    absl::MutexLock lock(&mutex_);
    client_->stop();
  }

 private:
  void ApplyTimeouts() {
    const auto split = [](absl::Duration d) {
      const int64_t us = std::max<int64_t>(1000, absl::ToInt64Microseconds(d));
      return std::pair<time_t, time_t>(us / 1'000'000, us % 1'000'000);
    };
    const auto [c_s, c_us] = split(connect_timeout_);
    const auto [t_s, t_us] = split(timeout_);
    client_->set_connection_timeout(c_s, c_us);
    client_->set_read_timeout(t_s, t_us);
    client_->set_write_timeout(t_s, t_us);
  }
  // A portal may answer for ever, or in drops.
  Exchange Send(const std::string& path, size_t max_answer_bytes, httplib::Request request) {
    Exchange exchange;
    if (cut_) {
      exchange.problem = httplib::to_string(httplib::Error::Canceled);
      return exchange;
    }
    if (files_.Changed(MonotonicNs()) && Open().ok()) files_.Adopt();
    ApplyTimeouts();
    request.path = path;
    for (const auto& [name, value] : headers_) request.set_header(name, value);
    absl::Time deadline = absl::InfiniteFuture();
    request.content_receiver = [&](const char* data, size_t size, uint64_t, uint64_t) {
      const absl::Time now = absl::FromChrono(std::chrono::system_clock::now());
      if (exchange.body.empty()) deadline = now + timeout_;
      if (exchange.body.size() + size > max_answer_bytes)
        exchange.problem = absl::StrCat("answer: larger than ", max_answer_bytes, " bytes");
      else if (now > deadline)
        exchange.problem = absl::StrCat("answer: not whole after ", absl::FormatDuration(timeout_));
      else
        exchange.body.append(data, size);
      return exchange.problem.empty();
    };
    exchange.cost.sent = request.method.size() + path.size() + sizeof("  HTTP/1.1\r\n\r\n") +
                         BytesOf(request.headers) + request.body.size() + kAddedHeadBytes +
                         url_.host.size();
    const httplib::Result result = client_->send(request);
    if (!result && exchange.problem.empty()) exchange.problem = httplib::to_string(result.error());
    if (!result) return exchange;
    exchange.status = result->status;
    exchange.retry_after = result->get_header_value("Retry-After");
    exchange.date = result->get_header_value("Date");
    exchange.cost.received = sizeof("HTTP/1.1 200 \r\n\r\n") + result->reason.size() +
                             BytesOf(result->headers) + exchange.body.size();
    return exchange;
  }

  const TlsRoadOptions tls_;
  const Url url_;
  RoadFiles files_;
  httplib::Headers headers_;
  absl::Duration connect_timeout_;
  absl::Duration timeout_;
  std::atomic<bool> cut_{false};
  absl::Mutex mutex_;  // Held while another is put there, which the thread that sends does.
  std::unique_ptr<httplib::Client> client_;
};

HttpClient::HttpClient(HttpClientOptions options, DoneFn on_done, HealthFn on_health)
    : options_(std::move(options)),
      on_done_(std::move(on_done)),
      on_health_(std::move(on_health)) {}

HttpClient::~HttpClient() { Stop(); }

absl::Status HttpClient::CheckUrl(const std::string& base_url) {
  return ParseUrl(base_url).status();
}

absl::Status HttpClient::Start() {
  const auto url = ParseUrl(options_.base_url);
  if (!url.ok()) return url.status();
  path_prefix_ = url->path;
  std::vector<std::unique_ptr<Connection>> opened;
  for (int i = 0; i <= options_.connections; ++i) {
    opened.push_back(std::make_unique<Connection>(options_, *url));
    const absl::Status status = opened.back()->Open();
    if (!status.ok()) return status;
  }
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = false;
    running_ = options_.connections;
  }
  probe_connection_ = std::move(opened.back());
  opened.pop_back();
  connections_ = std::move(opened);
  for (size_t i = 0; i < connections_.size(); ++i) {
    workers_.emplace_back([this, connection = connections_[i].get(),
                           takes_backlog = i > 0 || connections_.size() == 1] {
      WorkerLoop(*connection, takes_backlog);
    });
  }
  return absl::OkStatus();
}

bool HttpClient::Drain(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto empty = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return held_ + telling_ == 0; };
  return mutex_.AwaitWithTimeout(absl::Condition(&empty), timeout);
}

void HttpClient::Stop() {
  std::vector<HttpDelivery> left;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    for (Queue* queue : {&queue_, &backlog_}) {
      left.insert(left.end(), std::make_move_iterator(queue->begin()),
                  std::make_move_iterator(queue->end()));
      queue->clear();
    }
  }
  CutAll();
  for (std::thread& worker : workers_) worker.join();
  if (prober_.joinable()) prober_.join();
  workers_.clear();
  connections_.clear();
  probe_connection_.reset();
  DeliveryResult cancelled;
  cancelled.outcome = DeliveryOutcome::kCancelled;
  cancelled.status = absl::CancelledError("client: stopped");
  if (!left.empty()) Finish(left, std::vector<DeliveryResult>(left.size(), cancelled));
}

// Until every thread that uses a connection is back.
void HttpClient::CutAll() {
  bool all_back = false;
  while (!all_back) {
    for (const auto& connection : connections_) connection->Cut();
    if (probe_connection_ != nullptr) probe_connection_->Cut();
    absl::MutexLock lock(&mutex_);
    const auto back = [this]()
                          ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return running_ == 0 && !probing_; };
    all_back = mutex_.AwaitWithTimeout(absl::Condition(&back), kCutInterval);
  }
}

size_t HttpClient::credit() const {
  absl::MutexLock lock(&mutex_);
  if (stopping_ || held_bytes_ >= options_.window_bytes) return 0;
  return options_.window - std::min(held_, options_.window);
}

bool HttpClient::Take(HttpDelivery delivery) {
  absl::MutexLock lock(&mutex_);
  // One message is always let in, however large.
  const bool room = held_ < options_.window &&
                    (held_ == 0 || held_bytes_ + delivery.body.size() <= options_.window_bytes);
  if (stopping_ || !room) return false;
  ++held_;
  held_bytes_ += delivery.body.size();
  (delivery.backlog ? backlog_ : queue_).push_back(std::move(delivery));
  return true;
}

void HttpClient::Cancel(absl::Span<const uint64_t> tokens) {
  std::vector<HttpDelivery> taken_back;
  {
    absl::MutexLock lock(&mutex_);
    const auto wanted = [&](const HttpDelivery& delivery) {
      return std::find(tokens.begin(), tokens.end(), delivery.token) != tokens.end();
    };
    for (Queue* queue : {&queue_, &backlog_}) {
      const auto end =
          std::stable_partition(queue->begin(), queue->end(),
                                [&](const HttpDelivery& delivery) { return !wanted(delivery); });
      taken_back.insert(taken_back.end(), std::make_move_iterator(end),
                        std::make_move_iterator(queue->end()));
      queue->erase(end, queue->end());
    }
  }
  DeliveryResult cancelled;
  cancelled.outcome = DeliveryOutcome::kCancelled;
  cancelled.status = absl::CancelledError("client: taken back by the host");
  if (!taken_back.empty())
    Finish(taken_back, std::vector<DeliveryResult>(taken_back.size(), cancelled));
}

void HttpClient::WorkerLoop(Connection& connection, bool takes_backlog) {
  while (true) {
    std::vector<HttpDelivery> batch = NextBatch(takes_backlog);
    if (batch.empty()) break;
    Send(connection, std::move(batch));
  }
  absl::MutexLock lock(&mutex_);
  --running_;
}

// Waits for work and takes as much as fits one body; empty when the client stops.
std::vector<HttpDelivery> HttpClient::NextBatch(bool takes_backlog) {
  absl::MutexLock lock(&mutex_);
  const auto ready = [this, takes_backlog]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !queue_.empty() || (takes_backlog && !backlog_.empty());
  };
  mutex_.Await(absl::Condition(&ready));
  std::vector<HttpDelivery> batch;
  if (stopping_) return batch;
  const size_t most = options_.flat ? 1 : options_.max_batch;
  Queue& queue = queue_.empty() ? backlog_ : queue_;
  size_t bytes = 0;
  while (!queue.empty() && batch.size() < most) {
    bytes += queue.front().body.size();
    if (!batch.empty() && bytes > options_.max_batch_bytes) break;
    batch.push_back(std::move(queue.front()));
    queue.pop_front();
  }
  return batch;
}

void HttpClient::Send(Connection& connection, std::vector<HttpDelivery> batch) {
  std::string path = path_prefix_;
  path += options_.flat ? batch[0].path : std::string_view(options_.endpoint);
  const Exchange answer =
      connection.Post(path, batch.size() == 1 ? batch[0].body : JoinArray(batch),
                      kMaxAnswerBytes + batch.size() * kMaxAnswerBytesPerMessage);
  if (!answer.problem.empty()) {
    const std::string problem = absl::StrCat(options_.base_url, ": ", answer.problem);
    ReportHealth(problem);
    DeliveryResult retry;
    retry.status = absl::UnavailableError(problem);
    return Finish(batch, std::vector<DeliveryResult>(batch.size(), retry));
  }
  Verdict verdict = Judge({answer.status, answer.retry_after, answer.body, answer.date}, batch);
  if (verdict.split) {
    for (HttpDelivery& delivery : batch) {
      std::vector<HttpDelivery> single;
      single.push_back(std::move(delivery));
      Send(connection, std::move(single));
    }
    return;
  }
  if (!verdict.problem.empty()) connection.Close();
  ReportHealth(verdict.problem.empty() ? ""
                                       : absl::StrCat(options_.base_url, ": ", verdict.problem));
  Finish(batch, std::move(verdict.results));
}

Verdict HttpClient::Judge(const HttpAnswer& answer, const std::vector<HttpDelivery>& batch) const {
  if (options_.flat) return JudgeFlat(answer);
  std::vector<std::string_view> ids;
  ids.reserve(batch.size());
  for (const HttpDelivery& delivery : batch) ids.push_back(delivery.message_id);
  return JudgeEnvelopes(answer, ids);
}

void HttpClient::Finish(const std::vector<HttpDelivery>& batch,
                        std::vector<DeliveryResult> results) {
  size_t bytes = 0;
  for (size_t i = 0; i < batch.size(); ++i) {
    results[i].token = batch[i].token;
    bytes += batch[i].body.size();
  }
  {
    // Before the completions: whoever hears of them may deliver again at once.
    absl::MutexLock lock(&mutex_);
    held_ -= batch.size();
    held_bytes_ -= bytes;
    ++telling_;
  }
  on_done_(results);
  absl::MutexLock lock(&mutex_);
  --telling_;
}

void HttpClient::ReportHealth(const std::string& problem) {
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_ || problem == problem_) return;
    problem_ = problem;
  }
  on_health_(problem);
}

bool HttpClient::Probe(absl::Duration timeout, ProbeFn on_result) {
  {
    absl::MutexLock lock(&mutex_);
    if (probing_ || stopping_) return false;
    probing_ = true;
  }
  if (prober_.joinable()) prober_.join();
  prober_ = std::thread(
      [this, timeout, on_result = std::move(on_result)] { RunProbe(timeout, on_result); });
  return true;
}

void HttpClient::RunProbe(absl::Duration timeout, const ProbeFn& on_result) {
  probe_connection_->SetTimeouts(timeout, timeout);
  const auto begin = std::chrono::steady_clock::now();
  const Exchange answer = probe_connection_->Get(path_prefix_ + "/api/test");
  const absl::Duration round_trip = absl::FromChrono(std::chrono::steady_clock::now() - begin);
  const absl::Status status = answer.problem.empty()
                                  ? JudgeProbe({answer.status, answer.retry_after, answer.body})
                                  : absl::UnavailableError(answer.problem);
  if (!status.ok()) probe_connection_->Close();
  {
    absl::MutexLock lock(&mutex_);
    probing_ = false;
  }
  on_result(status, round_trip, answer.cost);
}

}  // namespace viaduct::rest
