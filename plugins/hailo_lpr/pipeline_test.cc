#include "plugins/hailo_lpr/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "plugins/hailo_lpr/models.h"
#include "plugins/hailo_lpr/testing/drawn_plates.h"
#include "plugins/hailo_lpr/testing/heap_in_use.h"
#include "plugins/hailo_lpr/testing/pictures.h"

namespace viaduct::hailo_lpr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Json = nlohmann::json;
using testing::DrawPasses;
using testing::DrawStreet;
using testing::JpegOf;

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kCapture = 1'705'314'600 * kSecond;
constexpr absl::Duration kLimit = absl::Seconds(30);
constexpr size_t kMostWaiting = 1000;

PictureJob JobOf(std::string octets, const char* fourcc = "JPEG") {
  PictureJob job;
  const auto held = std::make_shared<const std::string>(std::move(octets));
  for (int i = 3; i >= 0; --i) {
    job.form.fourcc = job.form.fourcc << 8 | static_cast<unsigned char>(fourcc[i]);
  }
  job.form.plane_count = 1;
  job.form.planes[0].size = held->size();
  job.octets = *held;
  job.holder = held;
  job.capture_ns = kCapture;
  return job;
}

PictureJob JobOf(const cv::Mat& bgr, int64_t capture_ns) {
  PictureJob job = JobOf(std::string(static_cast<const char*>(static_cast<const void*>(bgr.data)),
                                     bgr.total() * bgr.elemSize()),
                         "RG24");
  job.form.width = static_cast<uint32_t>(bgr.cols);
  job.form.height = static_cast<uint32_t>(bgr.rows);
  job.capture_ns = capture_ns;
  return job;
}

// A pipeline with the real models, and all that it has told.
class PipelineTest : public ::testing::Test {
 protected:
  void Make(Options options = {}) {
    options.models.data = HAILO_LPR_FOLDER;
    options.events.camera_id = "CAM001";
    absl::StatusOr<Models> models = LoadModels(options.models);
    ASSERT_TRUE(models.ok()) << models.status();
    Pipeline::Hooks hooks;
    hooks.wall_ns = [] { return kCapture + 5 * kSecond; };
    hooks.monotonic_ns = [] { return absl::ToUnixNanos(absl::Now()); };
    hooks.on_infer_end = [this](InferEnd end) {
      absl::MutexLock lock(&mutex_);
      ends_.push_back(std::move(end));
    };
    hooks.on_event = [this](PlateEvent event,
                            const std::function<void(const absl::Status&)>& ended) {
      {
        absl::MutexLock lock(&mutex_);
        events_.push_back(std::move(event));
      }
      ended(absl::OkStatus());
    };
    hooks.on_drop = [this](Drop drop, const absl::Status& why) {
      absl::MutexLock lock(&mutex_);
      drops_.push_back(drop);
      whys_.emplace_back(why.message());
    };
    hooks.on_looked_at = [this](const Analysis& /*analysis*/, bool /*of_source*/) {
      absl::MutexLock lock(&mutex_);
      ++looked_at_;
    };
    hooks.on_untold = [this](const PictureStream::Counters& untold) {
      absl::MutexLock lock(&mutex_);
      untold_.repeats += untold.repeats;
      untold_.doubtful += untold.doubtful;
      untold_.other_way += untold.other_way;
    };
    hooks.on_room = [this] {
      absl::MutexLock lock(&mutex_);
      room_ = true;
    };
    pipeline_ = std::make_unique<Pipeline>(options, Analyser(*std::move(models), options.plates),
                                           std::move(hooks));
  }
  void Start() { pipeline_->Start(); }
  void TearDown() override {
    if (pipeline_ != nullptr) pipeline_->Stop();
  }

  bool Request(PictureJob job, const std::string& options = "") {
    job.request = *ParseInferRequest(options);
    job.ticket = ++ticket_;
    return pipeline_->TakeRequest(std::move(job));
  }
  InferEnd AwaitEnd(size_t number) {
    absl::MutexLock lock(&mutex_);
    const auto there = [this, number]()
                           ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ends_.size() > number; };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&there), kLimit));
    return ends_.size() > number ? ends_[number] : InferEnd();
  }
  // Waits for room, as a source does.
  void Give(PictureJob job) {
    while (true) {
      {
        absl::MutexLock lock(&mutex_);
        room_ = false;
      }
      if (pipeline_->TakePicture(job, kMostWaiting)) return;
      absl::MutexLock lock(&mutex_);
      ASSERT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&room_), kLimit));
    }
  }
  void Drain() { ASSERT_TRUE(pipeline_->Drain(absl::ToUnixNanos(absl::Now() + kLimit))); }
  std::vector<PlateEvent> events() {
    absl::MutexLock lock(&mutex_);
    return events_;
  }
  std::vector<std::string> Texts() {
    std::vector<std::string> texts;
    for (const PlateEvent& event : events()) {
      for (const EventPlate& plate : event.plates) texts.push_back(plate.reading.text());
    }
    return texts;
  }

  absl::Mutex mutex_;
  std::vector<InferEnd> ends_;
  std::vector<PlateEvent> events_;
  std::vector<Drop> drops_;
  std::vector<std::string> whys_;
  PictureStream::Counters untold_;
  int looked_at_ = 0;
  bool room_ = false;
  uint64_t ticket_ = 0;
  std::unique_ptr<Pipeline> pipeline_;
};

cv::Mat Street(const std::string& text) { return DrawStreet({1280, 720}, {{text, {640, 480}}}); }

TEST_F(PipelineTest, AnswersAPictureWithItsPlate) {
  Make();
  Start();
  ASSERT_TRUE(Request(JobOf(JpegOf(Street("KX75BN"))), R"({"alternatives":5,"annotated":true})"));
  const InferEnd end = AwaitEnd(0);
  ASSERT_TRUE(end.status.ok()) << end.status;
  EXPECT_EQ(end.ticket, 1u);
  const Json result = Json::parse(end.result_json);
  ASSERT_THAT(result["ocr_results"], SizeIs(1)) << result.dump(1);
  EXPECT_EQ(result["ocr_results"][0]["text"], "KX75BN");
  EXPECT_GE(result["ocr_results"][0]["confidence"], result["min_confidence"]);
  EXPECT_EQ(result["type"], "detection_result");
  EXPECT_EQ(result["timestamp"], "2024-01-15T10:30:00.000Z");
  EXPECT_EQ(result["image"]["width"], 1280);
  const Json box = result["plate_detections"][0]["bbox"];
  EXPECT_NEAR((box[0].get<double>() + box[2].get<double>()) / 2, 640, 15);
  EXPECT_NEAR((box[1].get<double>() + box[3].get<double>()) / 2, 480, 10);
  EXPECT_GT(result["stages"]["read"], 0);
  EXPECT_GT(result["processing_time_ms"], 0);
  ASSERT_FALSE(result["candidates"].empty());
  EXPECT_TRUE(result["candidates"][0].contains("readings"));
  EXPECT_FALSE(result.contains("annotated_image"));
  ASSERT_THAT(end.crops, SizeIs(2));
  EXPECT_EQ(end.crops[0].first, "image");
  EXPECT_EQ(end.crops[1].first, "plate_0");
  EXPECT_TRUE(DecodePicture(end.crops[1].second, PictureLimits(), absl::UTCTimeZone()).ok());
}

TEST_F(PipelineTest, ABadPictureIsSaidAndTheNextOneGoesOn) {
  Make();
  Start();
  const std::string jpeg = JpegOf(Street("KX75BN"));
  const std::vector<std::string> bad = {"", "no picture", jpeg.substr(0, jpeg.size() / 2),
                                        testing::WithClaimedSize(jpeg, 20'000, 20'000)};
  for (size_t i = 0; i < bad.size(); ++i) {
    ASSERT_TRUE(Request(JobOf(bad[i])));
    const InferEnd end = AwaitEnd(i);
    EXPECT_TRUE(absl::IsInvalidArgument(end.status)) << end.status;
    EXPECT_EQ(end.drop, Drop::kBadRequest);
  }
  ASSERT_TRUE(Request(JobOf(jpeg)));
  EXPECT_THAT(AwaitEnd(bad.size()).result_json, HasSubstr("KX75BN"));
}

// Below the threshold it is a candidate, no plate.
TEST_F(PipelineTest, RejectsInsteadOfGuessing) {
  Make();
  Start();
  ASSERT_TRUE(Request(JobOf(JpegOf(Street("KX75BN"))), R"({"min_confidence":1.0})"));
  const Json result = Json::parse(AwaitEnd(0).result_json);
  EXPECT_EQ(result["plates_count"], 0);
  EXPECT_THAT(result["ocr_results"], IsEmpty());
  ASSERT_FALSE(result["candidates"].empty());
  EXPECT_EQ(result["candidates"][0]["accepted"], false);
  EXPECT_EQ(result["candidates"][0]["readings"][0]["text"], "KX75BN");
}

TEST_F(PipelineTest, LooksOnlyWhereItIsTold) {
  Options options;
  options.plates.region = {{0, 0}, {0.4F, 0}, {0.4F, 1}, {0, 1}};
  Make(options);
  Start();
  ASSERT_TRUE(Request(JobOf(JpegOf(Street("KX75BN")))));
  ASSERT_TRUE(Request(JobOf(JpegOf(DrawStreet({1280, 720}, {{"KX75BN", {250, 480}}})))));
  EXPECT_THAT(Json::parse(AwaitEnd(0).result_json)["candidates"], IsEmpty());
  EXPECT_EQ(Json::parse(AwaitEnd(1).result_json)["plates_count"], 1);
}

TEST_F(PipelineTest, RequestsEndOnceWhateverHappens) {
  Options options;
  options.queue = 3;
  Make(options);
  const std::string jpeg = JpegOf(Street("KX75BN"));
  EXPECT_EQ(pipeline_->credit(), 3u);
  PictureJob late = JobOf(jpeg);
  late.deadline_ns = 1;
  ASSERT_TRUE(Request(late));
  ASSERT_TRUE(Request(JobOf(jpeg)));
  ASSERT_TRUE(Request(JobOf(jpeg)));
  EXPECT_EQ(pipeline_->credit(), 0u);
  EXPECT_FALSE(Request(JobOf(jpeg)));
  pipeline_->CancelRequest(2);
  pipeline_->CancelRequest(4711);
  EXPECT_EQ(AwaitEnd(0).drop, Drop::kCancelled);
  Start();
  EXPECT_EQ(AwaitEnd(1).drop, Drop::kExpired);
  EXPECT_TRUE(AwaitEnd(2).status.ok());
  EXPECT_EQ(pipeline_->credit(), 3u);
}

TEST_F(PipelineTest, StopEndsWhatWaits) {
  Make();
  ASSERT_TRUE(Request(JobOf(JpegOf(Street("KX75BN")))));
  absl::Status picture_end;
  PictureJob picture = JobOf(JpegOf(Street("KX75BN")));
  picture.ended = [&](const absl::Status& status) { picture_end = status; };
  ASSERT_TRUE(pipeline_->TakePicture(std::move(picture), kMostWaiting));
  pipeline_->Stop();
  EXPECT_EQ(AwaitEnd(0).drop, Drop::kCancelled);
  EXPECT_TRUE(absl::IsCancelled(picture_end));
  EXPECT_FALSE(Request(JobOf("")));
  EXPECT_EQ(pipeline_->credit(), 0u);
}

// An image of no width is what OpenCV throws at.
TEST_F(PipelineTest, WhatIsThrownEndsThePictureAndNothingElse) {
  Options options;
  options.tracking = false;
  options.events.image_width = 0;
  Make(options);
  Start();
  absl::Status picture_end;
  PictureJob picture = JobOf(JpegOf(Street("KX75BN")));
  picture.ended = [&](const absl::Status& status) { picture_end = status; };
  Give(std::move(picture));
  Drain();
  EXPECT_TRUE(absl::IsInternal(picture_end)) << picture_end;
  ASSERT_TRUE(Request(JobOf(JpegOf(Street("KX75BN"))), R"({"annotated": true})"));
  EXPECT_EQ(AwaitEnd(0).drop, Drop::kFailed);
  EXPECT_TRUE(absl::IsInternal(AwaitEnd(0).status)) << AwaitEnd(0).status;
  ASSERT_TRUE(Request(JobOf(JpegOf(Street("KX75BN")))));
  EXPECT_TRUE(AwaitEnd(1).status.ok());
}

TEST_F(PipelineTest, APictureIsTakenOnlyWhereSoFewWait) {
  Make();
  const std::string jpeg = JpegOf(Street("KX75BN"));
  EXPECT_TRUE(pipeline_->TakePicture(JobOf(jpeg), 2));
  EXPECT_TRUE(pipeline_->TakePicture(JobOf(jpeg), 2));
  EXPECT_FALSE(pipeline_->TakePicture(JobOf(jpeg), 2));
  EXPECT_TRUE(pipeline_->TakePicture(JobOf(jpeg), 3));
}

TEST_F(PipelineTest, TheNewestPicturesWin) {
  Options options;
  options.tracking = false;
  Make(options);
  for (int i = 0; i < 7; ++i) {
    PictureJob job = JobOf(Street("KX75BN"), kCapture + i * kSecond);
    pipeline_->TakeNewest(std::move(job), 2);
  }
  EXPECT_THAT(drops_, SizeIs(5));
  Start();
  Drain();
  ASSERT_THAT(events(), SizeIs(2));
  EXPECT_EQ(events()[0].capture_ns, kCapture + 5 * kSecond);
  EXPECT_EQ(events()[1].capture_ns, kCapture + 6 * kSecond);
}

TEST_F(PipelineTest, NoMorePicturesASecondThanWanted) {
  Options options;
  options.max_fps = 5;
  Make(options);
  Start();
  for (int i = 0; i < 50; ++i) {
    Give(JobOf(DrawStreet({320, 180}, {}), kCapture + i * kSecond / 25));
  }
  Drain();
  EXPECT_NEAR(looked_at_, 10, 1);
  EXPECT_EQ(looked_at_ + static_cast<int>(drops_.size()), 50);
}

// One event a vehicle, and the right plate although every fourth picture shows another one.
TEST_F(PipelineTest, OneEventAPassWithThePlateThatItsPicturesAgreeOn) {
  Make();
  Start();
  const std::vector<std::string> plates = {"KX75BN", "4AB 1234", "BCD 5678"};
  int64_t at_ns = kCapture;
  for (const cv::Mat& picture : DrawPasses({640, 360}, plates, 30)) {
    Give(JobOf(picture, at_ns));
    at_ns += kSecond / 25;
  }
  Drain();
  EXPECT_THAT(Texts(), ElementsAre("KX75BN", "4AB1234", "BCD5678"));
  for (const PlateEvent& event : events()) {
    const EventPlate& plate = event.plates[0];
    EXPECT_EQ(plate.direction, "down");
    EXPECT_GE(plate.seen, 20);
    EXPECT_FALSE(plate.alternatives.empty());
    EXPECT_FALSE(plate.crop.empty());
    EXPECT_FALSE(event.annotated.empty());
    EXPECT_GE(event.capture_ns, plate.first_ns);
    EXPECT_LE(event.capture_ns, plate.last_ns);
    const Json detection = Json::parse(DetectionJson(event, kCapture));
    EXPECT_EQ(detection["ocr_results"][0]["text"], plate.reading.text());
    EXPECT_THAT(detection["cropped_plates"], SizeIs(1));
    EXPECT_EQ(detection["camera_id"], "CAM001");
  }
}

TEST_F(PipelineTest, VehiclesThatDriveTheOtherWayAreCountedOnly) {
  Options options;
  options.direction = Direction::kUp;
  Make(options);
  Start();
  int64_t at_ns = kCapture;
  for (const cv::Mat& picture : DrawPasses({640, 360}, {"KX75BN"}, 20)) {
    Give(JobOf(picture, at_ns));
    at_ns += kSecond / 25;
  }
  Drain();
  EXPECT_THAT(events(), IsEmpty());
  EXPECT_EQ(untold_.other_way, 1u);
}

TEST_F(PipelineTest, MotionFindsTheVehicleOfAFixedCamera) {
  Options options;
  options.models.vehicle_finder = VehicleFinder::kMotion;
  Make(options);
  Start();
  int64_t at_ns = kCapture;
  const auto give = [&](const cv::Mat& picture) {
    Give(JobOf(picture, at_ns));
    at_ns += kSecond / 25;
  };
  for (int i = 0; i < 20; ++i) give(DrawStreet({640, 360}, {}));
  for (const cv::Mat& picture : DrawPasses({640, 360}, {"KX75BN"}, 30)) give(picture);
  Drain();
  ASSERT_THAT(Texts(), ElementsAre("KX75BN"));
  ASSERT_FALSE(events()[0].vehicles.empty());
  EXPECT_EQ(events()[0].vehicles[0].label, "vehicle");
}

TEST_F(PipelineTest, VehiclesThatAreTooSmallHaveNoPlates) {
  Options options;
  options.models.vehicle_finder = VehicleFinder::kMotion;
  options.plates.min_vehicle_width = 600;
  Make(options);
  Start();
  int64_t at_ns = kCapture;
  for (const cv::Mat& picture : DrawPasses({640, 360}, {"KX75BN"}, 20)) {
    Give(JobOf(picture, at_ns));
    at_ns += kSecond / 25;
  }
  Drain();
  EXPECT_THAT(events(), IsEmpty());
}

TEST_F(PipelineTest, RequestsOfAStreamTellPasses) {
  Make();
  Start();
  int64_t at_ns = kCapture;
  std::vector<std::string> texts;
  size_t number = 0;
  for (const cv::Mat& picture : DrawPasses({640, 360}, {"KX75BN"}, 30)) {
    ASSERT_TRUE(Request(JobOf(picture, at_ns), R"({"stream":"gate"})"));
    const Json result = Json::parse(AwaitEnd(number++).result_json);
    for (const Json& plate : result["ocr_results"]) texts.push_back(plate["text"]);
    at_ns += kSecond / 25;
  }
  EXPECT_THAT(texts, ElementsAre("KX75BN"));
}

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t pages = 0;
  file >> pages >> pages;
  return pages * 4096;
}

// Vehicles that pass for hours, bad pictures among them: memory stays as it is.
TEST_F(PipelineTest, MemoryIsFlat) {
  const bool is_long = std::getenv("VIADUCT_TEST_LONG") != nullptr;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  const int frames = 300;
  const int64_t most_grown = 512 << 20;  // What was freed is kept for a while.
#else
  const int frames = is_long ? 100'000 : 2'000;
  const int64_t most_grown = 8 << 20;
#endif
  Options options;
  options.tracker.again_after = absl::ZeroDuration();
  Make(options);
  Start();
  const std::vector<cv::Mat> pictures = DrawPasses({240, 136}, {"KX75BN", "BCD 5678"}, 10);
  const auto forget = [this] {
    absl::MutexLock lock(&mutex_);
    events_.clear();
    drops_.clear();
    whys_.clear();
  };
  int64_t resident = 0;
  size_t heap = 0;
  for (int i = 0; i < frames; ++i) {
    const int64_t at_ns = kCapture + i * kSecond / 10;
    if (i % 50 == 49) Give(JobOf("no picture"));
    Give(JobOf(pictures[static_cast<size_t>(i) % pictures.size()], at_ns));
    if (i % 1000 == 999) forget();
    if (i != frames / 4) continue;
    Drain();
    forget();
    resident = ResidentBytes();
    heap = HeapInUse();
  }
  Drain();
  forget();
  const int64_t grown = ResidentBytes() - resident;
  const int64_t heap_grown = static_cast<int64_t>(HeapInUse()) - static_cast<int64_t>(heap);
  std::cout << "FIGURES frames " << frames << (is_long ? ", long" : "")
            << ", resident memory grown by " << grown << " bytes, heap by " << heap_grown << "\n";
  EXPECT_EQ(looked_at_, frames);
  EXPECT_LT(grown, most_grown);
  EXPECT_LT(heap_grown, most_grown / 8);
}

}  // namespace
}  // namespace viaduct::hailo_lpr
