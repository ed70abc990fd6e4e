#include "plugins/hailo_lpr/ctc.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace viaduct::hailo_lpr {
namespace {

CtcOptions Options(size_t blank = 0) {
  CtcOptions options;
  options.alphabet = {"A", "B", "ก"};
  options.blank = blank;
  options.logits = false;
  return options;
}

Tensor Table(const std::vector<std::vector<float>>& rows) {
  Tensor output;
  output.name = "out";
  output.shape.sizes = {1, static_cast<int>(rows.size()), static_cast<int>(rows[0].size())};
  for (const auto& row : rows) output.values.insert(output.values.end(), row.begin(), row.end());
  return output;
}

Tensor Steps(const std::vector<size_t>& best, float probability = 0.91F) {
  std::vector<std::vector<float>> rows;
  for (const size_t index : best) {
    rows.emplace_back(4, (1 - probability) / 3);
    rows.back()[index] = probability;
  }
  return Table(rows);
}

std::string Best(const Tensor& output, const CtcOptions& options) {
  std::vector<Reading> readings;
  EXPECT_TRUE(DecodeCtc(output, options, &readings).ok());
  return readings.empty() ? "none" : readings[0].text();
}

TEST(Ctc, RepeatsAreOneAndABlankBetweenThemMakesTwo) {
  EXPECT_EQ(Best(Steps({0, 1, 1, 0, 1, 2, 3, 3, 0}), Options()), "AABก");
  EXPECT_EQ(Best(Steps({3, 0, 0, 3, 0, 2}), Options(3)), "AAก");
  EXPECT_EQ(Best(Steps({0, 0, 0}), Options()), "");
}

// What every path together gives, path by path.
std::map<std::string, double> AllPaths(const std::vector<std::vector<float>>& rows) {
  const std::vector<std::string> names = {"", "A", "B", "ก"};
  std::map<std::string, double> sums;
  const auto count = static_cast<size_t>(std::pow(4, rows.size()));
  for (size_t path = 0; path < count; ++path) {
    std::string text;
    double probability = 1;
    size_t before = 0;
    size_t rest = path;
    for (const auto& row : rows) {
      const size_t index = rest % 4;
      rest /= 4;
      probability *= static_cast<double>(row[index]);
      if (index != 0 && index != before) text += names[index];
      before = index;
    }
    sums[text] += probability;
  }
  return sums;
}

TEST(Ctc, ConfidenceIsTheSumOverAllPaths) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 20; ++trial) {
    std::vector<std::vector<float>> rows(5, std::vector<float>(4));
    for (auto& row : rows) {
      float sum = 0;
      for (float& value : row) sum += value = static_cast<float>(random() % 1000 + 1);
      for (float& value : row) value /= sum;
    }
    const std::map<std::string, double> sums = AllPaths(rows);
    std::vector<Reading> readings;
    ASSERT_TRUE(DecodeCtc(Table(rows), Options(), &readings).ok());
    std::string likeliest;
    double most = 0;
    for (const auto& [text, sum] : sums) {
      if (sum > most) most = sum, likeliest = text;
    }
    ASSERT_FALSE(readings.empty());
    EXPECT_EQ(readings[0].text(), likeliest);
    if (likeliest.empty()) continue;
    EXPECT_NEAR(readings[0].confidence, most, 0.05 * most);  // The search drops what is rare.
  }
}

TEST(Ctc, TheSecondLikeliestIsOneCharacterAway) {
  std::vector<std::vector<float>> rows = {
      {.01F, .97F, .01F, .01F}, {.97F, .01F, .01F, .01F}, {.01F, .01F, .60F, .38F}};
  std::vector<Reading> readings;
  ASSERT_TRUE(DecodeCtc(Table(rows), Options(), &readings).ok());
  ASSERT_GE(readings.size(), 2u);
  EXPECT_LE(readings.size(), kMostReadings);
  EXPECT_EQ(readings[0].text(), "AB");
  EXPECT_EQ(readings[1].text(), "Aก");
  EXPECT_NEAR(readings[0].characters[1].confidence, .60F, 1e-5);
  EXPECT_NEAR(readings[0].characters[0].confidence, .97F, 1e-5);
}

TEST(Ctc, ClassesMayComeFirstAndLogitsHaveATemperature) {
  CtcOptions options = Options();
  options.classes_first = true;
  options.logits = true;
  Tensor output;
  output.shape.sizes = {1, 4, 1, 2};
  output.values = {0, 500, 4, 0, 0, 0, 0, 0};  // A, then nothing.
  std::vector<Reading> readings;
  ASSERT_TRUE(DecodeCtc(output, options, &readings).ok());
  EXPECT_EQ(readings[0].text(), "A");
  const double sure = std::exp(4.0) / (std::exp(4.0) + 3);
  EXPECT_NEAR(readings[0].confidence, sure, 1e-5);
  options.temperature = 2;
  ASSERT_TRUE(DecodeCtc(output, options, &readings).ok());
  EXPECT_NEAR(readings[0].confidence, std::exp(2.0) / (std::exp(2.0) + 3), 1e-5);
}

TEST(Ctc, RefusesOtherShapesAndNumbersThatAreNone) {
  std::vector<Reading> readings;
  Tensor output = Steps({1, 2});
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeCtc(output, Options(4), &readings)));
  output.shape.sizes = {2, 3};
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeCtc(output, Options(), &readings)));
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), INFINITY, -1.0F}) {
    output = Steps({1, 2});
    output.values[2] = bad;
    EXPECT_TRUE(absl::IsInvalidArgument(DecodeCtc(output, Options(), &readings))) << bad;
    CtcOptions logits = Options();
    logits.logits = true;
    if (bad == -1.0F) continue;
    EXPECT_TRUE(absl::IsInvalidArgument(DecodeCtc(output, logits, &readings))) << bad;
  }
}

}  // namespace
}  // namespace viaduct::hailo_lpr
