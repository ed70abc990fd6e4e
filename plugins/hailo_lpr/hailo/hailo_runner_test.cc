#include "plugins/hailo_lpr/hailo/hailo_runner.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "plugins/hailo_lpr/ctc.h"
#include "plugins/hailo_lpr/hailo/testing/hailo_test_support.h"
#include "plugins/hailo_lpr/model_detector.h"
#include "plugins/hailo_lpr/opencv_runner.h"
#include "plugins/hailo_lpr/output_kind.h"
#include "plugins/hailo_lpr/plate_reader.h"
#include "plugins/hailo_lpr/testing/heap_in_use.h"

namespace viaduct::hailo_lpr {
namespace {

class HailoRunnerTest : public HailoTest {
 protected:
  absl::StatusOr<std::unique_ptr<HailoRunner>> Load(const ModelSpec& spec) {
    return HailoRunner::Load(spec, device_, &health_);
  }
  absl::StatusOr<std::unique_ptr<HailoRunner>> LoadDetector(const hailort::DoubleModel& model) {
    ModelSpec spec;
    spec.path = AddModel("detector.hef", model);
    return Load(spec);
  }
  // What the model behind a HEF finds in a picture by the CPU, and by the HEF.
  void ExpectSameFound(const hailort::DoubleModel& model) { ExpectSameFound(model, model); }
  void ExpectSameFound(const hailort::DoubleModel& by_cpu, const hailort::DoubleModel& by_hailo) {
    DetectorOptions options;
    options.decode.least_score = 0.05F;
    auto on_cpu = OpenCvRunner::Load(by_cpu.onnx, by_cpu.input);
    auto on_hailo = LoadDetector(by_hailo);
    ASSERT_TRUE(on_cpu.ok() && on_hailo.ok()) << on_cpu.status() << on_hailo.status();
    const auto cpu = ModelDetector::Create(*std::move(on_cpu), options);
    const auto hailo = ModelDetector::Create(*std::move(on_hailo), options);
    ASSERT_TRUE(cpu.ok() && hailo.ok()) << cpu.status() << hailo.status();
    for (const cv::Size size : {cv::Size(96, 64), cv::Size(640, 360), cv::Size(50, 200)}) {
      const cv::Mat picture = SomePicture(size, 3);
      std::vector<Detection> expected;
      std::vector<Detection> found;
      ASSERT_TRUE((*cpu)->Detect(picture, &expected).ok());
      const absl::Status detected = (*hailo)->Detect(picture, &found);
      ASSERT_TRUE(detected.ok()) << detected;
      ASSERT_EQ(found.size(), expected.size());
      EXPECT_FALSE(found.empty());
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_NEAR(found[i].score, expected[i].score, 1e-6F);
        EXPECT_EQ(found[i].label, expected[i].label);
        EXPECT_NEAR(found[i].box.left, expected[i].box.left, 1e-2F);
        EXPECT_NEAR(found[i].box.top, expected[i].box.top, 1e-2F);
        EXPECT_NEAR(found[i].box.right, expected[i].box.right, 1e-2F);
        EXPECT_NEAR(found[i].box.bottom, expected[i].box.bottom, 1e-2F);
      }
    }
  }
  // Loading it is refused for `what`, for good.
  void ExpectRefused(const hailort::DoubleModel& model, const std::string& what) {
    const auto runner = LoadDetector(model);
    EXPECT_TRUE(absl::IsInvalidArgument(runner.status())) << runner.status();
    EXPECT_EQ(health_.state, BackendState::kBadModel);
    EXPECT_NE(health_.reason.find(what), std::string::npos) << health_.reason;
  }

  std::shared_ptr<HailoDevice> device_ = MakeDevice();
  BackendHealth health_;
  std::vector<Tensor> outputs_;
};

TEST_F(HailoRunnerTest, TheReaderReadsTheSameInBothLayouts) {
  const std::string path = AddReader();
  auto cpu = OpenCvRunner::Load(std::string(HAILO_LPR_MODELS) + "/reader.onnx", kReaderInput,
                                kReaderNormalisation);
  ASSERT_TRUE(cpu.ok());
  for (const uint32_t minor : {17U, 20U}) {
    With([&](auto* controls) { controls->version.minor = minor; });
    const auto runner = Load(ReaderSpec(path));
    ASSERT_TRUE(runner.ok()) << runner.status();
    EXPECT_EQ((*runner)->input(), kReaderInput);
    ASSERT_EQ((*runner)->outputs().size(), 1U);
    EXPECT_EQ((*runner)->outputs()[0].shape.sizes, (std::vector<int>{1, 1, 40, 79}));
    const cv::Mat picture = SomePicture({160, 48}, 1, minor);
    std::vector<Tensor> expected;
    ASSERT_TRUE((*cpu)->RunPicture(picture, &expected).ok());
    ASSERT_TRUE((*runner)->RunPicture(picture, &outputs_).ok());
    CtcOptions classes_first;
    classes_first.alphabet = ReaderAlphabet();
    CtcOptions classes_last = classes_first;
    ASSERT_TRUE(FitCtc(expected[0], &classes_first).ok());
    ASSERT_TRUE(FitCtc(outputs_[0], &classes_last).ok());
    EXPECT_TRUE(classes_first.classes_first);
    EXPECT_FALSE(classes_last.classes_first);
    std::vector<Reading> by_cpu;
    std::vector<Reading> by_hailo;
    ASSERT_TRUE(DecodeCtc(expected[0], classes_first, &by_cpu).ok());
    ASSERT_TRUE(DecodeCtc(outputs_[0], classes_last, &by_hailo).ok());
    ASSERT_EQ(by_cpu.size(), by_hailo.size());
    for (size_t i = 0; i < by_cpu.size(); ++i) {
      EXPECT_EQ(by_cpu[i].text(), by_hailo[i].text());
      EXPECT_NEAR(by_cpu[i].confidence, by_hailo[i].confidence, 1e-6F);
    }
  }
}

// PlateReader feeds floats; on the chip they are octets.
TEST_F(HailoRunnerTest, FloatsLoseWhatAnOctetCanNotHold) {
  const auto runner = Load(ReaderSpec(AddReader()));
  auto cpu = OpenCvRunner::Load(std::string(HAILO_LPR_MODELS) + "/reader.onnx", kReaderInput);
  ASSERT_TRUE(runner.ok() && cpu.ok());
  cv::Mat floats(4, kReaderInput.sizes.data(), CV_32F);
  cv::RNG(7).fill(floats, cv::RNG::NORMAL, 0, 1);
  cv::Mat rounded(4, kReaderInput.sizes.data(), CV_32F);
  for (size_t i = 0; i < floats.total(); ++i) {
    const float octet = std::round(floats.ptr<float>()[i] * 32 + 128);
    rounded.ptr<float>()[i] = (std::min(std::max(octet, 0.0F), 255.0F) - 128) / 32;
  }
  std::vector<Tensor> expected;
  ASSERT_TRUE((*cpu)->Run(rounded, &expected).ok());
  ASSERT_TRUE((*runner)->Run(floats, &outputs_).ok());
  for (size_t place = 0; place < 40; ++place) {
    for (size_t one = 0; one < 79; ++one) {
      ASSERT_NEAR(outputs_[0].values[place * 79 + one], expected[0].values[one * 40 + place],
                  1e-4F);
    }
  }
}

TEST_F(HailoRunnerTest, HeadsAreDecodedTheSame) {
  ExpectSameFound(DetectorModel("yolo8_heads.onnx"));
}

TEST_F(HailoRunnerTest, AnchorsAreDecodedTheSame) {
  ExpectSameFound(DetectorModel("yolo4_tiny.onnx"));
}

// The eight outputs of Hailo's compiler, of the same weights: what is found is also the same as
// without parts.
TEST_F(HailoRunnerTest, AnchorsInPartsAreDecodedTheSame) {
  const hailort::DoubleModel parts = DetectorModel("yolo4_tiny_parts.onnx");
  ExpectSameFound(parts);
  ExpectSameFound(DetectorModel("yolo4_tiny.onnx"), parts);
}

// Vehicles, plates, characters and Hailo's own detector of plates, as large as they are.
TEST_F(HailoRunnerTest, DetectorsOfTheirRealSizesFindTheSame) {
  const struct {
    const char* onnx;
    std::vector<int> input;
    uint32_t classes;  // 0: no NMS.
  } kModels[] = {{"yolo8.onnx", {1, 3, 640, 640}, 80},
                 {"yolo8.onnx", {1, 3, 640, 640}, 2},
                 {"yolo8.onnx", {1, 3, 128, 256}, 36},
                 {"yolo4_tiny.onnx", {1, 3, 416, 416}, 0},
                 {"yolo4_tiny_parts.onnx", {1, 3, 416, 416}, 0}};
  for (const auto& one : kModels) {
    SCOPED_TRACE(absl::StrCat(one.onnx, " of ", one.input[2], " rows"));
    hailort::DoubleModel model = DetectorModel(one.onnx);
    model.input.sizes = one.input;
    if (one.classes != 0) model.form = TensorForm::kNmsByClass;
    model.classes = one.classes;
    model.most_of_a_class = 100;
    ExpectSameFound(model);
  }
}

TEST_F(HailoRunnerTest, BoxesThatHailortChoseAreTheSame) {
  hailort::DoubleModel model = DetectorModel("yolo8.onnx");
  model.classes = 2;
  model.most_of_a_class = 100;
  for (const TensorForm form : {TensorForm::kNmsByClass, TensorForm::kNmsByScore}) {
    for (const uint32_t minor : {19U, 23U}) {
      if (form == TensorForm::kNmsByScore && minor == 19) continue;  // Came with 4.20.
      With([&](auto* controls) { controls->version.minor = minor; });
      model.form = form;
      ExpectSameFound(model);
    }
  }
}

TEST_F(HailoRunnerTest, MoreNamesThanClassesAreRefused) {
  hailort::DoubleModel model = DetectorModel("yolo8.onnx");
  model.form = TensorForm::kNmsByClass;
  model.classes = 2;
  model.most_of_a_class = 50;
  for (const size_t names : {1U, 2U, 3U}) {
    auto runner = LoadDetector(model);
    ASSERT_TRUE(runner.ok()) << runner.status();
    DetectorOptions options;
    options.classes = names;
    EXPECT_EQ(ModelDetector::Create(*std::move(runner), options).ok(), names <= 2) << names;
  }
}

TEST_F(HailoRunnerTest, ThresholdsAreGivenToTheHef) {
  hailort::DoubleModel model = DetectorModel("yolo8.onnx");
  model.form = TensorForm::kNmsByClass;
  model.classes = 2;
  model.most_of_a_class = 50;
  ModelSpec spec;
  spec.path = AddModel("detector.hef", model);
  spec.nms_score = 0.25F;
  spec.nms_overlap = 0.5F;
  EXPECT_TRUE(Load(spec).ok());
  EXPECT_EQ(controls_.thresholds,
            (std::map<std::string, float>{{"overlap", .5F}, {"score", .25F}}));
  // Where the chip chooses by itself, the decoder's thresholds count.
  Fail("vstream_set_nms_score_threshold", hailort::kInvalidOperation);
  EXPECT_TRUE(Load(spec).ok());
  Fail("vstream_set_nms_score_threshold", hailort::kInvalidArgument);
  EXPECT_FALSE(Load(spec).ok());
}

TEST_F(HailoRunnerTest, WhatAHefMayNotBe) {
  const hailort::DoubleModel good = DetectorModel("yolo8_heads.onnx");
  hailort::DoubleModel model = good;
  model.groups = 2;
  ExpectRefused(model, "network groups");
  model.groups = 9;  // More than are asked for.
  ExpectRefused(model, "more parts");
  model = good;
  model.inputs = 2;
  ExpectRefused(model, "2 inputs");
  model.inputs = 30;
  ExpectRefused(model, "more parts");
  model = good;
  model.rows_more = 1;
  ExpectRefused(model, "octets for");
  model.rows_more = 1000000;
  ExpectRefused(model, "1x3x1000064x96");
  model = good;
  model.octets_more = 4;
  ExpectRefused(model, "not what its shape says");
  model = good;
  model.features_said = 0xffffffff;
  ExpectRefused(model, "not what its shape says");
  model = good;
  model.order_said = hailort::kNmsWithMask;
  ExpectRefused(model, "masks");
  model.order_said = hailort::kNmsByClass;  // With the sizes of pictures.
  ExpectRefused(model, "not what its shape says");
  model = DetectorModel("yolo8.onnx");
  model.form = TensorForm::kNmsByClass;
  model.classes = 0xffffffff;
  model.most_of_a_class = 0xffffffff;
  ExpectRefused(model, "not what its shape says");
  EXPECT_EQ(Calls("create_input_vstreams"), Calls("release_input_vstreams"));
  EXPECT_EQ(Calls("create_output_vstreams"), Calls("release_output_vstreams"));
}

TEST_F(HailoRunnerTest, FilesThatAreNone) {
  ModelSpec spec;
  spec.path = folder_ / "none.hef";
  EXPECT_TRUE(absl::IsNotFound(Load(spec).status()));
  EXPECT_EQ(health_.state, BackendState::kBadModel);
  support::WriteFile(spec.path, "");
  EXPECT_TRUE(absl::IsInvalidArgument(Load(spec).status()));
  spec.path = folder_.path();
  EXPECT_TRUE(absl::IsInvalidArgument(Load(spec).status()));
  spec.path = "/dev/zero";
  EXPECT_TRUE(absl::IsInvalidArgument(Load(spec).status()));
  EXPECT_EQ(Calls("create_hef_file"), 0);
  spec.path = folder_ / "text.hef";
  support::WriteFile(spec.path, "this is no HEF");
  EXPECT_TRUE(absl::IsInvalidArgument(Load(spec).status()));
  EXPECT_NE(health_.reason.find("status 92"), std::string::npos) << health_.reason;
}

TEST_F(HailoRunnerTest, AnotherSizeThanConfigured) {
  ModelSpec spec = ReaderSpec(AddReader());
  spec.input = kProvinceInput;
  EXPECT_TRUE(absl::IsInvalidArgument(Load(spec).status()));
  EXPECT_NE(health_.reason.find("1x1x48x160, not 1x1x32x160"), std::string::npos) << health_.reason;
  spec.input = kReaderInput;
  const auto runner = Load(spec);
  ASSERT_TRUE(runner.ok());
  EXPECT_TRUE(absl::IsInvalidArgument((*runner)->RunPicture(SomePicture({160, 32}, 1), &outputs_)));
  EXPECT_TRUE(absl::IsInvalidArgument((*runner)->Run(cv::Mat(48, 160, CV_32F), &outputs_)));
  EXPECT_EQ((*runner)->health().state, BackendState::kReady);  // The caller's fault.
}

TEST_F(HailoRunnerTest, AFileThatChangedWhileTheDeviceWasAway) {
  const std::string path = AddReader();
  const auto runner = Load(ReaderSpec(path));
  ASSERT_TRUE(runner.ok());
  hailort::DoubleModel other;
  other.onnx = std::string(HAILO_LPR_MODELS) + "/province.onnx";
  other.input = kProvinceInput;
  AddModel("reader.hef", other);
  Fail("vstream_write_raw_buffer", 63, 1);
  const cv::Mat picture = SomePicture({160, 48}, 1);
  EXPECT_TRUE(absl::IsUnavailable((*runner)->RunPicture(picture, &outputs_)));
  LaterBy(HailoDevice::kMostBackoff);
  EXPECT_TRUE(absl::IsInvalidArgument((*runner)->RunPicture(picture, &outputs_)));
  EXPECT_EQ((*runner)->health().state, BackendState::kBadModel);
  EXPECT_NE((*runner)->health().reason.find("first loaded"), std::string::npos);
}

TEST_F(HailoRunnerTest, SeveralModelsShareTheDevice) {
  const auto reader = Load(ReaderSpec(AddReader()));
  const auto detector = LoadDetector(DetectorModel("yolo8_heads.onnx"));
  ASSERT_TRUE(reader.ok() && detector.ok());
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE((*reader)->RunPicture(SomePicture({160, 48}, 3), &outputs_).ok());
    EXPECT_TRUE((*detector)->RunPicture(SomePicture({96, 64}, 1), &outputs_).ok());
    EXPECT_EQ(outputs_.size(), 4U);
  }
  EXPECT_EQ(Calls("create_vdevice"), 1);
}

TEST_F(HailoRunnerTest, MemoryDoesNotGrowWhileADeviceComesAndGoes) {
  const auto runner = Load(ReaderSpec(AddReader()));
  ASSERT_TRUE(runner.ok());
  const cv::Mat picture = SomePicture({160, 48}, 1);
  const auto round = [&] {
    Fail("vstream_read_raw_buffer", 36, 1);
    EXPECT_FALSE((*runner)->RunPicture(picture, &outputs_).ok());
    LaterBy(HailoDevice::kMostBackoff);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE((*runner)->RunPicture(picture, &outputs_).ok());
  };
  for (int i = 0; i < 20; ++i) round();
  const size_t before = HeapInUse();
  for (size_t i = 0; i < support::Rounds(60, 2000); ++i) round();
  EXPECT_LT(HeapInUse(), before + (64 << 10));
}

}  // namespace
}  // namespace viaduct::hailo_lpr
