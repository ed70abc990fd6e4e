// What a client and its server say to each other once they are connected.
#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugins/websocket/client_impl.h"
#include "plugins/websocket/engine_packet.h"
#include "plugins/websocket/socketio_packet.h"

namespace viaduct::websocket {
namespace {

constexpr char kControlEvent[] = "control";
constexpr char kIntroducedType[] = "node_registered";
constexpr size_t kSlowestBytes = 8u << 10;  // Per second, of a road that is not given up.
constexpr absl::string_view kProbe = "probe ";
constexpr size_t kFrameHeadBytes = 2;                   // Of a short frame of a server.
constexpr absl::Duration kMaxPing = absl::Minutes(10);  // Whatever a server says of its pings.

std::string Registration(const ClientOptions& options) {
  return absl::StrCat("{\"camera_id\":", QuoteJson(options.camera_id),
                      ",\"checkpoint_id\":", QuoteJson(options.checkpoint_id), "}");
}

}  // namespace

// ---- what the server says

void Client::Impl::OnFrame(const ReceivedFrame& frame) {
  switch (frame.kind) {
    case FrameKind::kPing:
      codec_->Append(FrameKind::kPong, frame.payload, &out_);
      return Flush();
    case FrameKind::kPong:
      // One that was given up may still be answered.
      if (frame.payload == absl::StrCat(pings_)) pinged_ = false;
      if (!probing_ || frame.payload != absl::StrCat(kProbe, probes_)) return;
      probe_cost_.received = kFrameHeadBytes + frame.payload.size();
      EndProbe(absl::OkStatus());
      return;
    case FrameKind::kClose:
      if (frame.close_code == kCloseTooBig) RejectLargest();
      return Lose(absl::UnavailableError(
          absl::StrCat("server: closed the connection, ", frame.close_code, " ", frame.payload)));
    case FrameKind::kText:
      return options_.raw ? OnRawAnswer(frame.payload) : TakeText(frame.payload);
    default:  // Nothing here is answered in binary.
      return;
  }
}

void Client::Impl::TakeText(const std::string& text) {
  EnginePacket packet;
  if (!ReadEnginePacket(text, &packet)) {
    return Lose(absl::UnavailableError("server: not Engine.IO"));
  }
  switch (packet.type) {
    case EngineType::kOpen:
      return OnOpen(packet.data);
    case EngineType::kPing:
      AwaitServer();
      return SendText("3");
    case EngineType::kMessage:
      return OnSocketIo(packet.data);
    case EngineType::kClose:
      return Lose(absl::UnavailableError("server: closed the session"));
    default:
      return;
  }
}

void Client::Impl::OnOpen(const std::string& json) {
  const auto open = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  const auto number = [&open](const char* key) {
    const auto found = open.find(key);
    return found != open.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
  };
  if (phase_ != Phase::kOpening || !open.is_object() || number("pingInterval") == 0) {
    return Lose(absl::UnavailableError("server: not the opening of Engine.IO"));
  }
  const uint64_t silence = number("pingInterval") + number("pingTimeout");
  silence_ = std::min(absl::Milliseconds(std::min<uint64_t>(silence, 1u << 30)), kMaxPing);
  if (number("maxPayload") > 0) max_payload_ = number("maxPayload");
  phase_ = Phase::kJoining;
  std::string auth;
  if (!options_.token.empty()) auth = absl::StrCat("{\"token\":", QuoteJson(options_.token), "}");
  SendText(absl::StrCat("40", auth));
}

void Client::Impl::OnSocketIo(const std::string& text) {
  SocketIoPacket packet;
  std::string why;
  if (!ReadSocketIoPacket(text, &packet, &why)) return Lose(absl::UnavailableError(why));
  if (packet.nsp != "/") return;
  switch (packet.type) {
    case SocketIoType::kConnect:
      if (phase_ == Phase::kJoining) Ready();
      return;
    case SocketIoType::kConnectError:
    case SocketIoType::kDisconnect:
      return Lose(absl::UnavailableError("server: refuses the namespace"));
    case SocketIoType::kAck: {
      if (packet.elements.empty()) return;
      const std::string answer(packet.elements.front());
      const bool introduced = introduction_.id != 0 && *packet.id == introduction_.id;
      return introduced ? OnIntroduced(answer) : OnAnswer(*packet.id, answer);
    }
    case SocketIoType::kEvent: {
      const JsonElements& elements = packet.elements;
      std::string event;
      const bool control =
          elements.size() > 1 && ReadJsonString(elements[0], &event) && event == kControlEvent;
      // Events for dashboards are not for a road.
      if (control) OnCommand(packet.id, std::string(elements[1]));
      return;
    }
    default:
      return;
  }
}

void Client::Impl::OnCommand(std::optional<uint64_t> ack_id, const std::string& body) {
  if (events_.on_command == nullptr || commands_.size() >= kMaxCommands) return;
  const uint64_t ticket = ++last_command_;
  commands_[ticket] = ack_id;
  events_.on_command(ticket, body);
}

void Client::Impl::OnRawAnswer(const std::string& text) {
  const auto answer = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object()) return;
  const auto type = answer.find("type");
  if (type != answer.end() && *type == kControlEvent) return OnCommand(std::nullopt, text);
  if (type != answer.end() && *type == kIntroducedType) return OnIntroduced(text);
  const auto named = answer.find("message_id");
  if (named == answer.end() || !named->is_string()) return;
  const auto found = by_message_.find(named->get<std::string>());
  if (found != by_message_.end()) OnAnswer(found->second, text);
}

void Client::Impl::Ready() {
  phase_ = Phase::kReady;
  if (!options_.raw && !options_.camera_id.empty() && !options_.checkpoint_id.empty()) {
    SendText(absl::StrCat("42[\"camera_register\",", Registration(options_), "]"));
  }
  attempts_left_ = options_.reconnect_attempts;
  AwaitServer();
  if (probe_ != nullptr) SendProbe();
  events_.on_ready();
  std::deque<Delivery> waiting;
  waiting.swap(waiting_);
  for (Delivery& delivery : waiting) SendDelivery(std::move(delivery));
  Flush();
  ArmAnswerTimer();
}

void Client::Impl::SayIntroduction() {
  if (options_.raw) return SendText(introduction_.body);
  introduction_.id = ++last_id_;
  SendText(absl::StrCat("42", introduction_.id, "[", QuoteJson(introduction_.event), ",",
                        introduction_.body, "]"));
}

// What nobody has said is not said again, whatever a server answers.
void Client::Impl::OnIntroduced(const std::string& json) {
  if (introduction_.body.empty()) return;
  introduction_.id = 0;
  const std::optional<absl::Duration> again = IntroduceAgain(json, options_.reconnect_delay);
  if (again.has_value()) {
    return deadlines_.Set(&introduce_again_, absl::ToChronoNanoseconds(*again));
  }
  introduction_ = Introduction();
  deadlines_.Clear(&introduce_again_);
}

void Client::Impl::SendProbe() {
  probing_ = true;
  probe_began_ = std::chrono::steady_clock::now();
  const size_t before = out_.size();
  codec_->Append(FrameKind::kPing, absl::StrCat(kProbe, ++probes_), &out_);
  probe_cost_.sent = out_.size() - before;
  Flush();
}

void Client::Impl::AwaitServer() {
  pinged_ = false;
  deadlines_.Set(this, absl::ToChronoNanoseconds(silence_));
}

void Client::Impl::OnDeadline() {
  if (phase_ == Phase::kEnded || phase_ == Phase::kIdle) return;
  if (phase_ != Phase::kReady) {
    return Lose(absl::UnavailableError(
        absl::StrCat("connect: ", address_.host, ":", address_.port, ", no answer in time")));
  }
  // The ping may be behind messages that are still leaving; those have a time of their own.
  const bool late = pinged_ && unconfirmed_bytes_ == 0;
  if (!options_.raw || late) {
    return Lose(absl::UnavailableError("connection: the server has fallen silent"));
  }
  AwaitServer();
  pinged_ = true;
  codec_->Append(FrameKind::kPing, absl::StrCat(++pings_), &out_);
  Flush();
}

// ---- messages

void Client::Impl::TakeMail() {
  std::deque<Delivery> mail;
  std::vector<uint64_t> cancelled;
  {
    absl::MutexLock lock(&mutex_);
    woken_ = false;
    mail.swap(mail_);
    cancelled.swap(cancelled_);
  }
  for (Delivery& delivery : mail) {
    if (phase_ == Phase::kReady) {
      SendDelivery(std::move(delivery));
    } else {
      waiting_.push_back(std::move(delivery));
    }
  }
  if (!cancelled.empty()) CancelSome(cancelled);
  if (phase_ == Phase::kIdle && !waiting_.empty()) return Connect();
  if (phase_ == Phase::kReady) Flush();
  ArmAnswerTimer();
}

void Client::Impl::CancelSome(const std::vector<uint64_t>& cancelled) {
  const std::unordered_set<uint64_t> tokens(cancelled.begin(), cancelled.end());
  std::vector<DeliveryResult> results;
  size_t bytes = 0;
  const auto end = [&](uint64_t token, size_t size) {
    DeliveryResult result;
    result.token = token;
    result.outcome = DeliveryOutcome::kCancelled;
    results.push_back(std::move(result));
    bytes += size;
  };
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const bool wanted = tokens.count(it->token) == 0;
    if (!wanted) end(it->token, it->envelope.size());
    it = wanted ? std::next(it) : waiting_.erase(it);
  }
  for (auto it = sent_.begin(); it != sent_.end();) {
    const Delivery& delivery = it->second.delivery;
    const bool wanted = tokens.count(delivery.token) == 0;
    if (!wanted) end(delivery.token, it->second.bytes);
    if (!wanted) largest_given_up_ = std::max(largest_given_up_, it->second.bytes);
    if (!wanted) unconfirmed_bytes_ -= it->second.bytes;
    if (!wanted) by_message_.erase(delivery.message_id);
    it = wanted ? std::next(it) : sent_.erase(it);
  }
  Report(results, bytes);
}

void Client::Impl::SendDelivery(Delivery delivery) {
  const uint64_t id = ++last_id_;
  if (delivery.envelope.size() + kMaxEventBytes > max_payload_) {
    DeliveryResult result;
    result.token = delivery.token;
    result.outcome = DeliveryOutcome::kReject;
    result.status = absl::OutOfRangeError(absl::StrCat("message: ", delivery.envelope.size(),
                                                       " bytes, the server takes ", max_payload_));
    return Report({result}, delivery.envelope.size());
  }
  const std::string text = options_.raw
                               ? delivery.envelope
                               : absl::StrCat("42", id, "[\"envelope\",", delivery.envelope, "]");
  codec_->Append(FrameKind::kText, text, &out_);
  const size_t bytes = delivery.envelope.size();
  std::string().swap(delivery.envelope);
  by_message_[delivery.message_id] = id;
  unconfirmed_bytes_ += bytes;
  sent_end_ += bytes;
  if (sent_.empty()) {
    oldest_ = id;
    oldest_since_ = std::chrono::steady_clock::now();
  }
  sent_.emplace(id, Sent{std::move(delivery), bytes, sent_end_});
}

void Client::Impl::OnAnswer(uint64_t id, const std::string& json) {
  const auto found = sent_.find(id);
  if (found == sent_.end()) return;  // Nobody asked, or it was cancelled.
  answered_end_ = std::max(answered_end_, found->second.end);
  DeliveryResult result = JudgeAnswer(json, found->second.delivery.message_id, options_.raw);
  result.token = found->second.delivery.token;
  Settle(found, std::move(result));
  FindOldest();
}

// The server takes no message of that size. It does not say which one that was; none that it has
// not answered is larger than the largest. That may be one that nobody waits for any more.
void Client::Impl::RejectLargest() {
  const auto largest = std::max_element(
      sent_.begin(), sent_.end(),
      [](const auto& one, const auto& other) { return one.second.bytes < other.second.bytes; });
  if (largest == sent_.end() || largest->second.bytes <= largest_given_up_) return;
  DeliveryResult result;
  result.token = largest->second.delivery.token;
  result.outcome = DeliveryOutcome::kReject;
  result.status = absl::OutOfRangeError(
      absl::StrCat("message: ", largest->second.bytes, " bytes, more than the server takes"));
  Settle(largest, std::move(result));
}

void Client::Impl::Settle(SentMap::iterator sent, DeliveryResult result) {
  const size_t bytes = sent->second.bytes;
  unconfirmed_bytes_ -= bytes;
  by_message_.erase(sent->second.delivery.message_id);
  sent_.erase(sent);
  Report({std::move(result)}, bytes);
}

void Client::Impl::FindOldest() {
  const uint64_t before = oldest_;
  while (oldest_ <= last_id_ && sent_.count(oldest_) == 0) ++oldest_;
  if (oldest_ != before) oldest_since_ = std::chrono::steady_clock::now();
}

// A road is gone through in order: before the oldest only what is not answered in front of it has
// to go, which may be what was cancelled on its way, and a large message needs its time on a slow
// road.
SteadyTime Client::Impl::OldestDue() const {
  if (oldest_ > last_id_) return SteadyTime::max();
  const uint64_t end = sent_.at(oldest_).end;
  const auto bytes = static_cast<double>(end - std::min(end, answered_end_));
  const absl::Duration patience =
      options_.answer_timeout + absl::Seconds(1) * (bytes / kSlowestBytes);
  return oldest_since_ + absl::ToChronoNanoseconds(patience);
}

void Client::Impl::ArmAnswerTimer() {
  FindOldest();
  SteadyTime due = OldestDue();
  if (probe_ != nullptr) due = std::min(due, probe_due_);
  if (due == SteadyTime::max()) return deadlines_.Clear(&answer_timer_);
  deadlines_.Set(&answer_timer_, std::max(due - std::chrono::steady_clock::now(),
                                          SteadyDuration(std::chrono::milliseconds(1))));
}

void Client::Impl::OnAnswerDue() {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (probe_ != nullptr && probe_due_ <= now) {
    EndProbe(absl::DeadlineExceededError("probe: no answer in time"));
  }
  FindOldest();
  if (OldestDue() <= now) {
    return Lose(absl::UnavailableError("server: does not confirm a message in time"));
  }
  ArmAnswerTimer();
}

void Client::Impl::Report(const std::vector<DeliveryResult>& results, size_t bytes) {
  if (results.empty()) return;
  {
    absl::MutexLock lock(&mutex_);
    // Before the completions: whoever hears of them may deliver again at once.
    held_ -= std::min(held_, results.size());
    held_bytes_ -= std::min(held_bytes_, bytes);
    ++telling_;
  }
  events_.on_results(results);
  const absl::MutexLock lock(&mutex_);
  --telling_;
}

void Client::Impl::EndProbe(const absl::Status& status) {
  ProbeFn probe = std::exchange(probe_, nullptr);
  if (probe == nullptr) return;
  const SteadyTime now = std::chrono::steady_clock::now();
  const auto trip = std::exchange(probing_, false) ? now - probe_began_ : SteadyDuration::zero();
  {
    absl::MutexLock lock(&mutex_);
    probe_asked_ = false;
  }
  probe(status, absl::FromChrono(trip), std::exchange(probe_cost_, ProbeCost()));
}

void Client::Impl::EndAll(DeliveryOutcome outcome, const absl::Status& why) {
  std::vector<DeliveryResult> results;
  const auto end = [&](uint64_t token) {
    DeliveryResult result;
    result.token = token;
    result.outcome = outcome;
    result.status = why;
    results.push_back(std::move(result));
  };
  size_t bytes = 0;
  for (const auto& [id, sent] : sent_) {
    end(sent.delivery.token);
    bytes += sent.bytes;
  }
  sent_.clear();
  unconfirmed_bytes_ = 0;
  sent_end_ = 0;
  answered_end_ = 0;
  by_message_.clear();
  {
    absl::MutexLock lock(&mutex_);
    for (Delivery& delivery : mail_) waiting_.push_back(std::move(delivery));
    mail_.clear();
  }
  for (const Delivery& delivery : waiting_) {
    end(delivery.token);
    bytes += delivery.envelope.size();
  }
  waiting_.clear();
  Report(results, bytes);
}

void Client::Impl::Lose(const absl::Status& why) {
  if (phase_ == Phase::kEnded || phase_ == Phase::kIdle) return;
  phase_ = Phase::kIdle;
  ++connection_;
  largest_given_up_ = 0;
  deadlines_.Clear(this);
  deadlines_.Clear(&answer_timer_);
  deadlines_.Clear(&introduce_again_);
  introduction_ = Introduction();
  CloseAll();
  commands_.clear();
  EndProbe(why);
  EndAll(DeliveryOutcome::kRetry, why);
  events_.on_lost(why);
  if (attempts_left_-- > 0) {
    deadlines_.Set(&redial_, absl::ToChronoNanoseconds(options_.reconnect_delay));
  }
}

void Client::Impl::CloseAll() {
  resolver_.cancel();
  Error ignored;
  if (connecting_ != nullptr) connecting_->close(ignored);
  if (stream_ != nullptr) stream_->Close();
  stream_.reset();
  in_.clear();
  out_.clear();
  writing_ = false;
}

void Client::Impl::SendText(std::string_view text) {
  codec_->Append(FrameKind::kText, text, &out_);
  Flush();
}

void Client::Impl::Flush() {
  if (writing_ || out_.empty() || stream_ == nullptr) return;
  writing_ = true;
  // Of the write, which may outlive this connection.
  const auto data = std::make_shared<std::string>(std::exchange(out_, {}));
  stream_->Write(*data, [this, data, number = connection_, keep = stream_](const Error& error) {
    if (number != connection_) return;
    if (error) return Lose(absl::UnavailableError(absl::StrCat("connection: ", error.message())));
    writing_ = false;
    Flush();
  });
}

}  // namespace viaduct::websocket
