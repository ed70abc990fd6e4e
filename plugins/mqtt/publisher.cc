#include "plugins/mqtt/publisher.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugins/mqtt/topics.h"

namespace viaduct::mqtt {
namespace {

constexpr int kNoSubscribers = 0x10;  // Reason codes of MQTT 5.
constexpr int kFirstRefusal = 0x80;
constexpr int kTooLarge = 0x95;
constexpr absl::Duration kIdle = absl::Seconds(1);
constexpr size_t kMaxCommandBytes = 1u << 20;

}  // namespace

Publisher::Publisher(PublisherOptions options, Events events)
    : options_(std::move(options)),
      ack_topic_(absl::StrCat("lpr/ack/", options_.device_id)),
      events_(std::move(events)) {
  SessionOptions session = options_.session;
  session.will.topic = absl::StrCat("system/status/", options_.device_id);
  session.will.payload = StatusPayload(options_.device_id, "offline", 0);
  session.will.retain = true;
  session_ = std::make_unique<Session>(std::move(session), this);
}

Publisher::~Publisher() { Stop(); }

bool Publisher::Drain(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return ids_.empty() && telling_ == 0;
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&idle), timeout);
}

size_t Publisher::credit() const {
  absl::MutexLock lock(&mutex_);
  if (!ready_ || draining_ || bytes_ >= options_.window_bytes) return 0;
  return options_.window - std::min(options_.window, ids_.size());
}

bool Publisher::Take(Delivery delivery) {
  absl::MutexLock lock(&mutex_);
  const size_t bytes = delivery.envelope.size();
  if (!ready_ || ids_.size() >= options_.window) return false;
  if (bytes_ > 0 && bytes_ + bytes > options_.window_bytes) return false;
  // A message that is under way already could not be told from this one by its answer.
  if (!ids_.insert(delivery.message_id).second) return false;
  bytes_ += bytes;
  queue_.push_back(std::move(delivery));
  return true;
}

void Publisher::Cancel(absl::Span<const uint64_t> tokens) {
  std::vector<DeliveryResult> cancelled;
  {
    absl::MutexLock lock(&mutex_);
    const auto wanted = [&](const Delivery& delivery) {
      return std::find(tokens.begin(), tokens.end(), delivery.token) != tokens.end();
    };
    for (const Delivery& delivery : queue_) {
      if (!wanted(delivery)) continue;
      cancelled.push_back({delivery.token, DeliveryOutcome::kCancelled, false, {}});
      ids_.erase(delivery.message_id);
      bytes_ -= delivery.envelope.size();
    }
    queue_.erase(std::remove_if(queue_.begin(), queue_.end(), wanted), queue_.end());
    ++telling_;
  }
  if (!cancelled.empty()) events_.on_done(cancelled);
  absl::MutexLock lock(&mutex_);
  --telling_;
}

void Publisher::Answer(uint64_t ticket, std::vector<Publication> publications) {
  {
    absl::MutexLock lock(&mutex_);
    const auto found = commands_.find(ticket);
    if (found == commands_.end()) return;
    for (Publication& publication : publications) {
      publication.correlation = found->second;
      answers_.push_back(std::move(publication));
    }
    commands_.erase(found);
  }
  session_->Wake();
}

bool Publisher::Probe(absl::Duration timeout, ProbeFn done) {
  const bool begun =
      prober_.Ask(MonotonicNs() + absl::ToInt64Nanoseconds(timeout), std::move(done));
  session_->Wake();
  return begun;
}

uint64_t Publisher::dropped_commands() const {
  absl::MutexLock lock(&mutex_);
  return dropped_commands_;
}

void Publisher::OnConnected() {
  const std::string& device = options_.device_id;
  std::vector<std::string> filters = {absl::StrCat("system/control/", device)};
  if (options_.confirm == Confirm::kServer) filters.push_back(ack_topic_);
  const std::string orders = absl::StrCat("lprserver/cameras/", device, "/control");
  session_->Fail(session_->Subscribe(filters, QosOf(filters.front())));
  session_->Fail(session_->Subscribe({orders}, QosOf(orders)));
  // What is said there of files also comes as a command: who may not read it misses nothing.
  session_->Fail(session_->Subscribe({std::string(kFileStatusTopic)}, QosOf(kFileStatusTopic),
                                     /*optional=*/true));
}

void Publisher::OnSubscribed() {
  {
    absl::MutexLock lock(&mutex_);
    ready_ = true;
    if (draining_) return;
    ++telling_;
  }
  events_.on_ready();
  absl::MutexLock lock(&mutex_);
  --telling_;
}

Publication Publisher::Status(std::string_view word, const NodeFacts& facts) const {
  Publication publication;
  publication.topic = absl::StrCat("system/status/", options_.device_id);
  publication.payload = StatusPayload(options_.device_id, word, events_.wall_ns(), facts);
  publication.retain = true;
  return publication;
}

void Publisher::SayOnline(const NodeFacts& facts) {
  Publication status = Status("online", facts);
  {
    absl::MutexLock lock(&mutex_);
    if (!ready_) return;
    answers_.push_back(std::move(status));
  }
  session_->Wake();
}

// The status is news, not data: one that can not be sent is made good by the will.
void Publisher::OnFarewell() { session_->Publish(Status("offline", {})).status().IgnoreError(); }

void Publisher::OnArrival(const Arrival& arrival) {
  if (arrival.topic == ack_topic_) return OnAcks(arrival.payload);
  if (IsCommandTopic(arrival.topic) || arrival.topic == kFileStatusTopic) OnCommand(arrival);
}

void Publisher::OnAcks(std::string_view payload) {
  std::vector<Ack> acks;
  if (options_.confirm != Confirm::kServer || !ReadAcks(payload, &acks)) return;
  for (const Ack& ack : acks) {
    switch (ack.word) {
      case AckWord::kStored:
      case AckWord::kDuplicate:
        EndMessage(ack.message_id, DeliveryOutcome::kDurable, ack.word == AckWord::kDuplicate, {});
        break;
      case AckWord::kRejected:
        EndMessage(ack.message_id, DeliveryOutcome::kReject, false,
                   absl::InvalidArgumentError(ack.error));
        break;
      case AckWord::kLater:
        EndMessage(ack.message_id, DeliveryOutcome::kRetry, false,
                   absl::UnavailableError(ack.error), ack.retry_after);
        break;
    }
  }
}

void Publisher::OnCommand(const Arrival& arrival) {
  uint64_t ticket = 0;
  {
    absl::MutexLock lock(&mutex_);
    // What is said of the files of all devices leaves room for commands to this one.
    const size_t most = arrival.topic == kFileStatusTopic ? kMaxCommands / 2 : kMaxCommands;
    // A retained one would be carried out at every connect.
    if (arrival.retain || commands_.size() >= most || arrival.payload.size() > kMaxCommandBytes) {
      ++dropped_commands_;
      return;
    }
    ticket = next_ticket_++;
    commands_[ticket] = std::string(arrival.correlation);
  }
  if (events_.on_command(Command{ticket, &arrival}).ok()) return;
  absl::MutexLock lock(&mutex_);
  commands_.erase(ticket);
  ++dropped_commands_;
}

void Publisher::OnPublished(int id, int reason) {
  const auto found = packets_.find(id);
  if (found == packets_.end()) return;  // An answer or a status.
  const uint64_t publication = found->second;
  packets_.erase(found);
  if (reason == kTooLarge) return EndTooLarge(publication);
  if (reason >= kFirstRefusal) {
    return EndPublication(publication, DeliveryOutcome::kRetry,
                          absl::UnavailableError(absl::StrCat(
                              "broker: refused the message, reason ", absl::Hex(reason))));
  }
  if (reason == kNoSubscribers) {
    return EndPublication(publication, DeliveryOutcome::kRetry,
                          absl::UnavailableError("broker: no server has subscribed"));
  }
  if (options_.confirm == Confirm::kBroker) {
    return EndPublication(publication, DeliveryOutcome::kDurable, absl::OkStatus());
  }
  const auto sent = sent_.find(publication);
  if (sent == sent_.end()) return;
  sent->second.bytes = 0;
  sent->second.deadline_ns = MonotonicNs() + absl::ToInt64Nanoseconds(options_.ack_timeout);
}

void Publisher::EndTooLarge(uint64_t publication) {
  const auto sent = sent_.find(publication);
  if (sent == sent_.end()) return;
  const bool single = sent->second.message_ids.size() == 1;
  if (!single) batch_bytes_ = std::min(batch_bytes_, sent->second.bytes / 2);
  EndPublication(publication, single ? DeliveryOutcome::kReject : DeliveryOutcome::kRetry,
                 absl::ResourceExhaustedError("message: larger than the broker takes"));
}

absl::Duration Publisher::OnTurn() {
  const absl::Duration probed = TurnProber();
  SendAnswers();
  while (sent_.size() < options_.max_publications) {
    std::vector<Delivery> batch = NextBatch();
    if (batch.empty()) break;
    PublishBatch(std::move(batch));
  }
  const absl::Duration wait = ExpireDue();
  TellDone();
  return std::min(wait, probed);
}

absl::Duration Publisher::TurnProber() {
  bool ready = false;
  {
    absl::MutexLock lock(&mutex_);
    ready = ready_;
  }
  const std::string topic = absl::StrCat("system/probe/", options_.device_id);
  return prober_.OnTurn(MonotonicNs(), Prober::RequestBytes(topic.size()),
                        [&]() -> absl::StatusOr<int> {
                          if (!ready) return 0;
                          return session_->Unsubscribe(topic);
                        });
}

void Publisher::SendAnswers() {
  std::vector<Publication> answers;
  {
    absl::MutexLock lock(&mutex_);
    answers.swap(answers_);
  }
  for (const Publication& answer : answers) session_->Publish(answer).status().IgnoreError();
}

std::vector<Delivery> Publisher::NextBatch() {
  std::vector<Delivery> batch;
  size_t bytes = 0;
  absl::MutexLock lock(&mutex_);
  if (!ready_) return batch;
  while (!queue_.empty() && batch.size() < options_.max_batch) {
    const size_t next = queue_.front().envelope.size() + 1;
    if (!batch.empty() && bytes + next > batch_bytes_) break;
    bytes += next;
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return batch;
}

void Publisher::PutBack(std::vector<Delivery> batch) {
  absl::MutexLock lock(&mutex_);
  queue_.insert(queue_.begin(), std::make_move_iterator(batch.begin()),
                std::make_move_iterator(batch.end()));
}

uint64_t Publisher::Hold(std::vector<Delivery> batch) {
  const uint64_t number = next_publication_++;
  Sent& sent = sent_[number];
  for (Delivery& delivery : batch) {
    held_[delivery.message_id] = Held{delivery.token, delivery.envelope.size(), number};
    sent.message_ids.push_back(std::move(delivery.message_id));
  }
  sent.left = sent.message_ids.size();
  return number;
}

void Publisher::PublishBatch(std::vector<Delivery> batch) {
  Publication publication;
  publication.topic = options_.topic;
  std::vector<std::string_view> envelopes;
  envelopes.reserve(batch.size());
  for (const Delivery& delivery : batch) envelopes.push_back(delivery.envelope);
  publication.payload = JoinEnvelopes(envelopes);
  const absl::StatusOr<int> id = session_->Publish(publication);
  const bool too_large = id.status().code() == absl::StatusCode::kResourceExhausted;
  if (too_large && batch.size() > 1) {
    batch_bytes_ = publication.payload.size() / 2;
    return PutBack(std::move(batch));
  }
  const uint64_t number = Hold(std::move(batch));
  if (!id.ok()) {
    // One message that the broker is too small for is so at every attempt.
    return EndPublication(number, too_large ? DeliveryOutcome::kReject : DeliveryOutcome::kRetry,
                          id.status());
  }
  packets_[*id] = number;
  sent_[number].bytes = publication.payload.size();
  size_t bytes = 0;
  for (const auto& [other, under_way] : sent_) bytes += under_way.bytes;
  const absl::Duration patience =
      options_.ack_timeout + absl::Seconds(1) * (static_cast<double>(bytes) / kSlowestBytes);
  sent_[number].deadline_ns = MonotonicNs() + absl::ToInt64Nanoseconds(patience);
}

void Publisher::EndMessage(const std::string& message_id, DeliveryOutcome outcome, bool duplicate,
                           const absl::Status& status, absl::Duration retry_after) {
  const auto found = held_.find(message_id);
  if (found == held_.end()) return;  // Answered before, or by an answer to an earlier sending.
  const Held held = found->second;
  held_.erase(found);
  ended_.push_back({{held.token, outcome, duplicate, status, retry_after}, message_id, held.bytes});
  const auto sent = sent_.find(held.publication);
  if (sent != sent_.end() && --sent->second.left == 0) sent_.erase(sent);
}

void Publisher::EndPublication(uint64_t publication, DeliveryOutcome outcome,
                               const absl::Status& status) {
  const auto found = sent_.find(publication);
  if (found == sent_.end()) return;
  const std::vector<std::string> ids = std::move(found->second.message_ids);
  for (const std::string& id : ids) {
    const auto held = held_.find(id);
    if (held != held_.end() && held->second.publication == publication) {
      EndMessage(id, outcome, false, status);
    }
  }
}

absl::Duration Publisher::ExpireDue() {
  const int64_t now = MonotonicNs();
  int64_t next = now + absl::ToInt64Nanoseconds(kIdle);
  std::vector<uint64_t> due;
  for (const auto& [number, sent] : sent_) {
    if (sent.deadline_ns <= now) due.push_back(number);
    next = std::min(next, std::max(now, sent.deadline_ns));
  }
  for (const uint64_t number : due) {
    EndPublication(number, DeliveryOutcome::kRetry,
                   absl::DeadlineExceededError("server: did not answer in time"));
  }
  return absl::Nanoseconds(next - now);
}

void Publisher::TellDone() {
  if (ended_.empty()) return;
  std::vector<DeliveryResult> results;
  results.reserve(ended_.size());
  {
    absl::MutexLock lock(&mutex_);
    for (Ended& ended : ended_) {
      ids_.erase(ended.message_id);
      bytes_ -= ended.bytes;
      results.push_back(std::move(ended.result));
    }
    ++telling_;
  }
  ended_.clear();
  events_.on_done(results);
  absl::MutexLock lock(&mutex_);
  --telling_;
}

void Publisher::OnEnded(const absl::Status& why) {
  std::deque<Delivery> queue;
  {
    absl::MutexLock lock(&mutex_);
    ready_ = false;
    queue.swap(queue_);
    answers_.clear();
    commands_.clear();
  }
  const DeliveryOutcome outcome = why.ok() ? DeliveryOutcome::kCancelled : DeliveryOutcome::kRetry;
  for (const auto& [id, held] : held_) {
    ended_.push_back({{held.token, outcome, false, why}, id, held.bytes});
  }
  for (Delivery& delivery : queue) {
    ended_.push_back({{delivery.token, outcome, false, why},
                      std::move(delivery.message_id),
                      delivery.envelope.size()});
  }
  held_.clear();
  sent_.clear();
  TellDone();
  prober_.End(why);
  if (!why.ok()) events_.on_ended(why);
}

}  // namespace viaduct::mqtt
