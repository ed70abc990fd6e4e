#include "host/services/gateway_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/clock.h"
#include "core/base/ids.h"
#include "host/rpc/status.h"

namespace viaduct {
namespace {

namespace pb = gateway::v1;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(20);

// Checks as the application does, remembers what it took, and answers when it is told to.
class FakeSink final : public Sink {
 public:
  void Accept(std::vector<Arrival> batch, AcceptFn done) override {
    std::vector<AcceptResult> results(batch.size());
    absl::MutexLock lock(&mutex_);
    for (size_t i = 0; i < batch.size(); ++i) {
      results[i].status = ValidateEnvelope(batch[i].envelope, ParseOptions());
      if (results[i].status.ok() && full_) {
        results[i].status = absl::ResourceExhaustedError("spool: full");
      }
      if (!results[i].status.ok()) continue;
      results[i].duplicate = !ids_.insert(batch[i].envelope.message_id).second;
      taken_.push_back(batch[i].envelope);
    }
    answers_.push_back([done = std::move(done), results = std::move(results)] { done(results); });
    asked_ += batch.size();
    if (!held_) AnswerLocked();
  }

  void Hold() {
    absl::MutexLock lock(&mutex_);
    held_ = true;
  }
  void Release() {
    absl::MutexLock lock(&mutex_);
    held_ = false;
    AnswerLocked();
  }
  void SetFull(bool full) {
    absl::MutexLock lock(&mutex_);
    full_ = full;
  }
  bool AwaitAsked(size_t count) {
    auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return asked_ >= count; };
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), kPatience);
  }
  size_t asked() {
    absl::MutexLock lock(&mutex_);
    return asked_;
  }
  std::vector<Envelope> taken() {
    absl::MutexLock lock(&mutex_);
    return taken_;
  }

 private:
  // Answers under the lock are wrong in a real sink; here they show that nobody calls back in.
  void AnswerLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (auto& answer : answers_) answer();
    answers_.clear();
  }

  absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  bool full_ ABSL_GUARDED_BY(mutex_) = false;
  size_t asked_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<std::string> ids_ ABSL_GUARDED_BY(mutex_);
  std::vector<Envelope> taken_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::function<void()>> answers_ ABSL_GUARDED_BY(mutex_);
};

// Lets everybody call, and knows or does not know who it is.
class ChangingGate final : public rpc::OpenGate {
 public:
  using OpenGate::OpenGate;

  rpc::StandingFn Standing(const grpc::ServerContextBase& /*context*/,
                           std::string_view /*method*/) override {
    return [this] { return known ? grpc::Status::OK : rpc::AcceptedNoLonger(); };
  }
  bool asks() const override { return asked; }
  uint64_t changes() const override { return changed; }
  rpc::PrincipalPtr Caller(const grpc::ServerContextBase& /*context*/) override {
    return known ? security::NodeItself() : nullptr;
  }

  std::atomic<bool> asked{false};
  std::atomic<bool> known{true};
  std::atomic<uint64_t> changed{0};
};

class GatewayServiceTest : public ::testing::Test {
 protected:
  GatewayServiceTest() : reader_("CAM001", &clock_), feed_sink_(&sink_, &feed_) {
    service_ = std::make_unique<GatewayService>(
        &gate_,
        [this](std::vector<Envelope> batch, const Sender& /*sender*/, Sink::AcceptFn done) {
          feed_sink_.Accept({batch.begin(), batch.end()}, std::move(done));
        },
        &reader_, &feed_, nullptr, nullptr);
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = pb::Gateway::NewStub(server_->InProcessChannel(grpc::ChannelArguments()));
  }
  ~GatewayServiceTest() override {
    sink_.Release();
    server_->Shutdown(std::chrono::system_clock::now());
  }

  static pb::Envelope Detection(const std::string& id) {
    pb::Envelope envelope;
    envelope.set_message_id(id);
    envelope.mutable_timestamp()->set_seconds(1705314600);
    envelope.set_edge_device_id("CAM001");
    envelope.set_data_type(pb::DATA_TYPE_DETECTION);
    envelope.set_payload_json(R"({"type":"detection_result"})");
    return envelope;
  }

  grpc::Status Send(const pb::Envelope& envelope, pb::SendMetadataResponse* response) {
    grpc::ClientContext context;
    pb::SendMetadataRequest request;
    *request.mutable_envelope() = envelope;
    return stub_->SendMetadata(&context, request, response);
  }

  FakeClock clock_;
  FakeSink sink_;
  MessageFeed feed_;
  rpc::Peers peers_;
  ChangingGate gate_{&peers_};
  EnvelopeReader reader_;
  FeedSink feed_sink_;
  std::unique_ptr<GatewayService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<pb::Gateway::Stub> stub_;
};

TEST_F(GatewayServiceTest, AStreamEndsAtTheNextFrameWhenItsKeyIsRevoked) {
  gate_.asked = true;
  grpc::ClientContext context;
  auto stream = stub_->SendMetadataStream(&context);
  pb::SendMetadataStreamRequest frame;
  *frame.add_envelopes() = Detection("m-1");
  pb::SendMetadataStreamResponse response;
  ASSERT_TRUE(stream->Write(frame));
  ASSERT_TRUE(stream->Read(&response));
  ++gate_.changed;  // Of somebody else.
  *frame.mutable_envelopes(0) = Detection("m-2");
  ASSERT_TRUE(stream->Write(frame));
  ASSERT_TRUE(stream->Read(&response));
  gate_.known = false;
  ++gate_.changed;
  *frame.mutable_envelopes(0) = Detection("m-3");
  ASSERT_TRUE(stream->Write(frame));
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(sink_.taken().size(), 2u);
}

TEST_F(GatewayServiceTest, AFileOfNobodyIsRefusedWhereCallersAreAsked) {
  gate_.asked = true;
  gate_.known = false;
  grpc::ClientContext context;
  pb::SendFileStreamResponse response;
  auto writer = stub_->SendFileStream(&context, &response);
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(GatewayServiceTest, HandsOverEveryField) {
  pb::Envelope envelope = Detection("m-1");
  envelope.mutable_timestamp()->set_nanos(250'000'000);
  envelope.mutable_metadata()->set_priority(pb::PRIORITY_HIGH);
  (*envelope.mutable_metadata()->mutable_extra()->mutable_fields())["lane"].set_string_value("2");
  pb::SendMetadataResponse response;
  grpc::Status status = Send(envelope, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.result().message_id(), "m-1");
  EXPECT_EQ(response.result().status(), pb::RESULT_STATUS_STORED);
  ASSERT_EQ(sink_.taken().size(), 1u);
  const Envelope taken = sink_.taken().front();
  EXPECT_EQ(absl::ToUnixMillis(taken.timestamp), 1705314600250);
  EXPECT_EQ(taken.edge_device_id, "CAM001");
  EXPECT_EQ(taken.metadata.priority, Priority::kHigh);
  EXPECT_THAT(taken.metadata.extra_json, HasSubstr("lane"));
  EXPECT_EQ(taken.payload_json, R"({"type":"detection_result"})");
}

TEST_F(GatewayServiceTest, FillsInIdTimeAndDevice) {
  pb::Envelope envelope;
  envelope.set_data_type(pb::DATA_TYPE_HEALTH);
  (*envelope.mutable_payload()->mutable_fields())["status"].set_string_value("healthy");
  pb::SendMetadataResponse response;
  ASSERT_TRUE(Send(envelope, &response).ok());
  EXPECT_TRUE(IsUuid(response.result().message_id()));
  const Envelope taken = sink_.taken().front();
  EXPECT_EQ(taken.message_id, response.result().message_id());
  EXPECT_EQ(taken.edge_device_id, "CAM001");
  EXPECT_EQ(taken.timestamp, clock_.Now());
  EXPECT_EQ(taken.payload_json, R"({"status":"healthy"})");
}

TEST_F(GatewayServiceTest, SaysThatItWasThereBefore) {
  pb::SendMetadataResponse response;
  ASSERT_TRUE(Send(Detection("m-1"), &response).ok());
  ASSERT_TRUE(Send(Detection("m-1"), &response).ok());
  EXPECT_EQ(response.result().status(), pb::RESULT_STATUS_DUPLICATE);
}

TEST_F(GatewayServiceTest, NamesEveryFieldThatIsWrong) {
  pb::Envelope envelope = Detection("m-1");
  envelope.set_data_type(static_cast<pb::DataType>(99));
  envelope.mutable_timestamp()->set_nanos(-5);
  envelope.mutable_metadata()->set_priority(static_cast<pb::Priority>(7));
  envelope.clear_payload_json();
  pb::SendMetadataResponse response;
  grpc::Status status = Send(envelope, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const auto details = rpc::DescribeDetails(status);
  EXPECT_EQ(details.size(), 4u);
  EXPECT_THAT(details, Contains(HasSubstr("envelope.data_type: ")));
  EXPECT_THAT(details, Contains(HasSubstr("envelope.timestamp: ")));
  EXPECT_THAT(details, Contains(HasSubstr("envelope.metadata.priority: ")));
  EXPECT_THAT(details, Contains(HasSubstr("envelope.payload_json: ")));
  EXPECT_EQ(sink_.asked(), 0u);
}

TEST_F(GatewayServiceTest, PassesOnWhatTheApplicationRefuses) {
  pb::Envelope envelope = Detection("m-1");
  envelope.set_payload_json("[1, 2]");
  pb::SendMetadataResponse response;
  grpc::Status status = Send(envelope, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(rpc::DescribeDetails(status), Contains(HasSubstr("envelope.payload_json: ")));
  envelope = Detection(std::string(500, 'x'));
  status = Send(envelope, &response);
  EXPECT_THAT(rpc::DescribeDetails(status), Contains(HasSubstr("envelope.message_id: ")));
}

TEST_F(GatewayServiceTest, AMissingEnvelopeIsAnError) {
  grpc::ClientContext context;
  pb::SendMetadataResponse response;
  grpc::Status status = stub_->SendMetadata(&context, pb::SendMetadataRequest(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(rpc::DescribeDetails(status), Contains("envelope: missing"));
}

TEST_F(GatewayServiceTest, AFullSpoolIsResourceExhausted) {
  sink_.SetFull(true);
  pb::SendMetadataResponse response;
  EXPECT_EQ(Send(Detection("m-1"), &response).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(GatewayServiceTest, DoesNotAnswerBeforeItIsDurable) {
  sink_.Hold();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
  pb::SendMetadataRequest request;
  *request.mutable_envelope() = Detection("m-1");
  pb::SendMetadataResponse response;
  EXPECT_EQ(stub_->SendMetadata(&context, request, &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(sink_.AwaitAsked(1));
}

TEST_F(GatewayServiceTest, StreamAnswersEachMessageOnce) {
  constexpr int kFrames = 50;
  constexpr int kPerFrame = 100;
  grpc::ClientContext context;
  auto stream = stub_->SendMetadataStream(&context);
  std::thread writer([&] {
    for (int frame = 0; frame < kFrames; ++frame) {
      pb::SendMetadataStreamRequest request;
      for (int i = 0; i < kPerFrame; ++i) {
        pb::Envelope envelope = Detection(absl::StrCat("m-", frame, "-", i));
        if (i % 10 == 3) envelope.set_data_type(pb::DATA_TYPE_UNSPECIFIED);
        if (i % 10 == 7) envelope.set_payload_json("{");
        *request.add_envelopes() = std::move(envelope);
      }
      ASSERT_TRUE(stream->Write(request));
    }
    stream->WritesDone();
  });
  std::map<uint64_t, pb::Result> results;
  pb::SendMetadataStreamResponse response;
  while (stream->Read(&response)) {
    for (const auto& result : response.results()) {
      EXPECT_TRUE(results.emplace(result.index(), result).second) << "twice: " << result.index();
    }
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  ASSERT_EQ(results.size(), static_cast<size_t>(kFrames * kPerFrame));
  for (const auto& [index, result] : results) {
    const uint64_t i = index % kPerFrame;
    EXPECT_EQ(result.message_id(), absl::StrCat("m-", index / kPerFrame, "-", i));
    if (i % 10 == 3 || i % 10 == 7) {
      EXPECT_EQ(result.status(), pb::RESULT_STATUS_REJECTED);
      EXPECT_EQ(result.code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
      EXPECT_FALSE(result.error().empty());
    } else {
      EXPECT_EQ(result.status(), pb::RESULT_STATUS_STORED);
    }
  }
}

TEST_F(GatewayServiceTest, StreamStopsReadingWhenTheWindowIsFull) {
  sink_.Hold();
  grpc::ClientContext context;
  auto stream = stub_->SendMetadataStream(&context);
  std::atomic<int> written{0};
  constexpr int kFrames = 40;
  constexpr int kPerFrame = 1024;
  std::thread writer([&] {
    for (int frame = 0; frame < kFrames; ++frame) {
      pb::SendMetadataStreamRequest request;
      for (int i = 0; i < kPerFrame; ++i) {
        *request.add_envelopes() = Detection(absl::StrCat("m-", frame, "-", i));
      }
      if (!stream->Write(request)) return;
      ++written;
    }
    stream->WritesDone();
  });
  ASSERT_TRUE(sink_.AwaitAsked(GatewayService::kWindow));
  // The window is reached and nothing is answered: not one more frame may be taken.
  EXPECT_EQ(sink_.asked(), GatewayService::kWindow);
  sink_.Release();
  size_t answered = 0;
  pb::SendMetadataStreamResponse response;
  while (stream->Read(&response)) answered += static_cast<size_t>(response.results_size());
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(answered, static_cast<size_t>(kFrames * kPerFrame));
}

TEST_F(GatewayServiceTest, StreamRefusesAFrameThatIsTooLarge) {
  grpc::ClientContext context;
  auto stream = stub_->SendMetadataStream(&context);
  pb::SendMetadataStreamRequest request;
  for (int i = 0; i <= GatewayService::kMaxFrame; ++i) request.add_envelopes();
  stream->Write(request);
  pb::SendMetadataStreamResponse response;
  EXPECT_FALSE(stream->Read(&response));
  grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(rpc::DescribeDetails(status), Contains(HasSubstr("envelopes: too many")));
}

TEST_F(GatewayServiceTest, TheNumberOfStreamsIsBounded) {
  using Stream =
      grpc::ClientReaderWriter<pb::SendMetadataStreamRequest, pb::SendMetadataStreamResponse>;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<Stream>> streams;
  pb::SendMetadataStreamResponse response;
  for (int i = 0; i < GatewayService::kMaxStreams; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    streams.push_back(stub_->SendMetadataStream(contexts.back().get()));
    pb::SendMetadataStreamRequest request;
    *request.add_envelopes() = Detection(absl::StrCat("m-", i));
    ASSERT_TRUE(streams.back()->Write(request));
    ASSERT_TRUE(streams.back()->Read(&response));
  }
  grpc::ClientContext context;
  auto one_more = stub_->SendMetadataStream(&context);
  EXPECT_FALSE(one_more->Read(&response));
  EXPECT_EQ(one_more->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  for (auto& each : streams) {
    each->WritesDone();
    EXPECT_TRUE(each->Finish().ok());
  }
}

TEST_F(GatewayServiceTest, WhatWaitsForSlowSubscribersHasOneBound) {
  constexpr size_t kSubscribers = 64;
  constexpr size_t kBytes = 1u << 20;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<pb::SubscribeResponse>>> readers;
  pb::SubscribeResponse event;
  for (size_t i = 0; i < kSubscribers; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    readers.push_back(stub_->Subscribe(contexts.back().get(), pb::SubscribeRequest()));
    ASSERT_TRUE(readers.back()->Read(&event));
  }
  Envelope envelope;
  envelope.payload_json = absl::StrCat("{\"x\":\"", std::string(kBytes, 'x'), "\"}");
  constexpr int kSent = 40;
  for (int i = 0; i < kSent; ++i) {
    envelope.message_id = absl::StrCat(i);
    feed_.Publish(envelope);
  }
  // Of its share of 1 MiB each keeps the newest, and what is being sent.
  for (auto& each : readers) {
    uint64_t seen = 0;
    do {
      ASSERT_TRUE(each->Read(&event));
      seen += event.has_envelope() ? 1 : 0;
    } while (!event.has_envelope() || event.envelope().message_id() != absl::StrCat(kSent - 1));
    EXPECT_LT(seen, 16u);
  }
  for (auto& each : contexts) each->TryCancel();
  for (auto& each : readers) each->Finish();
}

TEST_F(GatewayServiceTest, ACancelledStreamLeavesItsMessagesDurableAndNothingBehind) {
  for (int round = 0; round < 50; ++round) {
    sink_.Hold();
    grpc::ClientContext context;
    auto stream = stub_->SendMetadataStream(&context);
    pb::SendMetadataStreamRequest request;
    for (int i = 0; i < 20; ++i) *request.add_envelopes() = Detection(absl::StrCat(round, "-", i));
    ASSERT_TRUE(stream->Write(request));
    ASSERT_TRUE(sink_.AwaitAsked(static_cast<size_t>(round + 1) * 20));
    context.TryCancel();
    if (round % 2 == 0) sink_.Release();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
    sink_.Release();
  }
  EXPECT_EQ(sink_.taken().size(), 1000u);
}

TEST_F(GatewayServiceTest, SubscribersSeeWhatBecomesDurable) {
  grpc::ClientContext context;
  pb::SubscribeRequest request;
  request.add_data_types(pb::DATA_TYPE_DETECTION);
  auto reader = stub_->Subscribe(&context, request);
  pb::SubscribeResponse event;
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_TRUE(event.has_synced());
  pb::SendMetadataResponse response;
  pb::Envelope health = Detection("h-1");
  health.set_data_type(pb::DATA_TYPE_HEALTH);
  ASSERT_TRUE(Send(health, &response).ok());
  ASSERT_TRUE(Send(Detection("d-1"), &response).ok());
  ASSERT_TRUE(Send(Detection("d-1"), &response).ok());  // A duplicate is not told again.
  ASSERT_TRUE(Send(Detection("d-2"), &response).ok());
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.envelope().message_id(), "d-1");
  EXPECT_EQ(event.envelope().payload_json(), R"({"type":"detection_result"})");
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.envelope().message_id(), "d-2");
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(GatewayServiceTest, ASubscriberWhoIsNobodyAnyMoreSeesNothingMore) {
  grpc::ClientContext context;
  auto reader = stub_->Subscribe(&context, pb::SubscribeRequest());
  pb::SubscribeResponse event;
  ASSERT_TRUE(reader->Read(&event));
  pb::SendMetadataResponse response;
  ASSERT_TRUE(Send(Detection("d-1"), &response).ok());
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.envelope().message_id(), "d-1");
  gate_.known = false;
  ASSERT_TRUE(Send(Detection("d-2"), &response).ok());
  EXPECT_FALSE(reader->Read(&event));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(GatewayServiceTest, ASlowSubscriberIsToldWhatItMissed) {
  grpc::ClientContext context;
  auto reader = stub_->Subscribe(&context, pb::SubscribeRequest());
  pb::SubscribeResponse event;
  ASSERT_TRUE(reader->Read(&event));
  constexpr uint64_t kSent = 4000;
  const std::string large(20'000, 'x');  // So that the transport's own buffers fill up early.
  for (uint64_t i = 0; i < kSent; ++i) {
    Envelope envelope;
    envelope.message_id = absl::StrCat(i);
    envelope.payload_json = absl::StrCat("{\"x\":\"", large, "\"}");
    feed_.Publish(envelope);
  }
  uint64_t seen = 0;
  uint64_t missed = 0;
  std::string last;
  while (last != absl::StrCat(kSent - 1) && reader->Read(&event)) {
    if (event.has_lagged()) missed += event.lagged().missed();
    if (!event.has_envelope()) continue;
    ++seen;
    last = event.envelope().message_id();
  }
  EXPECT_GT(missed, 0u);
  EXPECT_EQ(seen + missed, kSent);
  context.TryCancel();
  reader->Finish();
}

TEST_F(GatewayServiceTest, SubscribeRefusesTypesThatAreNone) {
  grpc::ClientContext context;
  pb::SubscribeRequest request;
  request.add_data_types(static_cast<pb::DataType>(42));
  auto reader = stub_->Subscribe(&context, request);
  pb::SubscribeResponse event;
  EXPECT_FALSE(reader->Read(&event));
  grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(rpc::DescribeDetails(status), Contains(HasSubstr("data_types[0]: ")));
}

TEST_F(GatewayServiceTest, TheNumberOfSubscribersIsBounded) {
  using Feed = rpc::Broadcast<pb::SubscribeResponse>;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<pb::SubscribeResponse>>> readers;
  pb::SubscribeResponse event;
  for (size_t i = 0; i < Feed::kMaxWatchers; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    readers.push_back(stub_->Subscribe(contexts.back().get(), pb::SubscribeRequest()));
    ASSERT_TRUE(readers.back()->Read(&event));
  }
  grpc::ClientContext context;
  auto one_more = stub_->Subscribe(&context, pb::SubscribeRequest());
  EXPECT_FALSE(one_more->Read(&event));
  EXPECT_EQ(one_more->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  for (auto& each : contexts) each->TryCancel();
  for (auto& each : readers) each->Finish();
}

TEST_F(GatewayServiceTest, StoppingTellsSubscribers) {
  grpc::ClientContext context;
  auto reader = stub_->Subscribe(&context, pb::SubscribeRequest());
  pb::SubscribeResponse event;
  ASSERT_TRUE(reader->Read(&event));
  feed_.CloseAll(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the node is stopping"));
  EXPECT_FALSE(reader->Read(&event));
  EXPECT_EQ(reader->Finish().error_message(), "the node is stopping");
}

}  // namespace
}  // namespace viaduct
