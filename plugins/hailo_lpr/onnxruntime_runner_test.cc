#include "plugins/hailo_lpr/onnxruntime_runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "plugins/hailo_lpr/model_detector.h"
#include "plugins/hailo_lpr/model_reader.h"
#include "plugins/hailo_lpr/opencv_runner.h"
#include "plugins/hailo_lpr/testing/heap_in_use.h"
#include "tests/support/test_folder.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

namespace viaduct::hailo_lpr {
namespace {

const TensorShape kReaderInput = {{1, 1, 48, 160}};
const TensorShape kProvinceInput = {{1, 1, 32, 160}};
const TensorShape kDetectorInput = {{1, 3, 64, 96}};

std::string Ours(const std::string& name) { return std::string(HAILO_LPR_MODELS) + "/" + name; }
std::string ForTests(const std::string& name) {
  return std::string(HAILO_LPR_TEST_MODELS) + "/" + name;
}

ModelSpec Spec(const std::string& path) {
  ModelSpec spec;
  spec.path = path;
  spec.backend = "onnxruntime";
  spec.library = ONNXRUNTIME_LIBRARY;
  return spec;
}

// Every output of a model within 1e-3 of what OpenCV gives.
void ExpectLikeOpenCv(const std::string& path, const TensorShape& input, int threads) {
  ModelSpec spec = Spec(path);
  spec.threads = threads;
  const auto runner = MakeRunner(spec);
  const auto opencv = OpenCvRunner::Load(path, input);
  ASSERT_TRUE(runner.ok() && opencv.ok()) << runner.status() << opencv.status();
  EXPECT_EQ((*runner)->input(), input);
  cv::Mat picture(input.sizes[2], input.sizes[3], CV_8UC3);
  std::vector<Tensor> expected;
  std::vector<Tensor> outputs;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    cv::RNG(seed).fill(picture, cv::RNG::UNIFORM, 0, 256);
    ASSERT_TRUE((*opencv)->RunPicture(picture, &expected).ok());
    ASSERT_TRUE((*runner)->RunPicture(picture, &outputs).ok());
    ASSERT_EQ(outputs.size(), expected.size());
    for (const Tensor& output : outputs) {
      const auto same = std::find_if(expected.begin(), expected.end(),
                                     [&](const Tensor& one) { return one.name == output.name; });
      ASSERT_NE(same, expected.end()) << output.name;
      ASSERT_EQ(output.shape, same->shape);
      for (size_t i = 0; i < output.values.size(); ++i) {
        ASSERT_NEAR(output.values[i], same->values[i], 1e-3F) << output.name << " " << i;
      }
    }
  }
}

TEST(OnnxRuntimeRunner, OurModelsAreAsWithOpenCv) {
  ExpectLikeOpenCv(Ours("reader.onnx"), kReaderInput, 1);
  ExpectLikeOpenCv(Ours("province.onnx"), kProvinceInput, 2);
}

TEST(OnnxRuntimeRunner, DetectorsAreAsWithOpenCv) {
  for (const char* name :
       {"yolo8.onnx", "yolo8_heads.onnx", "yolo4_tiny.onnx", "yolo4_tiny_parts.onnx"}) {
    ExpectLikeOpenCv(ForTests(name), kDetectorInput, 1);
  }
}

TEST(OnnxRuntimeRunner, ADetectorOfAUserFinds) {
  BackendHealth health;
  auto runner = MakeRunner(Spec(ForTests("yolo8_heads.onnx")), &health);
  ASSERT_TRUE(runner.ok()) << runner.status();
  EXPECT_EQ(health.state, BackendState::kReady);
  EXPECT_EQ(health.backend, "onnxruntime");
  EXPECT_EQ(health.device, "cpu");
  EXPECT_FALSE(health.library_version.empty());
  DetectorOptions options;
  const auto detector = ModelDetector::Create(*std::move(runner), options);
  ASSERT_TRUE(detector.ok()) << detector.status();
  std::vector<Detection> found;
  for (int i = 0; i < 3; ++i) {  // The outputs are turned each time anew.
    ASSERT_TRUE((*detector)->Detect(cv::Mat(360, 640, CV_8UC3, cv::Scalar::all(90)), &found).ok());
    EXPECT_FALSE(found.empty());
  }
}

// As fast-plate-ocr has them: octets in, a slot for each character out.
TEST(OnnxRuntimeRunner, AReaderOfAUserReads) {
  auto octets = MakeRunner(Spec(ForTests("slots.onnx")));
  auto planes = OpenCvRunner::Load(ForTests("slots_planes.onnx"), {{1, 1, 16, 32}});
  ASSERT_TRUE(octets.ok() && planes.ok()) << octets.status() << planes.status();
  EXPECT_EQ((*octets)->input().sizes, (std::vector<int>{1, 1, 16, 32}));
  cv::Mat plate(40, 120, CV_8UC3);
  cv::RNG(3).fill(plate, cv::RNG::UNIFORM, 0, 256);
  ReaderOptions options;
  for (const char c : std::string("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_")) {
    options.alphabet.emplace_back(1, c);
  }
  // Floats reach it, too, as the octets that they stand for.
  std::vector<Tensor> by_floats;
  cv::Mat input(4, (*octets)->input().sizes.data(), CV_32F, cv::Scalar(0.2));
  ASSERT_TRUE((*octets)->Run(input, &by_floats).ok());
  EXPECT_EQ(by_floats[0].shape.sizes, (std::vector<int>{1, 9, 37}));
  Detection whole;
  whole.box = {0, 0, 120, 40};
  std::vector<Reading> readings;
  std::vector<Reading> expected;
  const auto reader = ModelReader::Create(*std::move(octets), options);
  const auto opencv = ModelReader::Create(*std::move(planes), options);
  ASSERT_TRUE(reader.ok() && opencv.ok()) << reader.status() << opencv.status();
  ASSERT_TRUE((*reader)->Read(plate, whole, &readings).ok());
  ASSERT_TRUE((*opencv)->Read(plate, whole, &expected).ok());
  ASSERT_FALSE(readings.empty());
  ASSERT_FALSE(expected.empty());
  EXPECT_EQ(readings[0].text(), expected[0].text());
  EXPECT_NEAR(readings[0].confidence, expected[0].confidence, 1e-3F);
  whole.box = {200, 0, 220, 40};
  ASSERT_TRUE((*reader)->Read(plate, whole, &readings).ok());
  EXPECT_TRUE(readings.empty());
}

TEST(OnnxRuntimeRunner, SaysWhatIsWrongWithAModel) {
  const support::TestFolder folder;
  BackendHealth health;
  EXPECT_TRUE(absl::IsNotFound(MakeRunner(Spec("/nowhere/a.onnx"), &health).status()));
  EXPECT_EQ(health.state, BackendState::kBadModel);
  const std::string path = folder / "none.onnx";
  for (const std::string& content : {std::string(), std::string("this is no model")}) {
    support::WriteFile(path, content);
    const auto refused = MakeRunner(Spec(path), &health);
    EXPECT_TRUE(absl::IsInvalidArgument(refused.status())) << refused.status();
    EXPECT_EQ(health.state, BackendState::kBadModel);
    EXPECT_EQ(health.reason.find('\n'), std::string::npos);
  }
  std::string cut = support::ReadFile(Ours("province.onnx"));
  cut.resize(cut.size() / 2);
  support::WriteFile(path, cut);
  EXPECT_TRUE(absl::IsInvalidArgument(MakeRunner(Spec(path)).status()));
  ModelSpec spec = Spec(Ours("reader.onnx"));
  spec.input = kProvinceInput;
  const auto other = MakeRunner(spec);
  EXPECT_TRUE(absl::IsInvalidArgument(other.status()));
  EXPECT_NE(other.status().message().find("1x1x48x160, not 1x1x32x160"), std::string::npos);
}

TEST(OnnxRuntimeRunner, OtherInputsAreRefused) {
  const auto runner = MakeRunner(Spec(Ours("reader.onnx")));
  ASSERT_TRUE(runner.ok());
  std::vector<Tensor> outputs;
  EXPECT_TRUE(absl::IsInvalidArgument((*runner)->Run(cv::Mat(), &outputs)));
  EXPECT_TRUE(absl::IsInvalidArgument((*runner)->Run(cv::Mat(48, 160, CV_32F), &outputs)));
  const std::vector<int> sizes = {1, 1, 48, 161};
  EXPECT_TRUE(absl::IsInvalidArgument((*runner)->Run(cv::Mat(4, sizes.data(), CV_32F), &outputs)));
}

TEST(OnnxRuntimeRunner, ComesAndGoesWithoutAGrowingMemory) {
  const auto round = [] {
    const auto runner = MakeRunner(Spec(Ours("province.onnx")));
    ASSERT_TRUE(runner.ok());
    std::vector<Tensor> outputs;
    const cv::Mat picture(32, 160, CV_8UC1, cv::Scalar(90));
    for (int i = 0; i < 3; ++i) ASSERT_TRUE((*runner)->RunPicture(picture, &outputs).ok());
  };
  for (int i = 0; i < 10; ++i) round();
  const size_t before = HeapInUse();
  for (size_t i = 0; i < support::Rounds(50, 1000); ++i) round();
  // The library's threads end in their own time.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (HeapInUse() >= before + (1 << 20) && std::chrono::steady_clock::now() < end) round();
  EXPECT_LT(HeapInUse(), before + (1 << 20));
}

// What the library itself allocates once and never releases is not ours to look for; all else is.
void LoadOnce() {
#ifdef __SANITIZE_ADDRESS__
  const __lsan::ScopedDisabler disabler;
#endif
  EXPECT_TRUE(MakeRunner(Spec(Ours("province.onnx"))).ok());
}

}  // namespace
}  // namespace viaduct::hailo_lpr

int main(int argc, char** argv) {
  if (!std::filesystem::exists(ONNXRUNTIME_LIBRARY)) {
    std::printf("no ONNX Runtime at %s: `./dev test` installs it by npm\n", ONNXRUNTIME_LIBRARY);
    return 0;
  }
  ::testing::InitGoogleTest(&argc, argv);
  viaduct::hailo_lpr::LoadOnce();
  return RUN_ALL_TESTS();
}
