#include "core/vision/vision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/vision/testing/fake_inferer.h"

namespace viaduct {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kPlate[] = R"({"plates_count":1,"ocr_results":["1AB2345"]})";

class QuietLog final : public Log {
 public:
  bool Enabled(LogLevel, std::string_view) const override { return true; }
  void Write(LogLevel, std::string_view, std::string_view, absl::Span<const LogField>) override {
    ++written;
  }
  int written = 0;
};

class VisionTest : public ::testing::Test {
 protected:
  VisionTest() { Remake(); }

  void Remake() {
    Vision::Deps deps;
    deps.clock = &clock_;
    deps.log = &log_;
    deps.source = [this](std::string_view name) -> absl::StatusOr<std::shared_ptr<FrameSource>> {
      const auto found = sources_.find(std::string(name));
      if (found == sources_.end()) return absl::NotFoundError("no such instance");
      return found->second;
    };
    deps.inferer = [this](std::string_view name) -> absl::StatusOr<std::shared_ptr<Inferer>> {
      if (name == "road") return absl::UnimplementedError("instance: road does not infer");
      const auto found = inferers_.find(std::string(name));
      if (found == inferers_.end()) return absl::NotFoundError("no such instance");
      return found->second;
    };
    deps.inferers = [this] {
      std::vector<std::string> names;
      for (const auto& [name, inferer] : inferers_) names.push_back(name);
      return names;
    };
    deps.ingest = [this](std::vector<Envelope> batch, Sink::AcceptFn done) {
      for (Envelope& envelope : batch) taken_.push_back(std::move(envelope));
      std::vector<AcceptResult> results(1);
      results[0].status = verdict_;
      if (hold_) {
        held_.push_back([done, results] { done(results); });
      } else {
        done(results);
      }
    };
    vision_ = std::make_unique<Vision>(std::move(deps));
  }

  FakeSource* Source(const std::string& name) {
    sources_[name] = std::make_shared<FakeSource>();
    return sources_[name].get();
  }
  FakeInferer* Instance(const std::string& name, size_t credit = 100) {
    inferers_[name] = std::make_shared<FakeInferer>(credit);
    return inferers_[name].get();
  }
  static FeedOptions Feed(const std::string& source, std::vector<std::string> infer) {
    FeedOptions feed;
    feed.source = source;
    feed.infer = std::move(infer);
    feed.device = "CAM001";
    return feed;
  }
  void Turn() {
    vision_->queue()->Turn();
    vision_->queue()->Turn();  // What the ends have asked for.
  }
  absl::Status Ask(const std::string& instance, InferEnd* end = nullptr, uint64_t* number = nullptr,
                   size_t octets = 8) {
    InferJob job;
    job.frame = *MakeFrame(VD_FOURCC_JPEG, 8, 8, std::string(octets, 'j'), 64u << 20);
    job.done = [end](InferEnd e) {
      if (end != nullptr) *end = std::move(e);
    };
    const auto asked = vision_->Infer(instance, absl::Seconds(1), std::move(job));
    if (asked.ok() && number != nullptr) *number = *asked;
    return asked.status();
  }

  FakeClock clock_;
  QuietLog log_;
  std::map<std::string, std::shared_ptr<FakeSource>> sources_;
  std::map<std::string, std::shared_ptr<FakeInferer>> inferers_;
  std::vector<Envelope> taken_;
  absl::Status verdict_;
  bool hold_ = false;
  std::vector<std::function<void()>> held_;
  std::unique_ptr<Vision> vision_;
};

TEST_F(VisionTest, APictureWithAPlateBecomesADetectionAndThenEnds) {
  FakeSource* const camera = Source("camera");
  FakeInferer* const eye = Instance("eye");
  FeedOptions feed = Feed("camera", {"eye"});
  feed.options_json = R"({"annotated":true})";
  feed.checkpoint = "GATE1";
  feed.priority = "high";
  vision_->Apply({feed});
  Frame frame = NumberedFrame(5);
  frame.capture_ns = 1705314600'250'000'000;
  frame.source = "front";
  hold_ = true;
  ASSERT_TRUE(camera->Push(std::move(frame)));
  Turn();
  const FakeInferer::Held held = [&] {
    FakeInferer::Held first = eye->Take();
    InferResult result;
    result.outcome = Outcome::kDurable;
    result.result_json = kPlate;
    first.done(std::move(result));
    return first;
  }();
  EXPECT_EQ(held.options, R"({"annotated":true})");
  EXPECT_GT(held.frame.deadline_ns, clock_.MonotonicNanos());
  Turn();
  ASSERT_THAT(taken_, SizeIs(1));
  EXPECT_EQ(taken_[0].edge_device_id, "CAM001");
  EXPECT_EQ(taken_[0].timestamp, absl::FromUnixMillis(1705314600250));
  EXPECT_EQ(taken_[0].metadata.priority, Priority::kHigh);
  const json payload = json::parse(taken_[0].payload_json);
  EXPECT_EQ(payload["checkpoint_id"], "GATE1");
  EXPECT_EQ(payload["ocr_results"][0], "1AB2345");
  EXPECT_EQ(camera->ends(), "") << "not durable yet";
  held_[0]();
  Turn();
  EXPECT_EQ(camera->ends(), "D");
  const FeedStats stats = vision_->Stats()[0];
  EXPECT_EQ(stats.detections, 1u);
  EXPECT_TRUE(stats.source_ready && stats.infer_ready);
}

TEST_F(VisionTest, OnlyWhatWasFoundIsADetectionUnlessItIsAskedFor) {
  FakeSource* const camera = Source("camera");
  FakeInferer* const eye = Instance("eye");
  FeedOptions feed = Feed("camera", {"eye"});
  const auto look = [&](const char* result) {
    camera->Push(NumberedFrame(1));
    Turn();
    eye->Finish(result);
    Turn();
  };
  vision_->Apply({feed});
  look("{}");
  EXPECT_THAT(taken_, IsEmpty());
  feed.results = FeedResults::kAll;
  vision_->Apply({feed});
  look("{}");
  EXPECT_THAT(taken_, SizeIs(1));
  feed.results = FeedResults::kNone;
  vision_->Apply({feed});
  look(kPlate);
  EXPECT_THAT(taken_, SizeIs(1));
  EXPECT_EQ(camera->ends(), "DDD");
  const FeedStats stats = vision_->Stats()[0];
  EXPECT_EQ(stats.empty, 2u);
  EXPECT_EQ(stats.detections, 1u) << "counted on when the options change";
  EXPECT_EQ(stats.line.results, 3u);
}

TEST_F(VisionTest, AResultThatIsNoneIsRefusedAndNamedOnce) {
  FakeSource* const camera = Source("camera");
  FakeInferer* const eye = Instance("eye");
  vision_->Apply({Feed("camera", {"eye"})});
  for (int i = 0; i < 5; ++i) {
    camera->Push(NumberedFrame(1));
    Turn();
    eye->Finish("no JSON");
    Turn();
  }
  EXPECT_EQ(camera->ends(), "JJJJJ");
  EXPECT_EQ(vision_->Stats()[0].refused, 5u);
  EXPECT_EQ(log_.written, 1);
}

TEST_F(VisionTest, ADetectionThatCannotBeTakenNowIsTriedAgainAndTheFrameWaits) {
  FakeSource* const camera = Source("camera");
  FakeInferer* const eye = Instance("eye");
  vision_->Apply({Feed("camera", {"eye"})});
  verdict_ = absl::UnavailableError("spool: full");
  camera->Push(NumberedFrame(1));
  Turn();
  eye->Finish(kPlate);
  Turn();
  EXPECT_EQ(vision_->Stats()[0].unsent, 1u);
  EXPECT_EQ(camera->ends(), "");
  clock_.Advance(Vision::kSendAgain);
  Turn();
  verdict_ = absl::OkStatus();
  clock_.Advance(Vision::kSendAgain);
  Turn();
  ASSERT_THAT(taken_, SizeIs(3));
  EXPECT_EQ(taken_[0].message_id, taken_[2].message_id) << "one message, however often";
  EXPECT_EQ(camera->ends(), "D");
  EXPECT_EQ(vision_->Stats()[0].unsent, 0u);
  verdict_ = absl::InvalidArgumentError("envelope: no");
  camera->Push(NumberedFrame(2));
  Turn();
  eye->Finish(kPlate);
  Turn();
  EXPECT_EQ(camera->ends(), "DJ") << "never again";
}

TEST_F(VisionTest, WhatWaitsToBeTakenIsBounded) {
  FakeSource* const camera = Source("camera");
  FakeInferer* const eye = Instance("eye", 1000);
  vision_->Apply({Feed("camera", {"eye"})});
  verdict_ = absl::UnavailableError("spool: full");
  for (size_t i = 0; i < Vision::kMaxUnsent + 10; ++i) {
    camera->Push(NumberedFrame(i));
    Turn();
    eye->Finish(kPlate);
    Turn();
  }
  EXPECT_EQ(vision_->Stats()[0].unsent, Vision::kMaxUnsent);
  EXPECT_EQ(vision_->Stats()[0].refused, 10u);
  EXPECT_EQ(camera->ends(), std::string(10, 'C'));
  vision_->Stop();
  EXPECT_EQ(camera->ends().size(), Vision::kMaxUnsent + 10);
}

TEST_F(VisionTest, FramesWithoutAResultEndAsWhatHappenedToThem) {
  FakeSource* const camera = Source("camera");
  FakeInferer* const eye = Instance("eye");
  vision_->Apply({Feed("camera", {"eye"})});
  eye->SetCredit(0);
  camera->Push(NumberedFrame(1));
  camera->Push(NumberedFrame(2));
  Turn();
  EXPECT_EQ(camera->ends(), "E") << "replaced";
  Frame hasty = NumberedFrame(3);
  hasty.deadline_ns = clock_.MonotonicNanos() + 1000;
  camera->Push(std::move(hasty));
  clock_.Advance(absl::Milliseconds(1));
  Turn();
  EXPECT_EQ(camera->ends(), "EEE") << "the source's own deadline";
  eye->SetCredit(9);
  for (uint64_t i = 4; i < 7; ++i) {
    camera->Push(NumberedFrame(i));
    Turn();
  }
  eye->Fail(Outcome::kReject, absl::InvalidArgumentError("no picture"));
  eye->Fail(Outcome::kExpired, absl::DeadlineExceededError("late"));
  eye->Fail(Outcome::kCancelled, absl::CancelledError("the instance stopped"));
  Turn();
  EXPECT_EQ(camera->ends(), "EEEJEC");
}

TEST_F(VisionTest, FeedsComeAndGoWhileFramesFlow) {
  FakeSource* const camera = Source("camera");
  FakeInferer* const eye = Instance("eye");
  EXPECT_FALSE(camera->Push(NumberedFrame(1))) << "nobody asked for it";
  vision_->Apply({Feed("camera", {"eye"}), Feed("later", {"eye"})});
  camera->Push(NumberedFrame(2));
  Turn();
  EXPECT_EQ(eye->holds(), "2");
  FakeSource* const later = Source("later");
  vision_->Sync();
  ASSERT_TRUE(later->Push(NumberedFrame(3)));
  Turn();
  EXPECT_EQ(eye->holds(), "2 3");
  vision_->Apply({Feed("later", {"eye"})});
  EXPECT_FALSE(camera->Push(NumberedFrame(4)));
  Turn();
  EXPECT_EQ(camera->ends(), "C") << "under way when its feed went";
  EXPECT_EQ(later->ends(), "");
  EXPECT_THAT(vision_->Stats(), SizeIs(1));
}

TEST_F(VisionTest, AChangedFeedFinishesWhatItHas) {
  FakeSource* const camera = Source("camera");
  FakeInferer* const eye = Instance("eye");
  FakeInferer* const other = Instance("other");
  vision_->Apply({Feed("camera", {"eye"})});
  camera->Push(NumberedFrame(1));
  Turn();
  vision_->Apply({Feed("camera", {"other"})});
  camera->Push(NumberedFrame(2));
  Turn();
  EXPECT_EQ(other->holds(), "2");
  eye->Finish(kPlate);
  Turn();
  EXPECT_EQ(camera->ends(), "D");
}

TEST_F(VisionTest, ACallerGetsTheResultOfTheInstanceItNamedOrTheOnlyOne) {
  InferEnd end;
  EXPECT_EQ(Ask("").code(), absl::StatusCode::kNotFound);
  FakeInferer* const eye = Instance("eye");
  ASSERT_TRUE(Ask("", &end).ok());
  Turn();
  eye->Finish("{\"a\":1}");
  Turn();
  EXPECT_EQ(end.why, NoResult::kNone);
  EXPECT_EQ(end.instance, "eye");
  EXPECT_EQ(end.result_json, "{\"a\":1}");
  EXPECT_THAT(taken_, IsEmpty());
  Instance("other");
  EXPECT_THAT(std::string(Ask("").message()), HasSubstr("there are eye, other"));
  EXPECT_TRUE(Ask("other").ok());
  EXPECT_EQ(Ask("nobody").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Ask("road").code(), absl::StatusCode::kUnimplemented);
  eye->SetReady(false);
  EXPECT_EQ(Ask("eye").code(), absl::StatusCode::kUnavailable);
  ASSERT_THAT(vision_->Asked(), SizeIs(2));
  EXPECT_EQ(vision_->Asked()[0].name, "eye");
  EXPECT_EQ(vision_->Asked()[0].results, 1u);
  inferers_.erase("other");
  vision_->Sync();
  EXPECT_THAT(vision_->Asked(), SizeIs(1));
}

TEST_F(VisionTest, WhatCallersMayAskIsBounded) {
  FakeInferer* const eye = Instance("eye", 0);
  uint64_t first = 0;
  ASSERT_TRUE(Ask("eye", nullptr, &first).ok());
  for (size_t i = 1; i < Vision::kMaxAskedWaiting; ++i) ASSERT_TRUE(Ask("eye").ok());
  EXPECT_EQ(Ask("eye").code(), absl::StatusCode::kResourceExhausted);
  vision_->Cancel(first);
  Turn();
  EXPECT_TRUE(Ask("eye").ok());
  clock_.Advance(absl::Seconds(2));
  Turn();
  size_t fit = 0;
  while (Ask("eye", nullptr, nullptr, Vision::kMaxAskedBytes / 4).ok()) ++fit;
  EXPECT_EQ(fit, 4u);
  clock_.Advance(absl::Seconds(2));
  Turn();
  EXPECT_TRUE(Ask("eye", nullptr, nullptr, Vision::kMaxAskedBytes / 4).ok()) << "given back";
  EXPECT_EQ(eye->count(), 0u);
}

TEST_F(VisionTest, ACallerAndASourceShareAnInstance) {
  FakeSource* const camera = Source("camera");
  FakeInferer* const eye = Instance("eye", 0);
  vision_->Apply({Feed("camera", {"eye"})});
  int asked = 0;
  int seen = 0;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Ask("eye").ok());
  for (int i = 0; i < 8; ++i) {
    camera->Push(NumberedFrame(7));
    eye->SetCredit(1);
    Turn();
    ++(eye->holds() == "7" ? seen : asked);
    eye->Finish("{}");
  }
  EXPECT_EQ(asked, 4);
  EXPECT_EQ(seen, 4);
}

TEST_F(VisionTest, DrainWaitsForWhatIsUnderWayAndTakesNothingNew) {
  FakeSource* const camera = Source("camera");
  FakeInferer* const eye = Instance("eye");
  vision_->Apply({Feed("camera", {"eye"})});
  camera->Push(NumberedFrame(1));
  Turn();
  EXPECT_FALSE(vision_->Drain(absl::ZeroDuration()));
  EXPECT_FALSE(camera->Push(NumberedFrame(2)));
  eye->Finish(kPlate);
  Turn();
  EXPECT_TRUE(vision_->Drain(absl::ZeroDuration()));
  EXPECT_EQ(camera->ends(), "D");
}

TEST_F(VisionTest, StopEndsEverythingAndWaitsForAnswers) {
  FakeSource* const camera = Source("camera");
  FakeInferer* const eye = Instance("eye");
  vision_->Apply({Feed("camera", {"eye"})});
  hold_ = true;
  camera->Push(NumberedFrame(1));
  Turn();
  eye->Finish(kPlate);
  Turn();
  camera->Push(NumberedFrame(2));
  Turn();
  std::thread stopping([this] { vision_->Stop(); });
  held_[0]();
  stopping.join();
  EXPECT_EQ(camera->ends().size(), 2u);
  EXPECT_THAT(camera->ends(), HasSubstr("D"));
  EXPECT_THAT(camera->ends(), HasSubstr("C"));
}

}  // namespace
}  // namespace viaduct
