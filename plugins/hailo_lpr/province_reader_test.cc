#include "plugins/hailo_lpr/province_reader.h"

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "opencv2/imgproc.hpp"
#include "plugins/hailo_lpr/opencv_runner.h"
#include "plugins/hailo_lpr/papers.h"
#include "plugins/hailo_lpr/plate_reader.h"

namespace viaduct::hailo_lpr {
namespace {

std::string Facts() { return std::string(HAILO_LPR_MODELS) + "/province.yaml"; }

std::unique_ptr<ProvinceReader> Load(float reject_below) {
  auto options = ProvinceOptions::Load(Facts());
  EXPECT_TRUE(options.ok()) << options.status();
  options->reject_below = reject_below;
  auto runner =
      OpenCvRunner::Load(std::string(HAILO_LPR_MODELS) + "/province.onnx", options->input);
  EXPECT_TRUE(runner.ok()) << runner.status();
  return std::make_unique<ProvinceReader>(*std::move(runner), *std::move(options));
}

TEST(ProvinceOptions, HasTheNamesOfTheRegister) {
  const auto options = ProvinceOptions::Load(Facts());
  ASSERT_TRUE(options.ok()) << options.status();
  ASSERT_EQ(options->names.size(), 78u);
  EXPECT_EQ(options->names[0], "กรุงเทพมหานคร");
  EXPECT_EQ(options->names[77], "เบตง");
  EXPECT_EQ(options->input.sizes, (std::vector<int>{1, 1, 32, 160}));
  EXPECT_GT(options->reject_below, 0);
}

TEST(ProvinceOptions, SaysWhatIsWrongWithAFile) {
  EXPECT_TRUE(absl::IsNotFound(ProvinceOptions::Load("/nowhere/province.yaml").status()));
  const std::string path = ::testing::TempDir() + "/province_bad.yaml";
  const std::string good = "width: 160\nheight: 32\ntemperature: 1\nreject_below: 0.5\n";
  for (const std::string& text :
       {std::string(), good, good + "names: []\n", good + "names: 7\n",
        std::string("width: 160\nheight: 32\ntemperature: 0\nreject_below: 0\nnames: [a]\n"),
        std::string("width: wide\n"),
        std::string("width: 0\nheight: 32\ntemperature: 1\nreject_below: 0\nnames: [a]\n"),
        std::string(ProvinceOptions::kMaxFileBytes + 1, '#'), std::string("{"),
        std::string("[[[")}) {
    std::ofstream(path, std::ios::binary) << text;
    EXPECT_TRUE(absl::IsInvalidArgument(ProvinceOptions::Load(path).status()))
        << text.substr(0, 80);
  }
}

// A plate as a Thai one is laid out: a line of characters, a shorter line of smaller words below.
cv::Mat TwoLines(int ink, int paper, cv::Rect* words) {
  cv::Mat picture(200, 400, CV_8UC1, cv::Scalar(90));
  cv::rectangle(picture, cv::Rect(60, 40, 280, 124), cv::Scalar(paper), -1);
  for (int i = 0; i < 6; ++i) {
    cv::rectangle(picture, cv::Rect(80 + i * 42, 56, 24, 50), cv::Scalar(ink), 6);
  }
  int base = 0;
  const cv::Size size = cv::getTextSize("KrabNanat", cv::FONT_HERSHEY_SIMPLEX, 1, 2, &base);
  *words = {200 - size.width / 2, 122, size.width, size.height};
  cv::putText(picture, "KrabNanat", cv::Point(words->x, words->y + size.height),
              cv::FONT_HERSHEY_SIMPLEX, 1, cv::Scalar(ink), 2, cv::LINE_AA);
  return picture;
}

Detection FirstLine() {
  Detection line;
  const float margin = kLineMargin * 50;
  line.box = {80 - margin, 56 - margin, 80 + 5 * 42 + 24 + margin, 106 + margin};
  return line;
}

TEST(LinesBelow, FindsTheWordsBelowALine) {
  for (const auto& [ink, paper] : {std::pair(20, 230), std::pair(230, 30), std::pair(60, 100)}) {
    cv::Rect words;
    const cv::Mat picture = TwoLines(ink, paper, &words);
    const std::vector<cv::Mat> found = LinesBelow(picture, FirstLine(), nullptr);
    ASSERT_FALSE(found.empty());
    EXPECT_NEAR(found[0].rows, words.height, 10) << ink;
    EXPECT_NEAR(found[0].cols, words.width, 26) << ink;
  }
}

TEST(LinesBelow, LooksAboveTheNextLineOnly) {
  cv::Rect words;
  const cv::Mat picture = TwoLines(20, 230, &words);
  Detection next = FirstLine();
  next.box = Moved(next.box, 0, 100);  // Its characters begin at 156.
  ASSERT_FALSE(LinesBelow(picture, FirstLine(), &next).empty());
  for (const cv::Mat& crop : LinesBelow(picture, FirstLine(), &next)) EXPECT_LE(crop.rows, 50);
  next.box = Moved(FirstLine().box, 0, 60);  // No room between the two.
  EXPECT_TRUE(LinesBelow(picture, FirstLine(), &next).empty());
}

TEST(LinesBelow, LivesWithTheEdgeOfThePicture) {
  cv::Rect words;
  const cv::Mat picture = TwoLines(20, 230, &words);
  for (const int rows : {200, 150, 125, 110, 107, 60, 57}) {
    const cv::Mat cut = picture.rowRange(0, rows);
    for (const cv::Mat& crop : LinesBelow(cut, FirstLine(), nullptr)) EXPECT_FALSE(crop.empty());
  }
  EXPECT_TRUE(LinesBelow(cv::Mat(4, 4, CV_8UC1, cv::Scalar(0)), FirstLine(), nullptr).empty());
}

TEST(ProvinceVotes, WhatSeveralCropsSayComesBeforeWhatOneSays) {
  ProvinceVotes votes(4);
  votes.Add({0.1F, 0.7F, 0.2F, 0});
  votes.Add({0.2F, 0.1F, 0.6F, 0.1F});
  votes.Add({0.3F, 0.1F, 0.6F, 0});
  EXPECT_EQ(votes.best(), 2u);
  EXPECT_LT(votes.confidence(), 0.6F);  // They do not agree.
  EXPECT_GT(votes.confidence(), 0.3F);
  EXPECT_FALSE(votes.IsCertain());
  votes.Add({0, 0, 0.995F, 0.005F});
  EXPECT_TRUE(votes.IsCertain());
}

TEST(ProvinceVotes, OneThatIsSureComesBeforeSeveralThatAreNot) {
  ProvinceVotes votes(3);
  votes.Add({0.1F, 0, 0.9F});
  for (int i = 0; i < 3; ++i) votes.Add({0.6F, 0.35F, 0.05F});
  EXPECT_EQ(votes.best(), 2u);
}

TEST(ProvinceVotes, NoneOfThemIsNoVote) {
  ProvinceVotes votes(3);
  EXPECT_EQ(votes.best(), 0u);
  EXPECT_EQ(votes.confidence(), 0);
  for (int i = 0; i < 5; ++i) votes.Add({0.99F, 0.01F, 0});
  EXPECT_LT(votes.confidence(), 0.02F);
  votes.Add({0.05F, 0, 0.95F});
  EXPECT_EQ(votes.best(), 2u);
  EXPECT_GT(votes.confidence(), 0.9F);
}

// Crops of several cuts of the words of an outline, without its empty sides, before those below
// its line.
TEST(WordsOf, CutsTheWordsOfAnOutlineInSeveralWays) {
  cv::Rect words;
  const cv::Mat picture = TwoLines(20, 230, &words);
  Paper paper;
  paper.box = {60, 40, 340, 164};
  paper.characters = 6;
  const std::vector<Detection> plates = JoinPapers({paper}, {});
  ASSERT_EQ(plates.size(), 1u);
  const std::vector<cv::Mat> found = WordsOf(picture, plates[0]);
  ASSERT_GE(found.size(), 4u);
  for (const cv::Mat& crop : found) EXPECT_NEAR(crop.cols, words.width, 48);
}

TEST(ProvinceReader, GivesNothingWhereNothingIs) {
  const auto reader = Load(0.5F);
  Province province;
  province.name = "left over";
  ASSERT_TRUE(reader->ReadCrop(cv::Mat(), &province).ok());
  EXPECT_EQ(province.name, "");
  ASSERT_TRUE(reader->ReadCrop(cv::Mat(20, 100, CV_8UC1, cv::Scalar(128)), &province).ok());
  EXPECT_EQ(province.name, "");
  ASSERT_TRUE(
      reader->Read(cv::Mat(200, 400, CV_8UC3, cv::Scalar::all(200)), FirstLine(), &province).ok());
  EXPECT_EQ(province.name, "");
}

TEST(ProvinceReader, KeepsWhatIsNotCertainEnough) {
  const auto open = Load(0);
  const auto closed = Load(1.1F);
  cv::Mat noise(30, 150, CV_8UC1);
  cv::RNG random(1);
  Province seen;
  for (int i = 0; i < 50 && seen.name.empty(); ++i) {
    random.fill(noise, cv::RNG::UNIFORM, 0, 256);
    ASSERT_TRUE(open->ReadCrop(noise, &seen).ok());
  }
  Province kept;
  ASSERT_TRUE(closed->ReadCrop(noise, &kept).ok());
  EXPECT_EQ(kept.name, "");
  EXPECT_EQ(kept.confidence, seen.confidence);
}

}  // namespace
}  // namespace viaduct::hailo_lpr
