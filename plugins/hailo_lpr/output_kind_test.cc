#include "plugins/hailo_lpr/output_kind.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace viaduct::hailo_lpr {
namespace {

const cv::Size kInput(416, 416);

TensorInfo Plain(const std::string& name, std::vector<int> sizes, bool channels_last = false) {
  TensorInfo info;
  info.name = name;
  info.shape.sizes = std::move(sizes);
  info.channels_last = channels_last;
  return info;
}

OutputKind Chosen(const std::vector<TensorInfo>& outputs, const std::string& configured = "auto") {
  const auto kind = ChooseOutputKind(configured, outputs, kInput);
  EXPECT_TRUE(kind.ok()) << kind.status();
  return *kind;
}

TEST(OutputKind, IsToldByNamesAndShapes) {
  TensorInfo nms;
  nms.form = TensorForm::kNmsByClass;
  EXPECT_EQ(Chosen({nms}), OutputKind::kNms);
  nms.form = TensorForm::kNmsByScore;
  EXPECT_EQ(Chosen({nms}), OutputKind::kNms);
  EXPECT_EQ(Chosen({Plain("output0", {1, 84, 8400})}), OutputKind::kYolo8);
  // Of a HEF and of an ONNX.
  EXPECT_EQ(Chosen({Plain("a", {1, 52, 52, 64}, true), Plain("b", {1, 52, 52, 1}, true)}),
            OutputKind::kYolo8Heads);
  EXPECT_EQ(Chosen({Plain("a", {1, 64, 52, 52}), Plain("b", {1, 80, 52, 52})}),
            OutputKind::kYolo8Heads);
  EXPECT_EQ(Chosen({Plain("a", {1, 13, 13, 18}, true), Plain("b", {1, 26, 26, 18}, true)}),
            OutputKind::kTinyYolo4);
  EXPECT_EQ(Chosen({Plain("a", {1, 18, 26, 26})}), OutputKind::kTinyYolo4);
}

// tiny_yolov4_license_plates as Hailo compiles it: two grids, or each in four parts.
std::vector<TensorInfo> HailosPlates(bool in_parts) {
  std::vector<TensorInfo> outputs;
  for (const auto& [grid, side] : {std::pair("conv19", 13), std::pair("conv21", 26)}) {
    const std::string name = std::string("tiny_yolov4_license_plates/") + grid;
    if (!in_parts) {
      outputs.push_back(Plain(name, {1, side, side, 18}, true));
      continue;
    }
    for (const auto& [part, channels] : {std::pair("_centers", 6), std::pair("_scales", 6),
                                         std::pair("_obj", 3), std::pair("_probs", 3)}) {
      outputs.push_back(Plain(name + part, {1, side, side, channels}, true));
    }
  }
  return outputs;
}

TEST(OutputKind, HailosPlatesAreToldByTheirName) {
  for (const bool in_parts : {false, true}) {
    std::vector<TensorInfo> outputs = HailosPlates(in_parts);
    EXPECT_EQ(Chosen(outputs), OutputKind::kTinyYolo4Plates);
    EXPECT_EQ(Chosen(outputs, "yolo4_tiny"), OutputKind::kTinyYolo4);
    for (TensorInfo& one : outputs) one.name = "mine/" + one.name.substr(one.name.find('/') + 1);
    EXPECT_EQ(Chosen(outputs), OutputKind::kTinyYolo4);
    EXPECT_EQ(Chosen(outputs, "yolo4_tiny_plates"), OutputKind::kTinyYolo4Plates);
    outputs.pop_back();
    EXPECT_EQ(ChooseOutputKind("auto", outputs, kInput).ok(), !in_parts);
  }
}

TEST(OutputKind, WhatDoesNotFitIsRefusedWithItsShapes) {
  const std::vector<TensorInfo> strange = {Plain("conv19_centers", {1, 13, 13, 6}, true),
                                           Plain("conv19_scales", {1, 13, 13, 6}, true)};
  const auto refused = ChooseOutputKind("auto", strange, kInput);
  EXPECT_TRUE(absl::IsInvalidArgument(refused.status()));
  EXPECT_NE(refused.status().message().find("conv19_centers 1x13x13x6"), std::string::npos);
  EXPECT_FALSE(ChooseOutputKind("auto", {}, kInput).ok());
  EXPECT_FALSE(ChooseOutputKind("auto", {Plain("a", {})}, kInput).ok());
  EXPECT_FALSE(ChooseOutputKind("auto", {Plain("a", {1, 18, 0, 0})}, kInput).ok());
  const std::vector<TensorInfo> yolo8 = {Plain("output0", {1, 84, 8400})};
  EXPECT_EQ(Chosen(yolo8, "yolo8"), OutputKind::kYolo8);
  for (const char* other : {"nms", "yolo8_heads", "yolo4_tiny", "yolo4_tiny_plates", "yolo9", ""}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ChooseOutputKind(other, yolo8, kInput).status())) << other;
  }
}

TEST(OutputKind, BoxesOfNmsAreInPixels) {
  Tensor output;
  output.form = TensorForm::kNmsByClass;
  output.classes = 1;
  output.most_of_a_class = 2;
  output.values = {1, .25F, .5F, .75F, 1, .9F, 0, 0, 0, 0, 0};
  std::vector<Tensor> outputs = {output};
  std::vector<Detection> found;
  ASSERT_TRUE(DecodeOutputs(OutputKind::kNms, {200, 100}, false, {}, &outputs, &found).ok());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_FLOAT_EQ(found[0].box.left, 100);
  EXPECT_FLOAT_EQ(found[0].box.top, 25);
  EXPECT_FLOAT_EQ(found[0].box.right, 200);
  EXPECT_FLOAT_EQ(found[0].box.bottom, 75);
}

TEST(OutputKind, AxesAreTurnedOnlyOnce) {
  Tensor sides;
  sides.shape.sizes = {1, 64, 2, 4};
  Tensor scores;
  scores.shape.sizes = {1, 2, 2, 4};
  for (Tensor* one : {&sides, &scores}) {
    one->values.resize(one->shape.elements());
    for (size_t i = 0; i < one->values.size(); ++i) one->values[i] = static_cast<float>(i % 7) / 9;
  }
  std::vector<Tensor> outputs = {sides, scores};
  std::vector<Detection> first;
  std::vector<Detection> second;
  const cv::Size input(32, 16);
  ASSERT_TRUE(DecodeOutputs(OutputKind::kYolo8Heads, input, false, {}, &outputs, &first).ok());
  EXPECT_TRUE(outputs[0].channels_last);
  ASSERT_TRUE(DecodeOutputs(OutputKind::kYolo8Heads, input, false, {}, &outputs, &second).ok());
  ASSERT_EQ(first.size(), second.size());
  ASSERT_FALSE(first.empty());
  EXPECT_EQ(first[0].box.left, second[0].box.left);
}

TEST(FitCtc, FindsTheClasses) {
  CtcOptions options;
  options.alphabet.assign(78, "x");
  ASSERT_TRUE(FitCtc(Plain("scores", {1, 79, 1, 40}), &options).ok());
  EXPECT_TRUE(options.classes_first);
  ASSERT_TRUE(FitCtc(Plain("scores", {1, 1, 40, 79}, true), &options).ok());
  EXPECT_FALSE(options.classes_first);
  ASSERT_TRUE(FitCtc(Plain("softmax", {1, 40, 79}), &options).ok());
  EXPECT_FALSE(options.classes_first);
  EXPECT_TRUE(absl::IsInvalidArgument(FitCtc(Plain("scores", {1, 37, 1, 40}), &options)));
  EXPECT_TRUE(absl::IsInvalidArgument(FitCtc(Plain("scores", {}), &options)));
}

}  // namespace
}  // namespace viaduct::hailo_lpr
