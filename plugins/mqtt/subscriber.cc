#include "plugins/mqtt/subscriber.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "plugins/mqtt/acks.h"
#include "plugins/mqtt/topics.h"

namespace viaduct::mqtt {
namespace {

// Answers that the broker has not acknowledged; one that never does is no broker.
constexpr size_t kMaxUnacknowledged = 65536;
constexpr absl::Duration kIdle = absl::Seconds(1);
constexpr absl::Duration kAskAgain = absl::Milliseconds(20);  // Doubled from answer to answer,
constexpr absl::Duration kMaxAskAgain = absl::Seconds(1);     // up to this.
constexpr std::string_view kResponse = "/response";
constexpr size_t kMaxResponseBytes = 1u << 20;  // Larger ones are not searched for an id.
constexpr int kPublished = 202;
constexpr int kAnswered = 200;
constexpr int kRefusedByBroker = 502;
constexpr int kUndelivered = 503;
constexpr int kNoSubscribers = 0x10;  // Reason codes of MQTT 5.
constexpr int kFirstRefusal = 0x80;

std::string RandomPrefix() {
  std::random_device random;
  return absl::StrCat("viaduct-", absl::Hex(random(), absl::kZeroPad8),
                      absl::Hex(random(), absl::kZeroPad8), "-");
}

}  // namespace

Subscriber::Kept::Kept(const Arrival& arrival)
    : topic(arrival.topic),
      payload(arrival.payload),
      correlation(arrival.correlation),
      qos(arrival.qos),
      retain(arrival.retain) {}

Subscriber::Subscriber(SubscriberOptions options, Events events)
    : options_(std::move(options)),
      events_(std::move(events)),
      correlation_prefix_(RandomPrefix()) {
  SessionOptions session = options_.session;
  session.receive_maximum = static_cast<int>(options_.window);
  session_ = std::make_unique<Session>(std::move(session), this);
}

Subscriber::~Subscriber() { Stop(); }

bool Subscriber::Drain(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  idle_ = false;  // Until the thread has seen it.
  session_->Wake();
  const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return idle_ || ended_; };
  return mutex_.AwaitWithTimeout(absl::Condition(&idle), timeout);
}

void Subscriber::SetAnswer(Answer answer) {
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    answers_.push_back(std::move(answer));
  }
  session_->Wake();
}

absl::Status Subscriber::Place(Order order) {
  {
    absl::MutexLock lock(&mutex_);
    if (!ready_ || ended_) return absl::UnavailableError("broker: not connected");
    if (orders_.size() + responses_.size() >= kMaxOrders) {
      return absl::ResourceExhaustedError("orders: too many are under way");
    }
    if (order.wants_response) {
      responses_[order.token] = {
          absl::StrCat(order.publication.topic,
                       absl::string_view(kResponse.data(), kResponse.size())),
          order.message_id};
      order.publication.correlation = CorrelationOf(order.token);
    }
    orders_.push_back(std::move(order));
  }
  session_->Wake();
  return absl::OkStatus();
}

void Subscriber::CancelOrder(uint64_t token) {
  absl::MutexLock lock(&mutex_);
  responses_.erase(token);
  orders_.erase(std::remove_if(orders_.begin(), orders_.end(),
                               [token](const Order& order) { return order.token == token; }),
                orders_.end());
}

SubscriberStats Subscriber::stats() const {
  absl::MutexLock lock(&mutex_);
  return stats_;
}

void Subscriber::OnConnected() {
  // Messages with 1: at most once would lose them, and exactly once would need libmosquitto to
  // remember over a crash what it has promised.
  std::vector<std::string> with[kMaxQos + 1];
  for (const std::string& filter : options_.filters) with[QosOf(filter)].push_back(filter);
  for (int qos = 0; qos <= kMaxQos; ++qos) session_->Fail(session_->Subscribe(with[qos], qos));
}

void Subscriber::OnSubscribed() {
  {
    absl::MutexLock lock(&mutex_);
    ready_ = true;
  }
  events_.on_ready();
}

bool Subscriber::may_read() const {
  return !closed_ && postponed_.empty() && group_ < options_.window &&
         group_bytes_ < options_.window_bytes;
}

void Subscriber::OnArrival(const Arrival& arrival) {
  if (OnResponse(arrival)) return;
  ++group_;
  group_bytes_ += arrival.payload.size();
  {
    absl::MutexLock lock(&mutex_);
    ++stats_.arrivals;
    idle_ = false;
  }
  Kept kept(arrival);
  if (!postponed_.empty() || Ask(&kept) == AskResult::kFull) postponed_.push_back(std::move(kept));
}

AskResult Subscriber::Ask(Kept* kept) {
  const uint64_t ticket = next_ticket_++;
  Kept& waiting = waiting_.emplace(ticket, std::move(*kept)).first->second;
  const Arrival arrival = waiting.arrival();
  const AskResult asked = events_.ask(Question{ticket, &arrival});
  if (asked == AskResult::kTaken) {
    if (waiting.deadline_ns == 0) {
      waiting.deadline_ns = MonotonicNs() + absl::ToInt64Nanoseconds(options_.commit_timeout);
    }
    return asked;
  }
  if (asked == AskResult::kFull) *kept = std::move(waiting);
  waiting_.erase(ticket);
  if (asked == AskResult::kRefused) {
    absl::MutexLock lock(&mutex_);
    ++stats_.refused;
  }
  return asked;
}

void Subscriber::AskPostponed() {
  while (!postponed_.empty()) {
    if (Ask(&postponed_.front()) == AskResult::kFull) return;
    postponed_.pop_front();
  }
}

void Subscriber::AskDelayed() {
  const int64_t now = MonotonicNs();
  std::vector<Delayed> due;
  const auto later = std::partition(delayed_.begin(), delayed_.end(),
                                    [now](const Delayed& one) { return one.ask_at_ns > now; });
  std::move(later, delayed_.end(), std::back_inserter(due));
  delayed_.erase(later, delayed_.end());
  for (Delayed& one : due) {
    if (Ask(&one.kept) == AskResult::kFull) Delay(std::move(one.kept), "");
  }
}

void Subscriber::Delay(Kept kept, std::string reason) {
  kept.pause = std::clamp(kept.pause * 2, kAskAgain, kMaxAskAgain);
  if (!reason.empty()) kept.reason = std::move(reason);
  const int64_t ask_at_ns = MonotonicNs() + absl::ToInt64Nanoseconds(kept.pause);
  delayed_.push_back({std::move(kept), ask_at_ns});
}

absl::Duration Subscriber::OnTurn() {
  TakeAnswers();
  AskPostponed();
  AskDelayed();
  SendOrders();
  CheckTimes();
  NoteIdle();
  return postponed_.empty() && delayed_.empty() ? kIdle : kAskAgain;
}

void Subscriber::TakeAnswers() {
  std::vector<Answer> answers;
  {
    absl::MutexLock lock(&mutex_);
    answers.swap(answers_);
  }
  for (Answer& answer : answers) TakeAnswer(std::move(answer));
}

void Subscriber::TakeAnswer(Answer answer) {
  const auto found = waiting_.find(answer.ticket);
  if (found == waiting_.end()) return;
  if (answer.later) {
    Delay(std::move(found->second), std::move(answer.reason));
    waiting_.erase(found);
    absl::MutexLock lock(&mutex_);
    ++stats_.delayed;
    return;
  }
  for (Publication& publication : answer.publications) {
    publication.correlation = found->second.correlation;
    const absl::StatusOr<int> id = session_->Publish(publication);
    // The message is stored all the same; who did not read the answer sends it again.
    if (id.ok() && publication.qos > 0) ++unacknowledged_;
  }
  waiting_.erase(found);
}

void Subscriber::SendOrders() {
  std::deque<Order> orders;
  {
    absl::MutexLock lock(&mutex_);
    orders.swap(orders_);
  }
  for (const Order& order : orders) {
    const absl::StatusOr<int> id = session_->Publish(order.publication);
    if (id.ok() && order.publication.qos > 0) {
      ++unacknowledged_;
      order_packets_[*id] = {order.token, order.wants_response};
      continue;
    }
    if (order.wants_response) {
      if (!id.ok()) EndUndelivered(order.token, std::string(id.status().message()));
      continue;
    }
    CancelOrder(order.token);
    events_.on_response(order.token, id.ok() ? kPublished : kRefusedByBroker, "");
  }
}

void Subscriber::OnPublished(int id, int reason) {
  if (unacknowledged_ > 0) --unacknowledged_;
  const auto found = order_packets_.find(id);
  if (found == order_packets_.end()) return;
  const OrderPacket packet = found->second;
  order_packets_.erase(found);
  if (!packet.wants_response) {
    return events_.on_response(packet.token,
                               reason >= kFirstRefusal ? kRefusedByBroker : kPublished, "");
  }
  if (reason == kNoSubscribers) {
    return EndUndelivered(packet.token, "broker: the device has not subscribed");
  }
  if (reason >= kFirstRefusal) {
    EndUndelivered(packet.token,
                   absl::StrCat("broker: refused the command, reason ", absl::Hex(reason)));
  }
}

// A command that its device certainly has not got, unless it is over already.
void Subscriber::EndUndelivered(uint64_t token, std::string_view why) {
  {
    absl::MutexLock lock(&mutex_);
    if (responses_.erase(token) == 0) return;
  }
  events_.on_response(token, kUndelivered, why);
}

// True: it was an answer to an order, ours or another node's.
bool Subscriber::OnResponse(const Arrival& arrival) {
  if (!IsResponseTopic(arrival.topic)) return false;
  uint64_t token = 0;
  {
    absl::MutexLock lock(&mutex_);
    token = OrderOf(arrival);
    if (token == 0) ++stats_.strays;
    if (token == 0) return true;
    responses_.erase(token);
  }
  events_.on_response(token, kAnswered, arrival.payload);
  return true;
}

// 0: none of ours.
uint64_t Subscriber::OrderOf(const Arrival& arrival) {
  if (responses_.empty()) return 0;
  const bool by_id = arrival.correlation.empty() && arrival.payload.size() <= kMaxResponseBytes;
  const std::string id = by_id ? ReadMessageId(arrival.payload) : "";
  for (const auto& [token, expected] : responses_) {
    if (expected.topic != arrival.topic) continue;
    if (!arrival.correlation.empty() && arrival.correlation == CorrelationOf(token)) return token;
    if (!id.empty() && id == expected.message_id) return token;
  }
  return 0;
}

std::string Subscriber::CorrelationOf(uint64_t token) const {
  return absl::StrCat(correlation_prefix_, token);
}

void Subscriber::CheckTimes() {
  if (unacknowledged_ > kMaxUnacknowledged) {
    return session_->Fail(absl::UnavailableError("broker: acknowledges nothing"));
  }
  const int64_t now = MonotonicNs();
  DropOverdue(now);
  for (const Delayed& one : delayed_) {
    if (one.kept.deadline_ns > now) continue;
    return session_->Fail(absl::UnavailableError(
        absl::StrCat("node: can not store now, the broker keeps the messages, ", one.kept.reason)));
  }
  for (const auto& [ticket, waiting] : waiting_) {
    if (waiting.deadline_ns > now) continue;
    return session_->Fail(
        absl::DeadlineExceededError("node: did not store in time, the broker keeps the messages"));
  }
}

// The broker has none of QoS 0 any more: the end of the connection would bring nothing back.
void Subscriber::DropOverdue(int64_t now) {
  const size_t before = delayed_.size();
  delayed_.erase(std::remove_if(delayed_.begin(), delayed_.end(),
                                [now](const Delayed& one) {
                                  return one.kept.qos == 0 && one.kept.deadline_ns <= now;
                                }),
                 delayed_.end());
  if (delayed_.size() == before) return;
  absl::MutexLock lock(&mutex_);
  stats_.dropped += before - delayed_.size();
}

void Subscriber::NoteIdle() {
  const bool waits = holds_any();
  absl::MutexLock lock(&mutex_);
  closed_ = draining_;
  if (waits) return;
  if (group_ > 0) ++stats_.groups;
  group_ = 0;
  group_bytes_ = 0;
  idle_ = answers_.empty();
}

void Subscriber::OnEnded(const absl::Status& why) {
  waiting_.clear();
  postponed_.clear();
  delayed_.clear();
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    ready_ = false;
    answers_.clear();
    orders_.clear();
    responses_.clear();
  }
  if (!why.ok()) events_.on_ended(why);
}

}  // namespace viaduct::mqtt
