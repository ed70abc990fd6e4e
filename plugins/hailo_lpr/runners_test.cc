#include "plugins/hailo_lpr/runners.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "plugins/hailo_lpr/model_detector.h"
#include "plugins/hailo_lpr/picture_input.h"
#include "tests/support/test_folder.h"

namespace viaduct::hailo_lpr {
namespace {

ModelSpec Detector() {
  ModelSpec spec;
  spec.path = std::string(HAILO_LPR_TEST_MODELS) + "/yolo8.onnx";
  spec.input.sizes = {1, 3, 64, 96};
  return spec;
}

TEST(MakeRunner, AutoGoesByTheName) {
  BackendHealth health;
  const auto runner = MakeRunner(Detector(), &health);
  ASSERT_TRUE(runner.ok()) << runner.status();
  EXPECT_EQ(health.backend, "opencv");
  EXPECT_EQ(health.state, BackendState::kReady);
  EXPECT_EQ(health.device, "cpu");
  EXPECT_FALSE(health.library_version.empty());
  ModelSpec spec;
  spec.path = "/nowhere/plates.HEF";
  spec.library = "/nowhere/libhailort.so";
  EXPECT_FALSE(MakeRunner(spec, &health).ok());
  EXPECT_EQ(health.backend, "hailo");
  EXPECT_NE(DescribeBackend(health).find(", no_library: " + health.reason), std::string::npos);
}

TEST(MakeRunner, SaysWhatIsWrong) {
  BackendHealth health;
  ModelSpec spec = Detector();
  spec.backend = "tpu";
  EXPECT_TRUE(absl::IsInvalidArgument(MakeRunner(spec, &health).status()));
  EXPECT_EQ(health.state, BackendState::kFailed);
  EXPECT_NE(health.reason.find("tpu"), std::string::npos);
  spec = Detector();
  spec.normalisation.deviation = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(MakeRunner(spec).status()));
  spec = Detector();
  spec.timeout_ms = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(MakeRunner(spec).status()));
  spec = Detector();
  spec.nms_score = 1.5F;
  EXPECT_TRUE(absl::IsInvalidArgument(MakeRunner(spec).status()));
  for (const std::vector<int>& sizes : std::vector<std::vector<int>>{
           {}, {1, 3, 64}, {2, 3, 64, 96}, {1, 2, 64, 96}, {1, 3, 0, 96}, {1, 3, 64, 1 << 20}}) {
    spec = Detector();
    spec.input.sizes = sizes;
    EXPECT_TRUE(absl::IsInvalidArgument(MakeRunner(spec, &health).status()));
    EXPECT_EQ(health.state, BackendState::kBadModel);
  }
  spec = Detector();
  spec.path = "/nowhere/model.onnx";
  EXPECT_TRUE(absl::IsNotFound(MakeRunner(spec, &health).status()));
  EXPECT_EQ(health.state, BackendState::kBadModel);
}

TEST(MakeRunner, OnnxRuntimeThatIsNotThere) {
  ModelSpec spec = Detector();
  spec.backend = "onnxruntime";
  spec.library = "/nowhere/libonnxruntime.so";
  BackendHealth health;
  EXPECT_TRUE(absl::IsNotFound(MakeRunner(spec, &health).status()));
  EXPECT_EQ(health.state, BackendState::kNoLibrary);
  EXPECT_NE(health.reason.find("/nowhere/libonnxruntime.so"), std::string::npos);
  spec.library = "libm.so.6";
  EXPECT_TRUE(absl::IsFailedPrecondition(MakeRunner(spec, &health).status()));
  EXPECT_EQ(health.state, BackendState::kWrongLibrary);
}

TEST(PictureInput, ColoursAreInTheOrderOfTheModel) {
  const cv::Mat blue(2, 3, CV_8UC3, cv::Scalar(255, 51, 0));  // BGR
  const TensorShape input = {{1, 3, 2, 3}};
  cv::Mat planes;
  ASSERT_TRUE(FillPlanes(blue, input, {}, &planes).ok());
  const float expected[] = {0, .2F, 1};
  for (int channel = 0; channel < 3; ++channel) {
    for (int i = 0; i < 6; ++i) {
      EXPECT_FLOAT_EQ(planes.ptr<float>(0, channel)[i], expected[channel]);
    }
  }
  std::vector<uint8_t> pixels;
  ASSERT_TRUE(FillPixels(blue, input, &pixels).ok());
  EXPECT_EQ((std::vector<uint8_t>(pixels.begin(), pixels.begin() + 3)),
            (std::vector<uint8_t>{0, 51, 255}));
  std::vector<uint8_t> back;
  ASSERT_TRUE(PlanesToPixels(planes, input, {}, &back).ok());
  EXPECT_EQ(back, pixels);
}

TEST(PictureInput, GreyAndColourBecomeWhatIsWanted) {
  const cv::Mat grey(2, 3, CV_8UC1, cv::Scalar(100));
  cv::Mat planes;
  ASSERT_TRUE(FillPlanes(grey, {{1, 3, 2, 3}}, {100, 50}, &planes).ok());
  EXPECT_NEAR(cv::norm(planes.reshape(1, 1), cv::NORM_INF), 0, 1e-6);
  std::vector<uint8_t> pixels;
  const cv::Mat white(2, 3, CV_8UC3, cv::Scalar::all(255));
  ASSERT_TRUE(FillPixels(white, {{1, 1, 2, 3}}, &pixels).ok());
  EXPECT_EQ(pixels, std::vector<uint8_t>(6, 255));
}

TEST(PictureInput, OtherSizesAndTypesAreRefused) {
  const TensorShape input = {{1, 1, 2, 3}};
  cv::Mat planes;
  std::vector<uint8_t> pixels;
  for (const cv::Mat& wrong : {cv::Mat(), cv::Mat(3, 2, CV_8UC1), cv::Mat(2, 3, CV_16UC1),
                               cv::Mat(2, 3, CV_8UC4), cv::Mat(2, 3, CV_32FC1)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(FillPlanes(wrong, input, {}, &planes)));
    EXPECT_TRUE(absl::IsInvalidArgument(FillPixels(wrong, input, &pixels)));
    EXPECT_TRUE(absl::IsInvalidArgument(PlanesToPixels(wrong, input, {}, &pixels)));
  }
}

}  // namespace
}  // namespace viaduct::hailo_lpr
