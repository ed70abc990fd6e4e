#include "host/node/vision_monitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/vision/testing/fake_inferer.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class NoLog final : public Log {
 public:
  bool Enabled(LogLevel, std::string_view) const override { return false; }
  void Write(LogLevel, std::string_view, std::string_view, absl::Span<const LogField>) override {}
};

class VisionMonitorTest : public ::testing::Test {
 protected:
  VisionMonitorTest() : health_(&clock_), vision_(MakeDeps()) {}

  Vision::Deps MakeDeps() {
    Vision::Deps deps;
    deps.clock = &clock_;
    deps.log = &log_;
    deps.source = [this](std::string_view) -> absl::StatusOr<std::shared_ptr<FrameSource>> {
      if (camera_ == nullptr) return absl::NotFoundError("no such instance");
      return camera_;
    };
    deps.inferer = [this](std::string_view) { return std::shared_ptr<Inferer>(eye_); };
    deps.inferers = [] { return std::vector<std::string>{"eye"}; };
    deps.ingest = [this](const std::vector<Envelope>&, const Sink::AcceptFn& done) {
      std::vector<AcceptResult> results(1);
      results[0].status = verdict_;
      done(results);
    };
    return deps;
  }
  void Feed() {
    FeedOptions feed;
    feed.source = "camera";
    feed.infer = {"eye"};
    vision_.Apply({feed});
  }
  void Turn() {
    vision_.queue()->Turn();
    vision_.queue()->Turn();
  }
  std::string Reason() {
    const auto health = health_.Get("vision");
    return health.ok() ? health->reason : "absent";
  }

  FakeClock clock_;
  NoLog log_;
  Metrics metrics_;
  HealthTree health_;
  absl::Status verdict_;
  std::shared_ptr<FakeSource> camera_ = std::make_shared<FakeSource>();
  std::shared_ptr<FakeInferer> eye_ = std::make_shared<FakeInferer>(1);
  Vision vision_;
  VisionMonitor monitor_{&metrics_, &health_};
};

TEST_F(VisionMonitorTest, CountsWhatBecameOfPictures) {
  Feed();
  for (uint64_t i = 1; i <= 3; ++i) {
    camera_->Push(NumberedFrame(i));
    Turn();
    monitor_.Look(vision_);
  }
  clock_.Advance(absl::Milliseconds(40));
  eye_->Finish(R"({"plates_count":1})");
  Turn();
  monitor_.Look(vision_);
  monitor_.Look(vision_);
  const std::string text = metrics_.ExpositionText();
  for (const char* line :
       {"viaduct_vision_pictures_total{feed=\"camera\"} 3\n",
        "viaduct_vision_dropped_total{feed=\"camera\",reason=\"replaced\"} 1\n",
        "viaduct_vision_results_total{fate=\"detection\",feed=\"camera\"} 1\n",
        "viaduct_vision_inferences_total{feed=\"camera\",instance=\"eye\"} 1\n",
        "viaduct_vision_inference_seconds_count{feed=\"camera\",instance=\"eye\"} 1\n",
        "viaduct_vision_inference_seconds_sum{feed=\"camera\",instance=\"eye\"} 0.04",
        "viaduct_vision_waiting{feed=\"camera\"} 1\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST_F(VisionMonitorTest, AFeedThatGoesTakesItsNumbersAlong) {
  Feed();
  monitor_.Look(vision_);
  EXPECT_THAT(metrics_.ExpositionText(), HasSubstr("feed=\"camera\""));
  vision_.Apply({});
  monitor_.Look(vision_);
  EXPECT_THAT(metrics_.ExpositionText(), Not(HasSubstr("viaduct_vision")));
  EXPECT_EQ(Reason(), "absent");
}

// Between two looks: its counters are lower than those that were seen.
TEST_F(VisionMonitorTest, AFeedThatCameBackBeginsAnew) {
  Feed();
  for (uint64_t i = 1; i <= 3; ++i) camera_->Push(NumberedFrame(i));
  Turn();
  clock_.Advance(absl::Milliseconds(40));
  eye_->Finish(R"({"plates_count":1})");
  Turn();
  monitor_.Look(vision_);
  vision_.Apply({});
  Feed();
  camera_->Push(NumberedFrame(4));
  Turn();
  monitor_.Look(vision_);
  const std::string text = metrics_.ExpositionText();
  for (const char* line :
       {"viaduct_vision_pictures_total{feed=\"camera\"} 4\n",
        "viaduct_vision_results_total{fate=\"detection\",feed=\"camera\"} 1\n",
        "viaduct_vision_latency_seconds_count{feed=\"camera\"} 1\n",
        "viaduct_vision_inference_seconds_count{feed=\"camera\",instance=\"eye\"} 1\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST_F(VisionMonitorTest, SaysWhatIsMissing) {
  Feed();
  monitor_.Look(vision_);
  EXPECT_EQ(Reason(), "");
  eye_->SetReady(false);
  monitor_.Look(vision_);
  EXPECT_THAT(Reason(), HasSubstr("feed camera: none of its instances"));
  eye_->SetReady(true);
  verdict_ = absl::UnavailableError("spool: full");
  camera_->Push(NumberedFrame(1));
  Turn();
  eye_->Finish(R"({"plates_count":1})");
  Turn();
  monitor_.Look(vision_);
  EXPECT_THAT(Reason(), HasSubstr("detections wait"));
  camera_ = nullptr;
  monitor_.Look(vision_);
  EXPECT_THAT(Reason(), HasSubstr("its source does not run"));
}

TEST_F(VisionMonitorTest, CallersHaveNumbersOfTheirOwn) {
  InferJob job;
  job.frame = NumberedFrame(1);
  job.done = [](const InferEnd&) {};
  ASSERT_TRUE(vision_.Infer("eye", absl::Seconds(1), std::move(job)).ok());
  monitor_.Look(vision_);
  const std::string text = metrics_.ExpositionText();
  EXPECT_THAT(text, HasSubstr("viaduct_vision_pictures_total{feed=\"gateway/eye\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("viaduct_vision_results_total")));
}

}  // namespace
}  // namespace viaduct
