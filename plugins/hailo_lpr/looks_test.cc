#include "plugins/hailo_lpr/looks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "absl/status/status.h"

namespace viaduct::hailo_lpr {
namespace {

using ::testing::FloatNear;

Reading Says(const std::string& text, float confidence) {
  Reading reading;
  for (const char c : text) reading.characters.push_back({std::string(1, c), confidence});
  reading.confidence = confidence;
  return reading;
}

Reading Doubtful() { return Says("1", 0.5F); }

// Says one thing after the other, and remembers where it was to look.
class Script final : public Recogniser {
 public:
  explicit Script(std::vector<std::vector<Reading>> says) : says_(std::move(says)) {}
  absl::Status Read(const cv::Mat& /*picture*/, const Detection& plate,
                    std::vector<Reading>* readings) override {
    asked.push_back(plate);
    if (asked.size() > says_.size()) return absl::InternalError("nothing more to say");
    *readings = says_[asked.size() - 1];
    return absl::OkStatus();
  }
  std::vector<Detection> asked;

 private:
  const std::vector<std::vector<Reading>> says_;
};

std::map<std::string, float> Told(const std::vector<Reading>& readings) {
  std::map<std::string, float> told;
  for (const Reading& reading : readings) told[reading.text()] = reading.confidence;
  return told;
}

TEST(LooksTest, WhatMostLooksSayComesBeforeWhatOneIsSureOf) {
  Script reader({{Says("AB12", 0.8F)}, {Says("AB12", 0.6F), Says("A812", 0.3F)}, {}});
  std::vector<Reading> readings = {Says("A812", 0.9F)};
  ASSERT_TRUE(LookAgain({}, {{0, 0, 100, 25}}, &reader, &readings).ok());
  ASSERT_EQ(readings.size(), 2u);
  EXPECT_EQ(readings[0].text(), "AB12");
  EXPECT_THAT(Told(readings)["AB12"], FloatNear(1.4F / 4, 1e-5F));
  EXPECT_THAT(Told(readings)["A812"], FloatNear(1.2F / 4, 1e-5F));
}

TEST(LooksTest, TurnsTheLineAndKeepsItsHeight) {
  Script reader({{Doubtful()}, {Doubtful()}, {Doubtful()}});
  Detection plate = {{100, 50, 200, 80}};
  plate.slope = 0.05F;
  std::vector<Reading> readings = {Doubtful()};
  ASSERT_TRUE(LookAgain({}, plate, &reader, &readings).ok());
  ASSERT_EQ(reader.asked.size(), kMoreLooks);
  EXPECT_GT(reader.asked[0].slope, plate.slope);
  EXPECT_LT(reader.asked[1].slope, plate.slope);
  EXPECT_GT(reader.asked[2].box.top, plate.box.top);
  for (const Detection& look : reader.asked) {
    EXPECT_THAT(look.box.height() - std::abs(look.slope) * look.box.width(), FloatNear(25, 1e-3F));
    EXPECT_THAT(look.box.width(), FloatNear(100, 1e-3F));
  }
}

TEST(LooksTest, EndsWhereAnotherLookWouldChangeNothing) {
  for (const float next : {1.0F, 0.0F}) {
    Script reader({{Says("AB12", next)}, {Says("AB12", next)}, {Says("AB12", next)}});
    std::vector<Reading> readings = {Says("AB12", next > 0 ? 0.95F : 0.5F)};
    ASSERT_TRUE(LookAgain({}, {{0, 0, 100, 25}}, &reader, &readings).ok());
    EXPECT_EQ(reader.asked.size(), 1u) << next;
    EXPECT_THAT(Told(readings)["AB12"], FloatNear(next > 0 ? 0.975F : 0.25F, 1e-5F));
  }
}

TEST(LooksTest, EachOfStackedLinesIsCutOtherwise) {
  Script reader({{Doubtful()}, {Doubtful()}, {Doubtful()}});
  Detection plate = {{0, 0, 100, 60}};
  plate.lines = {Detection{{0, 0, 100, 30}}, Detection{{0, 30, 100, 60}}};
  std::vector<Reading> readings = {Doubtful()};
  ASSERT_TRUE(LookAgain({}, plate, &reader, &readings).ok());
  for (const Detection& look : reader.asked) {
    ASSERT_EQ(look.lines.size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_TRUE(look.lines[i].slope != 0 || look.lines[i].box.top != plate.lines[i].box.top);
    }
  }
}

TEST(LooksTest, AnErrorOfTheReaderIsTold) {
  Script reader({{Says("1", 0.5F)}});
  std::vector<Reading> readings = {Says("1", 0.5F)};
  EXPECT_EQ(LookAgain({}, {{0, 0, 100, 25}}, &reader, &readings).code(),
            absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace viaduct::hailo_lpr
