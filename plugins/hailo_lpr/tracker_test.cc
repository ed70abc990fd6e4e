#include "plugins/hailo_lpr/tracker.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace viaduct::hailo_lpr {
namespace {

constexpr int64_t kFrameNs = 40'000'000;

Reading Read(const std::string& text, float confidence) {
  Reading reading;
  for (const char c : text) reading.characters.push_back({std::string(1, c), confidence});
  reading.confidence = confidence;
  return reading;
}

Sighting At(float x, float y, const std::string& text, float confidence = 0.9F, float quality = 1) {
  Sighting sighting;
  sighting.plate.box = {x, y, x + 80, y + 20};
  sighting.reading = Read(text, confidence);
  sighting.quality = quality;
  return sighting;
}

class TrackerTest : public ::testing::Test {
 protected:
  void Show(const std::vector<Sighting>& sightings) {
    for (Pass& pass : tracker_.Update(now_ns_ += kFrameNs, sightings)) passes_.push_back(pass);
  }
  void ShowNothing(int frames) {
    for (int i = 0; i < frames; ++i) Show({});
  }

  TrackerOptions options_;
  Tracker tracker_{options_};
  int64_t now_ns_ = 1'700'000'000'000'000'000;
  std::vector<Pass> passes_;
};

TEST_F(TrackerTest, TellsAPassOnceWhenItHasEnded) {
  for (int i = 0; i < 20; ++i) Show({At(100 + 10.0F * static_cast<float>(i), 200, "ABC123")});
  EXPECT_TRUE(passes_.empty());
  const int64_t last = now_ns_;
  ShowNothing(60);
  ASSERT_EQ(passes_.size(), 1u);
  const Pass& pass = passes_[0];
  EXPECT_EQ(pass.reading.text(), "ABC123");
  EXPECT_GT(pass.reading.confidence, 0.9F);
  EXPECT_EQ(pass.seen, 20);
  EXPECT_EQ(pass.last_ns, last);
  EXPECT_EQ(pass.first_ns, last - 19 * kFrameNs);
  EXPECT_NEAR(pass.moved_x, 9.5F, 0.1F);
  EXPECT_EQ(tracker_.tracks(), 0u);
}

TEST_F(TrackerTest, PicturesAgreeOnWhatHardlyOneOfThemHas) {
  const char* const readings[] = {"8BC123", "A8C123", "ABO123", "ABC1Z3", "ABC128",
                                  "ABC7Z3", "A8C123", "XBC123", "ABCI23"};
  float x = 0;
  for (const char* text : readings) Show({At(x += 5, 50, text, 0.6F)});
  ShowNothing(60);
  ASSERT_EQ(passes_.size(), 1u);
  EXPECT_EQ(passes_[0].reading.text(), "ABC123");
  EXPECT_EQ(passes_[0].alternatives.size(), Tracker::kMostAlternatives);
}

TEST_F(TrackerTest, TellsTwoCarsSideBySideApartAlsoWhereTheyCross) {
  for (int i = 0; i < 40; ++i) {
    const float x = 8.0F * static_cast<float>(i);
    Show({At(100 + x, 200, "LEFT11"), At(420 - x, 215, "RIGHT2")});
  }
  ShowNothing(60);
  ASSERT_EQ(passes_.size(), 2u);
  EXPECT_EQ(passes_[0].seen + passes_[1].seen, 80);
  EXPECT_NE(passes_[0].reading.text(), passes_[1].reading.text());
  EXPECT_GT(passes_[0].moved_x * passes_[1].moved_x, -1000);
  EXPECT_LT(passes_[0].moved_x * passes_[1].moved_x, 0);
}

TEST_F(TrackerTest, GapsInWhatTheDetectorFindsAreOnePass) {
  std::mt19937 random(7);
  for (int i = 0; i < 50; ++i) {
    if (random() % 3 == 0) {
      Show({});
    } else {
      Show({At(20.0F * static_cast<float>(i), 100 + 3.0F * static_cast<float>(i), "GAP999")});
    }
  }
  ShowNothing(60);
  ASSERT_EQ(passes_.size(), 1u);
  EXPECT_EQ(passes_[0].reading.text(), "GAP999");
}

TEST_F(TrackerTest, WhatStandsStillIsToldOnceAndNotAgainWhenItHasLeftAndComesBack) {
  for (int i = 0; i < 1'000; ++i) Show({At(100, 100, "PARKED")});
  EXPECT_EQ(passes_.size(), 1u);  // While it still stands there.
  ShowNothing(100);               // Four seconds.
  for (int i = 0; i < 10; ++i) Show({At(300, 100, "PARKED")});
  ShowNothing(60);
  EXPECT_EQ(passes_.size(), 1u);
  EXPECT_EQ(tracker_.counters().repeats, 1u);
  ShowNothing(500);  // It is away for longer than again_after.
  for (int i = 0; i < 10; ++i) Show({At(300, 100, "PARKED")});
  ShowNothing(60);
  EXPECT_EQ(passes_.size(), 2u);
}

TEST_F(TrackerTest, DoubtIsNotTold) {
  Show({At(100, 100, "ONCE11", 0.99F)});
  ShowNothing(60);
  for (int i = 0; i < 10; ++i) Show({At(100, 100, "", 0)});
  ShowNothing(60);
  Show({At(100, 100, "ABC123", 0.1F)});
  Show({At(100, 100, "XYZ789", 0.1F)});
  ShowNothing(60);
  EXPECT_TRUE(passes_.empty());
  EXPECT_EQ(tracker_.counters().doubtful, 3u);
}

TEST_F(TrackerTest, KeepsTheBestPictureThatHasTheText) {
  Show({At(100, 100, "ABC123", 0.9F, 1)});
  Show({At(102, 100, "ABC123", 0.9F, 5)});
  Show({At(104, 100, "A8C123", 0.3F, 9)});
  Show({At(106, 100, "ABC123", 0.9F, 3)});
  ShowNothing(60);
  ASSERT_EQ(passes_.size(), 1u);
  EXPECT_EQ(passes_[0].best.quality, 5);
  EXPECT_EQ(passes_[0].best.plate.box.left, 102);
}

TEST_F(TrackerTest, EndsAllWithTheSource) {
  for (int i = 0; i < 5; ++i) Show({At(100, 100, "ABC123"), At(100, 400, "DEF456")});
  EXPECT_EQ(tracker_.Flush().size(), 2u);
  EXPECT_EQ(tracker_.tracks(), 0u);
}

TEST_F(TrackerTest, WhatStandsStillIsNotToldAgainWhenTheCameraWasLost) {
  for (int i = 0; i < 1'000; ++i) Show({At(100, 100, "PARKED")});
  ASSERT_EQ(passes_.size(), 1u);
  EXPECT_TRUE(tracker_.Flush().empty());
  for (int i = 0; i < 10; ++i) Show({At(100, 100, "PARKED")});
  ShowNothing(60);
  EXPECT_EQ(passes_.size(), 1u);
  EXPECT_EQ(tracker_.counters().repeats, 1u);
}

TEST_F(TrackerTest, AClockThatIsSetBackHoldsNothingUp) {
  for (int i = 0; i < 10; ++i) Show({At(100, 100, "BEFORE")});
  now_ns_ -= 3'600'000'000'000;
  for (int i = 0; i < 10; ++i) Show({At(500, 500, "AFTER1")});
  ASSERT_EQ(passes_.size(), 1u);  // Told when the clock was set.
  EXPECT_EQ(passes_[0].reading.text(), "BEFORE");
  ShowNothing(60);
  ASSERT_EQ(passes_.size(), 2u);
  EXPECT_EQ(passes_[1].reading.text(), "AFTER1");
  // Not for an hour is it the same pass.
  ShowNothing(500);
  for (int i = 0; i < 10; ++i) Show({At(100, 100, "BEFORE")});
  ShowNothing(60);
  EXPECT_EQ(passes_.size(), 3u);
}

// What an EXIF header or a request may say.
TEST_F(TrackerTest, OnePictureOfAFarTimeHoldsNothingUp) {
  for (const int64_t far : {INT64_MAX, INT64_MIN, int64_t{0}}) {
    EXPECT_TRUE(tracker_.Update(far, {At(900, 900, "FARAWAY")}).empty());
    const size_t before = passes_.size();
    const std::string text = "NOW" + std::to_string(before);
    for (int i = 0; i < 10; ++i) Show({At(100, 100, text)});
    ShowNothing(60);
    ASSERT_EQ(passes_.size(), before + 1);
    EXPECT_EQ(passes_.back().reading.text(), text);
  }
}

TEST_F(TrackerTest, NoiseIsBounded) {
  std::mt19937 random(3);
  for (int i = 0; i < 300; ++i) {
    std::vector<Sighting> many;
    for (int k = 0; k < 200; ++k) {
      many.push_back(At(static_cast<float>(random() % 5000), static_cast<float>(random() % 5000),
                        std::to_string(random()), 0.4F));
    }
    Show(many);
    ASSERT_LE(tracker_.tracks(), Tracker::kMostTracks);
  }
}

TEST(Vote, TheProvinceIsTheOneThatMostOfTheBeliefIsIn) {
  Vote vote;
  const auto add = [&](const std::string& province, float confidence) {
    Reading reading = Read("1234", 0.9F);
    reading.province = province;
    reading.province_confidence = confidence;
    vote.Add(reading);
  };
  add("", 0.4F);
  EXPECT_EQ(vote.Result().province, "");
  add("Tak", 0.95F);
  EXPECT_EQ(vote.Result().province, "Tak");
  EXPECT_FLOAT_EQ(vote.Result().province_confidence, 0.95F);
  add("Loei", 0.6F);
  add("Loei", 0.7F);
  EXPECT_EQ(vote.Result().province, "Loei");
  EXPECT_LT(vote.Result().province_confidence, 0.7F);
  for (size_t i = 0; i < 3 * Vote::kMostTexts; ++i) add("name " + std::to_string(i), 0.1F);
  EXPECT_EQ(vote.Result().province, "Loei");
}

}  // namespace
}  // namespace viaduct::hailo_lpr
