#include "host/node/webhook.h"

#include <httplib.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host/node/add_metric.h"
#include "host/node/alert_json.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "alerts";
constexpr absl::Duration kCutInterval = absl::Milliseconds(20);

std::pair<time_t, time_t> Split(absl::Duration duration) {
  const int64_t us = std::max<int64_t>(1000, absl::ToInt64Microseconds(duration));
  return {us / 1'000'000, us % 1'000'000};
}

// Not of these: the receiver will not want it later either.
bool MayPass(int status) {
  return status >= 500 || status == 401 || status == 403 || status == 404 || status == 408 ||
         status == 425 || status == 429;
}

absl::Duration RetryAfterOf(const std::string& header) {
  int64_t seconds = 0;
  if (!absl::SimpleAtoi(header, &seconds) || seconds <= 0) return absl::ZeroDuration();
  return std::min(absl::Seconds(seconds), Webhook::kMaxRetryAfter);
}

}  // namespace

Webhook::Webhook(WebhookOptions options, Parts parts)
    : options_(std::move(options)), parts_(std::move(parts)), pool_({"webhook", 1, 2}) {
  const size_t path = options_.url.find('/', options_.url.find("://") + 3);
  origin_ = options_.url.substr(0, path);
  target_ = path == std::string::npos ? "/" : options_.url.substr(path);
  sent_ = AddMetric(parts_.metrics, MetricKind::kCounter, "viaduct_webhook_sent_total",
                    "Alerts that were taken.");
  failed_ = AddMetric(parts_.metrics, MetricKind::kCounter, "viaduct_webhook_failed_total",
                      "Requests that failed, each try.");
  dropped_ = AddMetric(parts_.metrics, MetricKind::kCounter, "viaduct_webhook_dropped_total",
                       "Alerts that were refused or one too many.");
}

Webhook::~Webhook() { Stop(absl::InfiniteDuration()); }

void Webhook::Send(const Alert& alert) {
  Message message;
  message.id = absl::StrCat(alert.id, "-", std::string(AlertStateName(alert)));
  JsonWriter json;
  json.BeginObject().Field("event_id", std::string_view(message.id));
  json.Field("node_id", std::string_view(parts_.node_id));
  json.Field("text", std::string_view(alert.text));
  WriteAlertMembers(alert, &json);
  message.body = json.EndObject().Take();
  bool full = false;
  bool idle = false;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return;
    full = queue_.size() >= kMaxQueued;
    if (full) queue_.pop_front();
    message.number = next_++;
    queue_.push_back(std::move(message));
    idle = !std::exchange(active_, true);
  }
  if (idle) Submit();
  if (!full) return;
  parts_.metrics->Increase(dropped_);
  parts_.log->Warning(kComponent, "too many wait for the webhook, the oldest is dropped",
                      {{"webhook", origin_}});
}

void Webhook::Submit() {
  pool_.Submit([this] { SendQueued(); });
}

void Webhook::SendQueued() {
  Message message;
  while (Front(&message)) {
    const Answer answer = Post(message);
    if (!Settle(message, answer)) return;
  }
}

// What is sent next; false: there is nothing.
bool Webhook::Front(Message* message) {
  absl::MutexLock lock(&mutex_);
  active_ = busy_ = !stopping_ && !queue_.empty();
  if (active_) *message = queue_.front();
  return active_;
}

bool Webhook::Settle(const Message& message, const Answer& answer) {
  const bool again = answer.verdict == Answer::Verdict::kRetry;
  const bool refused = answer.verdict == Answer::Verdict::kRefused;
  uint32_t failures = 0;
  bool wait = false;
  {
    absl::MutexLock lock(&mutex_);
    busy_ = false;
    failures_ = again ? failures_ + 1 : 0;
    failures = failures_;
    wait = again && !stopping_;
    const bool there = !queue_.empty() && queue_.front().number == message.number;
    if (!again && there) queue_.pop_front();
  }
  parts_.metrics->Increase(again ? failed_ : refused ? dropped_ : sent_);
  if (refused) {
    parts_.log->Error(kComponent, "the webhook refuses an alert, it is given up",
                      {{"webhook", origin_}, {"event_id", message.id}, {"reason", answer.reason}});
  } else if (failures == 1) {
    parts_.log->Warning(kComponent, "the webhook is not reached, trying again",
                        {{"webhook", origin_}, {"reason", answer.reason}});
  }
  if (!wait) return !again;
  const absl::Duration delay = RetryPolicy::DelayAfter(parts_.retry, failures, random_);
  // Without a timer the node stops.
  parts_.timers->ArmAfter(std::max(delay, answer.retry_after), [this] { Submit(); });
  return false;
}

Webhook::Answer Webhook::Post(const Message& message) {
  Answer answer;
  try {
    auto client = std::make_shared<httplib::Client>(origin_);
    const auto [connect_s, connect_us] = Split(std::min(options_.timeout, kMaxConnectTime));
    const auto [wait_s, wait_us] = Split(options_.timeout);
    client->set_connection_timeout(connect_s, connect_us);
    client->set_read_timeout(wait_s, wait_us);
    client->set_write_timeout(wait_s, wait_us);
    client->set_follow_location(false);
    if (!options_.ca_file.empty()) client->set_ca_cert_path(options_.ca_file.c_str());
    client->enable_server_certificate_verification(true);
    {
      absl::MutexLock lock(&mutex_);
      client_ = client;
      if (stopping_) return answer;
    }
    // A receiver that answers in drops is cut off.
    const uint64_t timer =
        parts_.timers->ArmAfter(options_.timeout * kWholeTimeouts, [client] { client->stop(); });
    answer = Exchange(message, client.get());
    parts_.timers->Cancel(timer);
  } catch (const std::exception& e) {
    answer.reason = e.what();
  }
  absl::MutexLock lock(&mutex_);
  client_ = nullptr;
  return answer;
}

Webhook::Answer Webhook::Exchange(const Message& message, httplib::Client* client) {
  httplib::Request request;
  request.method = "POST";
  request.path = target_;
  request.body = message.body;
  request.set_header("Content-Type", "application/json");
  request.set_header("Idempotency-Key", message.id);
  if (!options_.token.empty()) request.set_header("Authorization", "Bearer " + options_.token);
  // What it says is in the head already: a body that is too large ends the request.
  Answer answer;
  int status = 0;
  request.response_handler = [&](const httplib::Response& head) {
    status = head.status;
    answer.retry_after = RetryAfterOf(head.get_header_value("Retry-After"));
    return true;
  };
  size_t received = 0;
  request.content_receiver = [&](const char*, size_t size, uint64_t, uint64_t) {
    received += size;
    return received <= kMaxAnswerBytes;
  };
  const httplib::Result result = client->send(request);
  answer.reason = status == 0 ? httplib::to_string(result.error()) : absl::StrCat("HTTP ", status);
  if (status / 100 == 2) {
    answer.verdict = Answer::Verdict::kDelivered;
  } else if (status != 0 && !MayPass(status)) {
    answer.verdict = Answer::Verdict::kRefused;
  }
  return answer;
}

void Webhook::Cut() {
  std::shared_ptr<httplib::Client> client;
  {
    absl::MutexLock lock(&mutex_);
    client = client_;
  }
  if (client != nullptr) client->stop();
}

int Webhook::Stop(absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    queue_.clear();
  }
  const auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !busy_; };
  while (absl::Now() < deadline) {
    // One that is just opening its socket is missed: again until the thread is back.
    Cut();
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&idle), kCutInterval)) break;
  }
  return pool_.Stop(std::max(deadline - absl::Now(), absl::ZeroDuration()));
}

}  // namespace viaduct
