#include "host/eval/score.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace viaduct::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr Box kHere = {100, 100, 200, 140};
constexpr Box kElsewhere = {400, 300, 500, 340};

TruePicture Picture(std::vector<TruePlate> plates) { return {"/p", "p", std::move(plates)}; }

Candidate Read(const Box& box, const std::string& text, double confidence, bool accepted = true) {
  return {box, 1, accepted, {{text, confidence, "", ""}}};
}

TEST(Score, AReadingIsExactEqualOrWrong) {
  for (const auto& [text, exact, equal] : std::vector<std::tuple<std::string, int, int>>{
           {"AB10", 1, 1}, {"ABIO", 0, 1}, {"AB11", 0, 0}, {"", 0, 0}}) {
    Tally tally;
    Answer answer;
    answer.candidates = {Read(kHere, text, 0.9)};
    Compare(Picture({{kHere, "AB10", ""}}), answer, &tally);
    EXPECT_EQ(tally.exact, static_cast<uint64_t>(exact)) << text;
    EXPECT_EQ(tally.equal, static_cast<uint64_t>(equal)) << text;
    EXPECT_EQ(tally.told_right, static_cast<uint64_t>(equal)) << text;
    EXPECT_EQ(tally.plates, 1u);
    EXPECT_EQ(tally.found_five, 1u);
  }
}

TEST(Score, TheBestIsAmongAsManyCandidatesAsThereArePlates) {
  Answer answer;
  answer.candidates = {Read(kElsewhere, "XX", 0.1), Read(kHere, "AB10", 0.9)};
  Tally tally;
  Compare(Picture({{kHere, "AB10", ""}}), answer, &tally);
  EXPECT_EQ(tally.found_best, 0u);
  EXPECT_EQ(tally.found_five, 1u);
  Compare(Picture({{kHere, "AB10", ""}, {kElsewhere, "XX", ""}}), answer, &tally);
  EXPECT_EQ(tally.found_best, 2u);
}

TEST(Score, WhatIsToldWhereNoPlateIsIsFalse) {
  Answer answer;
  answer.candidates = {Read(kElsewhere, "TAXI", 0.95), Read({0, 0, 50, 20}, "BAR", 0.4, false)};
  Tally tally;
  const PictureVerdict verdict = Compare(Picture({}), answer, &tally);
  EXPECT_EQ(tally.false_plates, 1u);
  EXPECT_EQ(tally.false_readings, 2u);
  EXPECT_THAT(verdict.false_plates, ElementsAre("TAXI"));
  EXPECT_EQ(tally.bands[0].readings, 1u);
  EXPECT_EQ(tally.bands[4].readings, 1u);  // 0.9 to 0.95.
  EXPECT_EQ(tally.bands[4].right, 0u);
}

TEST(Score, OfTwoReadingsOfAPlateTheOneThatIsToldCounts) {
  Answer answer;
  answer.candidates = {Read(kHere, "AB11", 0.99, false), Read({105, 102, 199, 139}, "AB10", 0.9)};
  Tally tally;
  const PictureVerdict verdict = Compare(Picture({{kHere, "AB10", ""}}), answer, &tally);
  EXPECT_EQ(tally.exact, 1u);
  ASSERT_THAT(verdict.plates, SizeIs(1));
  EXPECT_TRUE(verdict.plates[0].told);
}

TEST(Score, AReadingThatAGrammarHasComesBeforeOthers) {
  Answer answer;
  answer.candidates = {Read(kHere, "AB10", 0.5, false), Read(kHere, "B10", 0.8, false)};
  answer.candidates[0].readings[0].grammar = "xx";
  Tally tally;
  Compare(Picture({{kHere, "AB10", ""}}), answer, &tally);
  EXPECT_EQ(tally.exact, 1u);
}

TEST(Score, ALineOfAPlateBelongsToItAlthoughTheBoxesAreNotAlike) {
  Answer answer;  // The upper third of a stacked plate: no detection, but a reading of it.
  answer.candidates = {Read({110, 100, 190, 115}, "AB1", 0.9)};
  Tally tally;
  Compare(Picture({{{100, 95, 200, 160}, "AB123", ""}}), answer, &tally);
  EXPECT_EQ(tally.found_five, 0u);
  EXPECT_EQ(tally.false_readings, 0u);
  EXPECT_EQ(tally.told_wrong, 1u);
  EXPECT_EQ(tally.mistakes, 2u);
  EXPECT_EQ(tally.characters, 5u);
}

TEST(Score, ProvincesCountWhereTheTextIsExact) {
  Answer answer;
  answer.candidates = {Read(kHere, "1กข12", 0.9)};
  answer.candidates[0].readings[0].province = "กระบี่";
  Tally tally;
  Compare(Picture({{kHere, "1กข12", "กระบี่"}}), answer, &tally);
  Compare(Picture({{kHere, "1กข12", "ตาก"}}), answer, &tally);
  Compare(Picture({{kHere, "1กข13", "กระบี่"}}), answer, &tally);
  EXPECT_EQ(tally.provinces, 2u);
  EXPECT_EQ(tally.province_given, 2u);
  EXPECT_EQ(tally.province_right, 1u);
}

TEST(Score, ChangesAreTheLeastAndOfWholeCharacters) {
  EXPECT_THAT(Changes("AB12", "AB12"), IsEmpty());
  EXPECT_THAT(Changes("AB12", "A812"), ElementsAre(Pair("B", "8")));
  EXPECT_THAT(Changes("AB12", "B12"), ElementsAre(Pair("A", "")));
  EXPECT_THAT(Changes("AB12", "AB1X2"), ElementsAre(Pair("", "X")));
  EXPECT_THAT(Changes("1กข", "1กค"), ElementsAre(Pair("ข", "ค")));
  EXPECT_THAT(Changes("", "AB"), SizeIs(2));
  EXPECT_THAT(Changes(std::string(10'000, 'A'), ""), SizeIs(kLongestText));
  EXPECT_THAT(Characters("\xff\xc3\x84"
                         "a"),
              ElementsAre("\xff", "Ä", "a"));
}

TEST(Score, TalliesAdd) {
  Answer answer;
  answer.candidates = {Read(kHere, "AB18", 0.9)};
  answer.stages = {{"read", 3.0}};
  Tally one;
  Compare(Picture({{kHere, "AB10", ""}}), answer, &one);
  Tally two = one;
  two.Add(one);
  EXPECT_EQ(two.plates, 2u);
  EXPECT_EQ(two.mixed.at({"0", "8"}), 2u);
  EXPECT_THAT(two.stages.at("read"), ElementsAre(3.0F, 3.0F));
  EXPECT_EQ(two.bands[3].readings, 2u);
}

}  // namespace
}  // namespace viaduct::eval
