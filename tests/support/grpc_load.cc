#include "tests/support/grpc_load.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status_macros.h"

namespace viaduct::support {
namespace {

namespace pb = gateway::v1;

constexpr size_t kSampleBytes = 400;
constexpr int64_t kConnectLookMs = 50;
constexpr int kMaxMessageBytes = 64 << 20;

const char* CodeName(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK:
      return "OK";
    case grpc::StatusCode::INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return "DEADLINE_EXCEEDED";
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case grpc::StatusCode::UNAVAILABLE:
      return "UNAVAILABLE";
    case grpc::StatusCode::INTERNAL:
      return "INTERNAL";
    case grpc::StatusCode::CANCELLED:
      return "CANCELLED";
    default:
      return "OTHER";
  }
}

bool ShouldRetry(grpc::StatusCode code) {
  return code == grpc::StatusCode::RESOURCE_EXHAUSTED || code == grpc::StatusCode::UNAVAILABLE ||
         code == grpc::StatusCode::DEADLINE_EXCEEDED || code == grpc::StatusCode::CANCELLED;
}

std::chrono::system_clock::time_point Deadline(int64_t ms) {
  return std::chrono::system_clock::now() + std::chrono::milliseconds(ms);
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  // The time that one attempt has, in spite of its name.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

uint64_t NumberOf(absl::string_view message_id) {
  const size_t dash = message_id.rfind('-');
  if (dash == absl::string_view::npos) return 0;
  return std::strtoull(std::string(message_id.substr(dash + 1)).c_str(), nullptr, 16);
}

pb::Priority PriorityOf(const std::string& name) {
  if (name == "high") return pb::PRIORITY_HIGH;
  if (name == "low") return pb::PRIORITY_LOW;
  return name == "normal" ? pb::PRIORITY_NORMAL : pb::PRIORITY_UNSPECIFIED;
}

}  // namespace

CommitWatcher::CommitWatcher(const std::string& target, std::string device)
    : device_(std::move(device)), stub_(pb::Gateway::NewStub(MakeChannel(target))) {}

CommitWatcher::~CommitWatcher() { Stop(); }

absl::Status CommitWatcher::Start() {
  context_.set_wait_for_ready(true);
  pb::SubscribeRequest request;
  request.add_edge_device_ids(device_);
  reader_ = stub_->Subscribe(&context_, request);
  thread_ = std::thread([this] { Read(); });
  absl::MutexLock lock(&mutex_);
  const auto settled = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return synced_ || ended_; };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&settled), absl::Seconds(10)) || !synced_) {
    return absl::UnavailableError(
        absl::StrCat("commit watcher: no synced marker, ", ended_ ? end_text_ : "still waiting"));
  }
  return absl::OkStatus();
}

void CommitWatcher::Read() {
  pb::SubscribeResponse response;
  while (reader_->Read(&response)) {
    const int64_t now = NowNanos();
    absl::MutexLock lock(&mutex_);
    if (response.has_envelope()) {
      commits_.push_back({response.envelope().message_id(), now});
    } else if (response.has_lagged()) {
      missed_ += response.lagged().missed();
    } else if (response.has_synced()) {
      synced_ = true;
    }
  }
  const grpc::Status status = reader_->Finish();
  absl::MutexLock lock(&mutex_);
  end_text_ = status.error_message();
  ended_ = true;
}

void CommitWatcher::AwaitCount(const std::string& id_head, uint64_t count, double seconds) {
  absl::MutexLock lock(&mutex_);
  size_t looked = 0;
  std::unordered_set<std::string> seen;
  const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (; looked < commits_.size(); ++looked) {
      const std::string& id = commits_[looked].message_id;
      if (id.compare(0, id_head.size(), id_head) == 0) seen.insert(id);
    }
    return seen.size() >= count || ended_;
  };
  mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(seconds));
}

void CommitWatcher::Stop() {
  if (!thread_.joinable()) return;
  context_.TryCancel();
  thread_.join();
}

std::vector<CommitWatcher::Commit> CommitWatcher::Take() {
  absl::MutexLock lock(&mutex_);
  return std::move(commits_);
}

uint64_t CommitWatcher::missed() const {
  absl::MutexLock lock(&mutex_);
  return missed_;
}

GrpcLoad::GrpcLoad(GrpcOptions grpc, LoadOptions load, MessageSource* source)
    : grpc_(std::move(grpc)), load_(std::move(load)), source_(source), pace_(0, 0) {}

std::shared_ptr<grpc::Channel> GrpcLoad::Channel() const { return MakeChannel(grpc_.target); }

bool GrpcLoad::MayMake(int64_t now) const {
  if (now >= make_until_ns_ || StopRequested()) return false;
  return load_.max_messages == 0 || results_.made < load_.max_messages;
}

bool GrpcLoad::Finished(int64_t now) {
  if (MayMake(now)) {
    made_until_ns_ = now;
    return false;
  }
  if (outstanding_ == 0 && again_.empty()) return true;
  return now > made_until_ns_ + static_cast<int64_t>(load_.drain_seconds * 1e9);
}

GrpcLoad::PendingPtr GrpcLoad::Next(int64_t now) {
  if (!again_.empty()) {
    PendingPtr pending = std::move(again_.front());
    again_.pop_front();
    return pending;
  }
  if (!MayMake(now)) return nullptr;
  const int64_t due = pace_.paced() ? pace_.NextDue() : now;
  if (due > now) return nullptr;
  pace_.Take();
  auto pending = std::make_unique<Pending>();
  pending->message = source_->Next(log_.on());
  pending->due_ns = due;
  log_.Claimed(pending->message);
  ++results_.made;
  if (!grpc_.watch.empty()) due_by_number_.push_back(due);
  return pending;
}

void GrpcLoad::FillEnvelope(const Pending& pending, pb::Envelope* envelope) const {
  const int64_t millis =
      source_->spec().start_unix_ms + static_cast<int64_t>(NumberOf(pending.message.message_id));
  envelope->set_message_id(pending.message.message_id);
  envelope->mutable_timestamp()->set_seconds(millis / 1000);
  envelope->mutable_timestamp()->set_nanos(static_cast<int32_t>(millis % 1000) * 1000000);
  envelope->set_edge_device_id(source_->spec().camera_id);
  envelope->set_data_type(pb::DATA_TYPE_DETECTION);
  const pb::Priority priority = PriorityOf(source_->spec().priority);
  if (priority != pb::PRIORITY_UNSPECIFIED) envelope->mutable_metadata()->set_priority(priority);
  source_->AppendPayload(pending.message, envelope->mutable_payload_json());
}

void GrpcLoad::Again(PendingPtr pending) {
  if (load_.retry) {
    ++results_.retried;
    again_.push_back(std::move(pending));
  } else {
    ++results_.refused;
  }
}

void GrpcLoad::Settle(PendingPtr pending, const pb::Result& result, int64_t now) {
  last_answer_ns_ = now;
  if (grpc_.watch.empty()) {
    results_.latency.Add(now - (pace_.paced() ? pending->due_ns : pending->sent_ns));
  }
  if (result.status() == pb::RESULT_STATUS_STORED ||
      result.status() == pb::RESULT_STATUS_DUPLICATE) {
    ++results_.answers[pb::ResultStatus_Name(result.status())];
    ++results_.accepted;
    log_.Accepted(pending->message.id);
    return;
  }
  const auto code = static_cast<grpc::StatusCode>(result.code());
  ++results_.answers[CodeName(code)];
  results_.samples.try_emplace(CodeName(code), result.error().substr(0, kSampleBytes));
  if (ShouldRetry(code)) return Again(std::move(pending));
  ++results_.refused;
}

// --- One stream at a time; when it breaks, everything without a result goes on the next one. ---

bool GrpcLoad::FrameReady() {
  const int64_t now = NowNanos();
  if (stream_ended_ || Finished(now)) return true;
  if (outstanding_ + grpc_.frame > grpc_.window) return false;
  if (!again_.empty()) return true;
  return MayMake(now) && (!pace_.paced() || pace_.NextDue() <= now);
}

// Waits for room and for something that is due. False: nothing more to write on this stream.
bool GrpcLoad::FillFrame(pb::SendMetadataStreamRequest* frame) {
  frame->clear_envelopes();
  absl::MutexLock lock(&mutex_);
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return FrameReady(); };
  for (;;) {
    int64_t wait = 50'000'000;  // Time passes without a signal: look again.
    const int64_t now = NowNanos();
    if (pace_.paced() && MayMake(now)) wait = std::clamp<int64_t>(pace_.NextDue() - now, 0, wait);
    if (mutex_.AwaitWithTimeout(absl::Condition(&ready), absl::Nanoseconds(wait))) break;
  }
  const int64_t now = NowNanos();
  if (stream_ended_ || Finished(now)) return false;
  while (frame->envelopes_size() < grpc_.frame) {
    PendingPtr pending = Next(now);
    if (pending == nullptr) break;
    pending->sent_ns = now;
    FillEnvelope(*pending, frame->add_envelopes());
    on_stream_.push_back(std::move(pending));
    ++outstanding_;
  }
  return true;
}

void GrpcLoad::ReadResults(Stream* stream) {
  pb::SendMetadataStreamResponse response;
  while (stream->Read(&response)) {
    const int64_t now = NowNanos();
    absl::MutexLock lock(&mutex_);
    for (const pb::Result& result : response.results()) {
      if (result.index() >= on_stream_.size() || on_stream_[result.index()] == nullptr) {
        ++results_.answers["result for nothing"];
        continue;
      }
      --outstanding_;
      Settle(std::move(on_stream_[result.index()]), result, now);
    }
  }
  absl::MutexLock lock(&mutex_);
  stream_ended_ = true;
}

bool GrpcLoad::RunOneStream(pb::Gateway::Stub* stub) {
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub->SendMetadataStream(&context);
  {
    absl::MutexLock lock(&mutex_);
    stream_ended_ = false;
    ++results_.connects;
  }
  std::thread reader([this, &stream] { ReadResults(stream.get()); });
  pb::SendMetadataStreamRequest frame;
  bool whole = true;
  while (FillFrame(&frame)) {
    if (frame.envelopes_size() == 0) continue;
    {
      absl::MutexLock lock(&mutex_);
      results_.bytes_sent += frame.ByteSizeLong();
    }
    if (!stream->Write(frame)) {
      whole = false;
      break;
    }
  }
  if (whole) stream->WritesDone();
  {
    absl::MutexLock lock(&mutex_);
    // What is under way has the time of a call to be answered; then the peer is silent, and we hang
    // up.
    const auto settled = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return outstanding_ == 0 || stream_ended_;
    };
    mutex_.AwaitWithTimeout(absl::Condition(&settled), absl::Milliseconds(load_.timeout_ms));
    if (outstanding_ > 0) context.TryCancel();
  }
  reader.join();
  const grpc::Status status = stream->Finish();
  absl::MutexLock lock(&mutex_);
  for (PendingPtr& pending : on_stream_) {
    if (pending == nullptr) continue;
    --outstanding_;
    Again(std::move(pending));
  }
  on_stream_.clear();
  if (status.ok()) return true;
  ++results_.disconnects;
  ++results_.answers[absl::StrCat("stream ", CodeName(status.error_code()))];
  results_.samples.try_emplace(absl::StrCat("stream ", CodeName(status.error_code())),
                               status.error_message().substr(0, kSampleBytes));
  return false;
}

// The delay between two attempts at a node that is down.
void GrpcLoad::WaitReconnect() const {
  const timespec pause = {load_.reconnect_delay_ms / 1000,
                          load_.reconnect_delay_ms % 1000 * 1'000'000};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, nullptr);
}

void GrpcLoad::RunStreams() {
  const std::shared_ptr<grpc::Channel> channel = Channel();
  const std::unique_ptr<pb::Gateway::Stub> stub = pb::Gateway::NewStub(channel);
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      if (Finished(NowNanos())) return;
    }
    if (!channel->WaitForConnected(Deadline(kConnectLookMs))) continue;
    if (!RunOneStream(stub.get())) WaitReconnect();
  }
}

// --- Unary calls ---

void GrpcLoad::CallOnce(pb::Gateway::Stub* stub, PendingPtr pending) {
  pb::SendMetadataRequest request;
  pb::SendMetadataResponse response;
  FillEnvelope(*pending, request.mutable_envelope());
  grpc::ClientContext context;
  context.set_deadline(Deadline(load_.timeout_ms));
  pending->sent_ns = NowNanos();
  const grpc::Status status = stub->SendMetadata(&context, request, &response);
  const int64_t now = NowNanos();
  absl::MutexLock lock(&mutex_);
  --outstanding_;
  results_.bytes_sent += request.ByteSizeLong();
  if (status.ok()) return Settle(std::move(pending), response.result(), now);
  pb::Result refusal;
  refusal.set_code(status.error_code());
  refusal.set_error(status.error_message());
  Settle(std::move(pending), refusal, now);
}

void GrpcLoad::UnaryThread(pb::Gateway::Stub* stub) {
  for (;;) {
    PendingPtr pending;
    int64_t wait = 5'000'000;
    {
      absl::MutexLock lock(&mutex_);
      const int64_t now = NowNanos();
      if (Finished(now)) return;
      pending = Next(now);
      if (pending != nullptr) {
        ++outstanding_;
      } else if (pace_.paced() && MayMake(now)) {
        wait = std::clamp<int64_t>(pace_.NextDue() - now, 0, wait);
      }
    }
    if (pending != nullptr) {
      CallOnce(stub, std::move(pending));
    } else {
      const timespec pause = {0, wait};
      clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, nullptr);
    }
  }
}

void GrpcLoad::RunUnary() {
  const std::unique_ptr<pb::Gateway::Stub> stub = pb::Gateway::NewStub(Channel());
  std::vector<std::thread> threads;
  for (int i = 0; i < grpc_.threads; ++i) {
    threads.emplace_back([this, &stub] { UnaryThread(stub.get()); });
  }
  for (std::thread& t : threads) t.join();
}

// From the moment a message was due to the moment its commit on the watched node was heard of.
void GrpcLoad::AddCommitLatencies(CommitWatcher& watcher) {
  MessageSource twin(source_->spec());
  const std::string id = twin.Next(false).message_id;
  const std::string head = id.substr(0, id.rfind('-') + 1);
  uint64_t accepted = 0;
  {
    absl::MutexLock lock(&mutex_);
    accepted = results_.accepted;
  }
  watcher.AwaitCount(head, accepted, grpc_.watch_drain_seconds);
  watcher.Stop();
  absl::MutexLock lock(&mutex_);
  uint64_t heard = 0;
  for (const CommitWatcher::Commit& commit : watcher.Take()) {
    const uint64_t number = NumberOf(commit.message_id);
    if (commit.message_id.compare(0, head.size(), head) != 0) continue;
    if (number == 0 || number > due_by_number_.size()) continue;
    results_.latency.Add(commit.nanos - due_by_number_[number - 1]);
    last_answer_ns_ = std::max(last_answer_ns_, commit.nanos);
    ++heard;
  }
  results_.answers["commits heard"] = heard;
  results_.answers["commits missed by the watcher"] = watcher.missed();
}

absl::StatusOr<LoadResults> GrpcLoad::Run() {
  std::unique_ptr<CommitWatcher> watcher;
  if (!grpc_.watch.empty()) {
    watcher = std::make_unique<CommitWatcher>(grpc_.watch, source_->spec().camera_id);
    VD_RETURN_IF_ERROR(watcher->Start());
  }
  const int64_t start = NowNanos();
  const double cpu = ProcessCpuSeconds();
  make_until_ns_ = start + static_cast<int64_t>(load_.seconds * 1e9);
  {
    absl::MutexLock lock(&mutex_);
    VD_RETURN_IF_ERROR(log_.Open(load_.log_path));
    pace_ = Pace(load_.rate, start);
    last_answer_ns_ = start;
  }
  if (grpc_.stream) {
    RunStreams();
  } else {
    RunUnary();
  }
  if (watcher != nullptr) AddCommitLatencies(*watcher);
  absl::MutexLock lock(&mutex_);
  results_.seconds = static_cast<double>(last_answer_ns_ - start) / 1e9;
  results_.cpu_seconds = ProcessCpuSeconds() - cpu;
  VD_RETURN_IF_ERROR(log_.Close());
  return results_;
}

}  // namespace viaduct::support
