#include "plugins/hailo_lpr/decoders.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace viaduct::hailo_lpr {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

void ExpectBox(const Detection& one, float left, float top, float right, float bottom) {
  EXPECT_NEAR(one.box.left, left, 1e-3F * std::max(1.0F, std::abs(left)));
  EXPECT_NEAR(one.box.top, top, 1e-3F * std::max(1.0F, std::abs(top)));
  EXPECT_NEAR(one.box.right, right, 1e-3F * std::max(1.0F, std::abs(right)));
  EXPECT_NEAR(one.box.bottom, bottom, 1e-3F * std::max(1.0F, std::abs(bottom)));
}

Tensor Zeros(std::vector<int> sizes, float value = 0) {
  Tensor tensor;
  tensor.name = "out";
  tensor.shape.sizes = std::move(sizes);
  tensor.values.assign(tensor.shape.elements(), value);
  return tensor;
}

TEST(NmsByClass, TheNextClassBeginsRightBehindTheLastBox) {
  // Three classes of at most 4 boxes; y comes before x.
  std::vector<float> values = {1,   .1F, .2F, .3F, .4F, .9F, 0,   2,   .5F,
                               .5F, .6F, .7F, .8F, 0,   0,   .1F, .1F, .7F};
  values.resize(3 * (1 + 5 * 4));
  std::vector<Detection> found;
  ASSERT_TRUE(DecodeNmsByClass(values, 3, 4, {}, &found).ok());
  ASSERT_EQ(found.size(), 3u);
  ExpectBox(found[0], .2F, .1F, .4F, .3F);
  EXPECT_EQ(found[0].label, 0);
  ExpectBox(found[1], .5F, .5F, .7F, .6F);
  EXPECT_EQ(found[1].label, 2);
  EXPECT_FLOAT_EQ(found[2].score, .7F);
}

TEST(NmsByClass, CountsThatCanNotBeAreRefused) {
  std::vector<Detection> found;
  for (const float count : {5.0F, -1.0F, 1e30F, kNan}) {
    std::vector<float> values(1 + 5 * 4, .5F);
    values[0] = count;
    EXPECT_TRUE(absl::IsInvalidArgument(DecodeNmsByClass(values, 1, 4, {}, &found))) << count;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeNmsByClass({}, 1, 4, {}, &found)));
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeNmsByClass({2, 0, 0, 1, 1, 1}, 1, 4, {}, &found)));
}

TEST(NmsByScore, IsPacked) {
  const auto add = [](std::vector<uint8_t>* octets, const auto& value) {
    const auto* from = reinterpret_cast<const uint8_t*>(&value);
    octets->insert(octets->end(), from, from + sizeof(value));
  };
  std::vector<uint8_t> octets;
  add(&octets, uint16_t{2});
  for (const float value : {.1F, .2F, .3F, .4F, .9F}) add(&octets, value);
  add(&octets, uint16_t{7});
  for (const float value : {.5F, .6F, .7F, .8F, .2F}) add(&octets, value);  // Below the least.
  add(&octets, uint16_t{1});
  std::vector<Detection> found;
  ASSERT_TRUE(DecodeNmsByScore(octets, {}, &found).ok());
  ASSERT_EQ(found.size(), 1u);
  ExpectBox(found[0], .2F, .1F, .4F, .3F);
  EXPECT_EQ(found[0].label, 7);
  octets.pop_back();
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeNmsByScore(octets, {}, &found)));
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeNmsByScore({1}, {}, &found)));
}

// A cell whose four distances are whole bins, and a score.
void SetCell(Tensor* sides, Tensor* scores, int columns, int row, int column, const int (&bins)[4],
             float score) {
  const size_t cell =
      static_cast<size_t>(row) * static_cast<size_t>(columns) + static_cast<size_t>(column);
  for (size_t side = 0; side < 4; ++side) {
    sides->values[cell * 64 + side * 16 + static_cast<size_t>(bins[side])] = 50;
  }
  scores->values[cell] = score;
}

TEST(Yolo8Heads, DistancesAreMeansOfBins) {
  // An input of 320x160; the scores come before the sides in one of the strides.
  Tensor sides8 = Zeros({1, 20, 40, 64});
  Tensor scores8 = Zeros({20, 40, 1}, -20);
  Tensor sides16 = Zeros({10, 20, 64});
  Tensor scores16 = Zeros({1, 10, 20, 1}, -20);
  SetCell(&sides8, &scores8, 40, 2, 3, {1, 2, 3, 4}, 2);
  SetCell(&sides16, &scores16, 20, 5, 10, {2, 1, 2, 1}, 4);
  std::vector<Detection> found;
  const cv::Size input(320, 160);
  ASSERT_TRUE(DecodeYolo8Heads({scores8, sides8, sides16, scores16}, input, true, {}, &found).ok());
  ASSERT_EQ(found.size(), 2u);
  EXPECT_NEAR(found[0].score, 1 / (1 + std::exp(-4.0F)), 1e-5F);
  ExpectBox(found[0], 8.5F * 16, 4.5F * 16, 12.5F * 16, 6.5F * 16);
  ExpectBox(found[1], 2.5F * 8, 0.5F * 8, 6.5F * 8, 6.5F * 8);
  EXPECT_TRUE(
      absl::IsInvalidArgument(DecodeYolo8Heads({sides8, scores16}, input, true, {}, &found)));
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeYolo8Heads({scores8}, input, true, {}, &found)));
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeYolo8Heads({}, input, true, {}, &found)));
}

TEST(Yolo8, OneTensorOfRows) {
  Tensor output = Zeros({1, 6, 3});
  const float rows[6][3] = {{50, 52, 200}, {60, 60, 100},   {20, 20, 40},
                            {10, 10, 30},  {.5F, .6F, .1F}, {.1F, .2F, .8F}};
  for (size_t row = 0; row < 6; ++row) std::copy_n(rows[row], 3, &output.values[row * 3]);
  std::vector<Detection> found;
  ASSERT_TRUE(DecodeYolo8(output, {}, &found).ok());
  ASSERT_EQ(found.size(), 2u);  // Of the two that are nearly one, the better.
  ExpectBox(found[0], 180, 85, 220, 115);
  EXPECT_EQ(found[0].label, 1);
  ExpectBox(found[1], 42, 55, 62, 65);
  output.shape.sizes = {1, 6, 4};
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeYolo8(output, {}, &found)));
}

TEST(TinyYolo4, UsesTheAnchorsOfItsStride) {
  Tensor coarse = Zeros({13, 13, 18}, -20);
  Tensor fine = Zeros({1, 26, 26, 18}, -20);
  // The middle of cell (6, 4), its second anchor, as large as the anchor.
  float* cell = &coarse.values[(6 * 13 + 4) * 18 + 6];
  std::fill_n(cell, 4, 0.0F);
  cell[4] = cell[5] = 10;
  cell = &fine.values[(20 * 26 + 25) * 18];
  std::fill_n(cell, 4, 0.0F);
  cell[4] = cell[5] = 5;
  std::vector<Detection> found;
  const cv::Size input(416, 416);
  const auto decode = [&](const std::vector<Tensor>& outputs, TinyAnchors anchors) {
    return DecodeTinyYolo4(outputs, input, anchors, {}, &found);
  };
  ASSERT_TRUE(decode({fine, coarse}, TinyAnchors::kAuthors).ok());
  ASSERT_EQ(found.size(), 2u);
  ExpectBox(found[0], 4.5F * 32 - 67.5F, 6.5F * 32 - 84.5F, 4.5F * 32 + 67.5F, 6.5F * 32 + 84.5F);
  ExpectBox(found[1], 25.5F * 16 - 11.5F, 20.5F * 16 - 13.5F, 25.5F * 16 + 11.5F,
            20.5F * 16 + 13.5F);
  // Hailo's detector of plates has smaller ones in the fine grid.
  ASSERT_TRUE(decode({fine, coarse}, TinyAnchors::kHailoPlates).ok());
  ASSERT_EQ(found.size(), 2u);
  ExpectBox(found[0], 4.5F * 32 - 67.5F, 6.5F * 32 - 84.5F, 4.5F * 32 + 67.5F, 6.5F * 32 + 84.5F);
  ExpectBox(found[1], 25.5F * 16 - 5, 20.5F * 16 - 7, 25.5F * 16 + 5, 20.5F * 16 + 7);
  for (const std::vector<int>& sizes : {std::vector{13, 13, 15}, {10, 10, 18}, {13, 13}, {}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(decode({Zeros(sizes)}, TinyAnchors::kAuthors)));
  }
}

// Fractions, not logits, but for the scales.
TEST(TinyYolo4, InPartsItHasBeenThroughItsSigmoids) {
  const auto part = [](const char* name, int channels) {
    Tensor tensor = Zeros({1, 13, 13, channels});
    tensor.name = name;
    return tensor;
  };
  std::vector<Tensor> parts = {part("net/conv19_probs", 6), part("net/conv19_obj", 3),
                               part("net/conv19_centers", 6), part("net/conv19_scales", 6)};
  const size_t cell = 6 * 13 + 4;  // And the third anchor.
  parts[0].values[cell * 6 + 5] = 0.8F;
  parts[1].values[cell * 3 + 2] = 0.5F;
  parts[2].values[cell * 6 + 4] = 0.25F;
  parts[2].values[cell * 6 + 5] = 1;
  parts[3].values[cell * 6 + 4] = std::log(0.5F);
  const cv::Size input(416, 416);
  std::vector<Detection> found;
  const auto decode = [&] {
    return DecodeTinyYolo4(parts, input, TinyAnchors::kHailoPlates, {}, &found);
  };
  ASSERT_TRUE(decode().ok());
  ASSERT_EQ(found.size(), 1u);
  EXPECT_FLOAT_EQ(found[0].score, 0.4F);
  EXPECT_EQ(found[0].label, 1);
  const float x = (4 + 0.25F * 1.05F - 0.025F) * 32;
  const float y = (6 + 1.025F) * 32;
  ExpectBox(found[0], x - 86, y - 159.5F, x + 86, y + 159.5F);
  parts[0].shape.sizes = {1, 13, 13, 5};  // Not of three anchors.
  parts[0].values.resize(13 * 13 * 5);
  EXPECT_TRUE(absl::IsInvalidArgument(decode()));
  parts[0] = part("net/conv19_scales", 6);  // Twice, and no classes.
  EXPECT_TRUE(absl::IsInvalidArgument(decode()));
  parts.erase(parts.begin());
  EXPECT_TRUE(absl::IsInvalidArgument(decode()));
}

TEST(Decoders, NumbersThatAreNoneDoNoHarm) {
  std::mt19937 random(11);
  const float hostile[] = {kNan, INFINITY, -INFINITY, 1e38F, -1e38F, 0, 1};
  const auto fill = [&](Tensor tensor) {
    for (float& value : tensor.values) value = hostile[random() % 7];
    return tensor;
  };
  std::vector<Detection> found;
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(DecodeYolo8(fill(Zeros({1, 6, 30})), {}, &found).ok());
    const cv::Size input(64, 64);
    EXPECT_TRUE(
        DecodeYolo8Heads({fill(Zeros({8, 8, 64})), fill(Zeros({8, 8, 3}))}, input, true, {}, &found)
            .ok());
    EXPECT_TRUE(DecodeTinyYolo4({fill(Zeros({2, 2, 18}))}, input, {}, {}, &found).ok());
    for (const Detection& one : found) EXPECT_TRUE(std::isfinite(one.box.area()));
  }
}

}  // namespace
}  // namespace viaduct::hailo_lpr
