#include "host/services/infer_call.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <future>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/lpr/testing/jpeg_picture.h"
#include "core/vision/testing/fake_inferer.h"
#include "host/services/gateway_service.h"

namespace viaduct {
namespace {

namespace pb = gateway::v1;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr absl::Duration kPatience = absl::Seconds(20);

class NoLog final : public Log {
 public:
  bool Enabled(LogLevel, std::string_view) const override { return false; }
  void Write(LogLevel, std::string_view, std::string_view, absl::Span<const LogField>) override {}
};

class InferCallTest : public ::testing::Test {
 protected:
  InferCallTest() : reader_("CAM001", &clock_) {
    Vision::Deps deps;
    deps.clock = &clock_;
    deps.log = &log_;
    deps.source = [](std::string_view) { return absl::NotFoundError("no such instance"); };
    deps.inferer = [this](std::string_view name) -> absl::StatusOr<std::shared_ptr<Inferer>> {
      if (name != "eye") return absl::NotFoundError("instance: there is none of that name");
      return eye_;
    };
    deps.inferers = [] { return std::vector<std::string>{"eye"}; };
    vision_ = std::make_unique<Vision>(std::move(deps));
    vision_->Start();
    service_ = std::make_unique<GatewayService>(
        &gate_,
        [this](std::vector<Envelope> batch, const Sender& /*sender*/, Sink::AcceptFn done) {
          Ingest(std::move(batch), std::move(done));
        },
        &reader_, &feed_, nullptr, vision_.get());
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = pb::Gateway::NewStub(server_->InProcessChannel(grpc::ChannelArguments()));
    request_.mutable_picture()->set_data(JpegPicture(64, 48));
  }
  ~InferCallTest() override {
    vision_->Stop();
    server_->Shutdown(std::chrono::system_clock::now());
  }

  void Ingest(std::vector<Envelope> batch, Sink::AcceptFn done) {
    std::vector<AcceptResult> results(batch.size());
    absl::MutexLock lock(&mutex_);
    for (size_t i = 0; i < batch.size(); ++i) {
      results[i].status = verdict_;
      for (const Envelope& before : taken_) {
        results[i].duplicate = results[i].duplicate || before.message_id == batch[i].message_id;
      }
      taken_.push_back(std::move(batch[i]));
    }
    answers_.push_back([done = std::move(done), results] { done(results); });
  }
  // The next message that is handed over, once it is; then it is answered.
  void AnswerSubmission() {
    const auto there = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !answers_.empty(); };
    std::function<void()> answer;
    {
      absl::MutexLock lock(&mutex_);
      ASSERT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&there), kPatience));
      answer = std::move(answers_.front());
      answers_.erase(answers_.begin());
    }
    answer();
  }

  std::future<grpc::Status> Call(std::shared_ptr<grpc::ClientContext> context = nullptr) {
    if (context == nullptr) context = std::make_shared<grpc::ClientContext>();
    return std::async(std::launch::async, [this, context] {
      response_.Clear();
      return stub_->Infer(context.get(), request_, &response_);
    });
  }
  // Until the instance has so many pictures.
  bool AwaitGiven(size_t count) {
    const absl::Time limit = absl::Now() + kPatience;
    while (eye_->count() < count && absl::Now() < limit) absl::SleepFor(absl::Milliseconds(1));
    return eye_->count() >= count;
  }
  static std::string Fields(const grpc::Status& status) {
    return absl::StrCat(status.error_code(), " ",
                        absl::StrJoin(rpc::DescribeDetails(status), "; "));
  }

  SystemClock clock_;
  NoLog log_;
  std::shared_ptr<FakeInferer> eye_ = std::make_shared<FakeInferer>(1000);
  EnvelopeReader reader_;
  MessageFeed feed_;
  rpc::Peers peers_;
  rpc::OpenGate gate_{&peers_};
  absl::Mutex mutex_;
  absl::Status verdict_ ABSL_GUARDED_BY(mutex_);
  std::vector<Envelope> taken_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::function<void()>> answers_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Vision> vision_;
  std::unique_ptr<GatewayService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<pb::Gateway::Stub> stub_;
  pb::InferRequest request_;
  pb::InferResponse response_;
};

std::vector<InferCrop> OnePlate() {
  std::vector<InferCrop> crops(1);
  crops[0].name = "plate_0";
  crops[0].media_type = "image/jpeg";
  crops[0].buffer = std::move(MakeFrame(VD_FOURCC_JPEG, 0, 0, JpegPicture(16, 8), 1 << 20)->buffer);
  return crops;
}

TEST_F(InferCallTest, AnswersWithResultCropsAndStages) {
  request_.set_options_json(R"({"alternatives":5})");
  auto call = Call();
  ASSERT_TRUE(AwaitGiven(1));
  FakeInferer::Held held = eye_->Take();
  EXPECT_EQ(held.frame.fourcc, VD_FOURCC_JPEG);
  EXPECT_EQ(held.frame.width, 64u);
  EXPECT_EQ(held.frame.source, "gateway");
  EXPECT_EQ(held.options, R"({"alternatives":5})");
  EXPECT_GT(held.frame.deadline_ns, clock_.MonotonicNanos());
  InferResult result;
  result.outcome = Outcome::kDurable;
  result.result_json = R"({"plates_count":1,"stages":{"read":12.5}})";
  result.crops = OnePlate();
  held.done(std::move(result));
  const grpc::Status status = call.get();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response_.instance(), "eye");
  EXPECT_EQ(response_.result_json(), R"({"plates_count":1,"stages":{"read":12.5}})");
  ASSERT_EQ(response_.crops_size(), 1);
  EXPECT_EQ(response_.crops(0).name(), "plate_0");
  EXPECT_EQ(response_.crops(0).data(), JpegPicture(16, 8));
  std::vector<std::string> stages;
  for (const auto& stage : response_.stages()) stages.push_back(stage.name());
  EXPECT_THAT(stages, ElementsAre("wait", "inference", "read"));
  EXPECT_EQ(response_.stages(2).time().nanos(), 12'500'000);
  EXPECT_FALSE(response_.has_submitted());
}

TEST_F(InferCallTest, GivesAStructAndNoCropsWhereThatIsAskedFor) {
  request_.set_result_as_struct(true);
  request_.set_omit_crops(true);
  (*request_.mutable_options()->mutable_fields())["crops"].set_bool_value(false);
  auto call = Call();
  ASSERT_TRUE(AwaitGiven(1));
  eye_->Finish(R"({"plates_count":1})", OnePlate());
  ASSERT_TRUE(call.get().ok());
  EXPECT_EQ(response_.result().fields().at("plates_count").number_value(), 1);
  EXPECT_EQ(response_.crops_size(), 0);
}

TEST_F(InferCallTest, ASubmittedOneAnswersOnceItIsDurable) {
  request_.set_submit(true);
  request_.set_checkpoint_id("GATE1");
  request_.mutable_envelope()->set_message_id("0190a6f0-1234-7abc-8def-0123456789ab");
  request_.mutable_envelope()->set_edge_device_id("CAM007");
  request_.mutable_envelope()->mutable_timestamp()->set_seconds(1705314600);
  request_.mutable_envelope()->mutable_metadata()->set_priority(pb::PRIORITY_HIGH);
  for (const auto expected : {pb::RESULT_STATUS_STORED, pb::RESULT_STATUS_DUPLICATE}) {
    auto call = Call();
    ASSERT_TRUE(AwaitGiven(1));
    eye_->Finish(R"({"plates_count":1})", OnePlate());
    EXPECT_EQ(call.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
    AnswerSubmission();
    const grpc::Status status = call.get();
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response_.submitted().status(), expected);
    EXPECT_EQ(response_.submitted().message_id(), "0190a6f0-1234-7abc-8def-0123456789ab");
  }
  absl::MutexLock lock(&mutex_);
  const Envelope& taken = taken_.front();
  EXPECT_EQ(taken.edge_device_id, "CAM007");
  EXPECT_EQ(taken.timestamp, absl::FromUnixSeconds(1705314600));
  EXPECT_EQ(taken.metadata.priority, Priority::kHigh);
  EXPECT_THAT(taken.payload_json, HasSubstr("\"checkpoint_id\":\"GATE1\""));
  EXPECT_THAT(taken.payload_json, HasSubstr("\"cropped_plates\":[\""));
  EXPECT_TRUE(ValidateEnvelope(taken, {}).ok());
}

TEST_F(InferCallTest, ADetectionThatIsNotTakenIsAnError) {
  request_.set_submit(true);
  {
    absl::MutexLock lock(&mutex_);
    verdict_ = absl::UnavailableError("spool: full");
  }
  auto call = Call();
  ASSERT_TRUE(AwaitGiven(1));
  eye_->Finish("{}");
  AnswerSubmission();
  EXPECT_EQ(call.get().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(InferCallTest, SaysWhichFieldIsWrong) {
  request_.mutable_picture()->set_data("no picture");
  request_.set_options_json("[1]");
  request_.set_submit(true);
  request_.mutable_envelope()->mutable_timestamp()->set_nanos(-5);
  const std::string fields = Fields(Call().get());
  EXPECT_THAT(fields, HasSubstr("3 "));
  EXPECT_THAT(fields, HasSubstr("picture.data: image: cannot be decoded"));
  EXPECT_THAT(fields, HasSubstr("options_json: "));
  EXPECT_THAT(fields, HasSubstr("envelope.timestamp: "));
  request_.Clear();
  request_.mutable_picture()->set_format("NV12");
  request_.mutable_picture()->set_width(8);
  request_.mutable_picture()->set_height(8);
  request_.mutable_picture()->set_data(std::string(96, 'x'));
  for (int i = 0; i < 2; ++i) {
    pb::PicturePlane* plane = request_.mutable_picture()->add_planes();
    plane->set_offset(i == 0 ? 0 : ~uint64_t{0});
    plane->set_size(64);
    plane->set_stride(8);
  }
  EXPECT_THAT(Fields(Call().get()), HasSubstr("picture.planes[1]: outside of the 96 octets"));
  request_.Clear();
  EXPECT_THAT(Fields(Call().get()), HasSubstr("picture.data: empty"));
  request_.mutable_picture()->set_data(JpegPicture(64, 48));
  request_.set_options_json(absl::StrCat("{\"a\":\"", std::string(70'000, 'x'), "\"}"));
  EXPECT_THAT(Fields(Call().get()), HasSubstr("options_json: "));
  EXPECT_EQ(eye_->count(), 0u);
}

TEST_F(InferCallTest, SaysWhyThereIsNoResult) {
  request_.set_instance("nobody");
  EXPECT_EQ(Call().get().error_code(), grpc::StatusCode::NOT_FOUND);
  request_.set_instance("eye");
  const auto failed = [&](Outcome outcome, const absl::Status& status) {
    auto call = Call();
    EXPECT_TRUE(AwaitGiven(1));
    eye_->Fail(outcome, status);
    return Fields(call.get());
  };
  EXPECT_THAT(failed(Outcome::kReject, absl::InvalidArgumentError("a CMYK picture")),
              HasSubstr("3 picture: a CMYK picture"));
  EXPECT_THAT(failed(Outcome::kCancelled, absl::CancelledError("the instance stopped")),
              HasSubstr("14 "));
  EXPECT_THAT(failed(Outcome::kRetry, absl::ResourceExhaustedError("no memory")), HasSubstr("8 "));
  EXPECT_THAT(failed(Outcome::kExpired, absl::DeadlineExceededError("late")), HasSubstr("4 "));
  eye_->SetReady(false);
  EXPECT_EQ(Call().get().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(InferCallTest, TheDeadlineOfTheCallIsThatOfThePicture) {
  eye_->SetCredit(0);
  auto context = std::make_shared<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  EXPECT_EQ(Call(context).get().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(vision_->queue()->AwaitIdle(kPatience));
  EXPECT_EQ(eye_->count(), 0u);
}

TEST_F(InferCallTest, ACallerWhoGoesTakesHisPictureAlong) {
  auto context = std::make_shared<grpc::ClientContext>();
  auto call = Call(context);
  ASSERT_TRUE(AwaitGiven(1));
  context->TryCancel();
  EXPECT_EQ(call.get().error_code(), grpc::StatusCode::CANCELLED);
  const absl::Time limit = absl::Now() + kPatience;
  while (eye_->cancelled().empty() && absl::Now() < limit) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_THAT(eye_->cancelled(), SizeIs(1));
  EXPECT_TRUE(vision_->queue()->AwaitIdle(kPatience));
}

TEST_F(InferCallTest, TooManyPicturesAreRefusedWithATimeToComeBack) {
  eye_->SetCredit(0);
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::future<void>> calls;
  std::vector<pb::InferResponse> responses(Vision::kMaxAskedWaiting);
  for (size_t i = 0; i < Vision::kMaxAskedWaiting; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    calls.push_back(std::async(std::launch::async, [this, &contexts, &responses, i] {
      stub_->Infer(contexts[i].get(), request_, &responses[i]);
    }));
  }
  const absl::Time limit = absl::Now() + kPatience;
  const auto waiting = [&] {
    const auto asked = vision_->Asked();
    return asked.empty() ? size_t{0} : asked[0].waiting;
  };
  while (waiting() < Vision::kMaxAskedWaiting && absl::Now() < limit) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  const grpc::Status status = Call().get();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_details(), HasSubstr("RetryInfo"));
  for (auto& context : contexts) context->TryCancel();
  for (auto& call : calls) call.get();
}

}  // namespace
}  // namespace viaduct
