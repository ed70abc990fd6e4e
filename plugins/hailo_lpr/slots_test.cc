#include "plugins/hailo_lpr/slots.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "plugins/hailo_lpr/ctc.h"

namespace viaduct::hailo_lpr {
namespace {

const SlotOptions kOptions = {{"A", "B", "_"}, "_"};

Tensor Output(std::vector<float> values, std::vector<int> sizes) {
  Tensor output;
  output.name = "plate";
  output.shape.sizes = std::move(sizes);
  output.values = std::move(values);
  return output;
}

TEST(Slots, TheLikeliestFirstAndWithoutWhatFillsUp) {
  std::vector<Reading> readings;
  const std::vector<float> values = {.9F, .1F, 0, .2F, .8F, 0, 0, 0, 1};
  for (const std::vector<int>& sizes :
       {std::vector<int>{1, 3, 3}, std::vector<int>{1, 9}, std::vector<int>{1, 1, 3, 3}}) {
    ASSERT_TRUE(DecodeSlots(Output(values, sizes), kOptions, &readings).ok());
    ASSERT_EQ(readings.size(), 4U);
    EXPECT_EQ(readings[0].text(), "AB");
    EXPECT_FLOAT_EQ(readings[0].confidence, .72F);
    EXPECT_FLOAT_EQ(readings[0].characters[1].confidence, .8F);
    EXPECT_EQ(readings[1].text(), "AA");
    EXPECT_EQ(readings[3].text(), "BA");
  }
}

TEST(Slots, OneTextThatFillsUpInTwoPlacesIsOne) {
  std::vector<Reading> readings;
  ASSERT_TRUE(DecodeSlots(Output({.6F, 0, .4F, .6F, 0, .4F}, {1, 2, 3}), kOptions, &readings).ok());
  ASSERT_EQ(readings.size(), 2U);
  EXPECT_EQ(readings[0].text(), "A");
  EXPECT_FLOAT_EQ(readings[0].confidence, .48F);
  EXPECT_EQ(readings[1].text(), "AA");
}

TEST(Slots, NothingIsTheLikeliestOrLeftOut) {
  std::vector<Reading> readings;
  ASSERT_TRUE(DecodeSlots(Output({.3F, 0, .7F}, {1, 1, 3}), kOptions, &readings).ok());
  ASSERT_EQ(readings.size(), 2U);
  EXPECT_EQ(readings[0].text(), "");
  EXPECT_EQ(readings[0].confidence, 0);
  ASSERT_TRUE(DecodeSlots(Output({.7F, 0, .3F}, {1, 1, 3}), kOptions, &readings).ok());
  ASSERT_EQ(readings.size(), 1U);
}

TEST(Slots, AreBounded) {
  std::vector<Reading> readings;
  ASSERT_TRUE(
      DecodeSlots(Output(std::vector<float>(96, .3F), {1, 32, 3}), kOptions, &readings).ok());
  EXPECT_EQ(readings.size(), kMostReadings);
  for (const auto& output :
       {Output(std::vector<float>(99, .3F), {1, 33, 3}), Output({.1F, .2F}, {1, 2}), Output({}, {}),
        Output({.5F}, {}), Output({}, {1, 0, 3}), Output({.1F, .2F, .7F}, {3, 1}),
        Output({2, 0, 0}, {1, 3}), Output({-1, 0, 0}, {1, 3}), Output({.1F, .2F, .7F}, {1, 6}),
        Output({std::numeric_limits<float>::quiet_NaN(), 0, 0}, {1, 3})}) {
    EXPECT_TRUE(absl::IsInvalidArgument(DecodeSlots(output, kOptions, &readings)));
    EXPECT_TRUE(readings.empty());
  }
}

}  // namespace
}  // namespace viaduct::hailo_lpr
