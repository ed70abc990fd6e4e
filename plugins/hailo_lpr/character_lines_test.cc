#include "plugins/hailo_lpr/character_lines.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "opencv2/imgproc.hpp"

namespace viaduct::hailo_lpr {
namespace {

// A street with a plate at `box`: `ink` on `paper`.
cv::Mat Scene(cv::Size size, const cv::Rect& box, const std::string& text, int ink, int paper) {
  cv::Mat scene(size, CV_8UC3, cv::Scalar::all(90));
  cv::RNG random(5);
  for (int i = 0; i < 40; ++i) {  // Bodywork, not text.
    const cv::Point at(random.uniform(0, size.width), random.uniform(0, size.height));
    cv::circle(scene, at, random.uniform(20, 90), cv::Scalar::all(random.uniform(60, 130)), -1);
  }
  cv::rectangle(scene, box, cv::Scalar::all(paper), -1);
  const double scale = box.height * 0.55 / 22;
  int base = 0;
  const int thickness = std::max(1, box.height / 10);
  const cv::Size extent = cv::getTextSize(text, cv::FONT_HERSHEY_SIMPLEX, scale, thickness, &base);
  const cv::Point origin(box.x + (box.width - extent.width) / 2,
                         box.y + (box.height + extent.height) / 2);
  cv::putText(scene, text, origin, cv::FONT_HERSHEY_SIMPLEX, scale, cv::Scalar::all(ink), thickness,
              cv::LINE_AA);
  return scene;
}

float BestIou(const std::vector<Detection>& found, const cv::Rect& box) {
  const Box truth = {static_cast<float>(box.x), static_cast<float>(box.y),
                     static_cast<float>(box.x + box.width), static_cast<float>(box.y + box.height)};
  float best = 0;
  for (const Detection& one : found) best = std::max(best, Iou(one.box, truth));
  return best;
}

struct Case {
  cv::Size size;
  cv::Rect box;
  int ink;
  int paper;
};

class CharacterLinesTest : public ::testing::TestWithParam<Case> {};

TEST_P(CharacterLinesTest, FindsThePlate) {
  const Case& c = GetParam();
  CharacterLines lines;
  std::vector<Detection> found;
  const cv::Mat scene = Scene(c.size, c.box, "AB 123 CD", c.ink, c.paper);
  ASSERT_TRUE(lines.Detect(scene, &found).ok());
  EXPECT_GE(BestIou(found, c.box), 0.5F);
  cv::Mat grey;
  cv::cvtColor(scene, grey, cv::COLOR_BGR2GRAY);
  ASSERT_TRUE(lines.Detect(grey, &found).ok());
  EXPECT_GE(BestIou(found, c.box), 0.5F);
  EXPECT_LE(found.size(), CharacterLines::kMostFound);
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, CharacterLinesTest,
    ::testing::Values(Case{{1280, 720}, {600, 400, 110, 26}, 20, 230},
                      Case{{1280, 720}, {600, 400, 260, 60}, 20, 230},
                      Case{{1280, 720}, {300, 300, 520, 120}, 20, 230},
                      Case{{1280, 720}, {140, 250, 1000, 230}, 20, 230},  // Close by.
                      Case{{2560, 1440}, {1200, 900, 300, 70}, 20, 230},
                      Case{{478, 365}, {150, 250, 120, 28}, 20, 230},
                      Case{{1280, 720}, {600, 400, 160, 38}, 45, 80},     // In the dark.
                      Case{{1280, 720}, {600, 400, 160, 38}, 240, 20}));  // Light on dark.

// A plate of two lines; the upper one is too short to be a plate by itself.
cv::Mat StackedScene(const cv::Rect& box) {
  cv::Mat scene(720, 1280, CV_8UC3, cv::Scalar::all(90));
  cv::rectangle(scene, box, cv::Scalar::all(230), -1);
  const double scale = box.height * 0.3 / 22;
  const auto line = [&](const std::string& text, double middle) {
    int base = 0;
    const cv::Size size = cv::getTextSize(text, cv::FONT_HERSHEY_SIMPLEX, scale, 4, &base);
    const cv::Point origin(box.x + (box.width - size.width) / 2,
                           box.y + static_cast<int>(box.height * middle) + size.height / 2);
    cv::putText(scene, text, origin, cv::FONT_HERSHEY_SIMPLEX, scale, cv::Scalar::all(20), 4,
                cv::LINE_AA);
  };
  line("KRX", 0.27);
  line("4725", 0.73);
  return scene;
}

TEST(CharacterLines, TwoLinesBelowEachOtherAreOnePlate) {
  const cv::Rect box(600, 300, 130, 104);
  CharacterLines lines;
  std::vector<Detection> found;
  ASSERT_TRUE(lines.Detect(StackedScene(box), &found).ok());
  EXPECT_GE(BestIou(found, box), 0.5F);
  ASSERT_FALSE(found.empty());
  // By the halves of its outline; its lines of characters are another look at it.
  std::vector<Detection> looks = found[0].looks;
  looks.push_back(found[0]);
  for (const Detection& look : looks) {
    ASSERT_EQ(look.lines.size(), 2u);
    EXPECT_LT(look.lines[0].box.bottom, look.lines[1].box.bottom);
    EXPECT_NEAR(look.lines[0].box.top, found[0].box.top, 12);  // Its margin may stand out.
  }
}

TEST(CharacterLines, FindsNothingWhereThereIsNothing) {
  CharacterLines lines;
  std::vector<Detection> found(3);
  ASSERT_TRUE(lines.Detect(cv::Mat(720, 1280, CV_8UC3, cv::Scalar::all(128)), &found).ok());
  EXPECT_TRUE(found.empty());
}

TEST(CharacterLines, TakesPicturesOfAnySize) {
  CharacterLines lines;
  std::vector<Detection> found;
  for (const cv::Size size : {cv::Size(1, 1), cv::Size(20'000, 3), cv::Size(3, 20'000),
                              cv::Size(15, 15), cv::Size(16, 16), cv::Size(1281, 17)}) {
    cv::Mat noise(size, CV_8UC1);
    cv::randu(noise, 0, 256);
    EXPECT_TRUE(lines.Detect(noise, &found).ok()) << size;
  }
}

TEST(CharacterLines, RefusesOtherPictures) {
  CharacterLines lines;
  std::vector<Detection> found;
  for (const int type : {CV_16UC1, CV_32FC3, CV_8UC4, CV_8UC2}) {
    EXPECT_TRUE(absl::IsInvalidArgument(lines.Detect(cv::Mat(10, 10, type), &found))) << type;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(lines.Detect(cv::Mat(), &found)));
}

}  // namespace
}  // namespace viaduct::hailo_lpr
