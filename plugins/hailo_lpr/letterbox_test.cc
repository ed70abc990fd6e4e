#include "plugins/hailo_lpr/letterbox.h"

#include <gtest/gtest.h>

namespace viaduct::hailo_lpr {
namespace {

TEST(Letterbox, UndoesWhatItDid) {
  const Letterbox letterbox({1280, 720}, {640, 640});
  cv::Mat picture(720, 1280, CV_8UC3, cv::Scalar(1, 2, 3));
  cv::Mat input;
  letterbox.Fill(picture, &input);
  EXPECT_EQ(input.size(), cv::Size(640, 640));
  EXPECT_EQ(input.at<cv::Vec3b>(139, 320), cv::Vec3b(114, 114, 114));
  EXPECT_EQ(input.at<cv::Vec3b>(140, 320), cv::Vec3b(1, 2, 3));
  EXPECT_EQ(input.at<cv::Vec3b>(499, 639), cv::Vec3b(1, 2, 3));
  EXPECT_EQ(input.at<cv::Vec3b>(500, 639), cv::Vec3b(114, 114, 114));
  const Box box = letterbox.Undo({100, 240, 200, 290});
  EXPECT_FLOAT_EQ(box.left, 200);
  EXPECT_FLOAT_EQ(box.top, 200);
  EXPECT_FLOAT_EQ(box.right, 400);
  EXPECT_FLOAT_EQ(box.bottom, 300);
  const Box same = letterbox.UndoNormalised({100 / 640.F, 240 / 640.F, 200 / 640.F, 290 / 640.F});
  EXPECT_NEAR(same.bottom, 300, 0.01);
}

TEST(Letterbox, BoxesStayInsideThePicture) {
  const Letterbox letterbox({100, 50}, {640, 640});
  const Box box = letterbox.Undo({-50, -50, 900, 900});
  EXPECT_EQ(box.left, 0);
  EXPECT_EQ(box.top, 0);
  EXPECT_EQ(box.right, 100);
  EXPECT_EQ(box.bottom, 50);
}

TEST(Letterbox, TakesPicturesOfAnySize) {
  cv::Mat input;
  for (const cv::Size size : {cv::Size(1, 1), cv::Size(20'000, 1), cv::Size(1, 20'000)}) {
    Letterbox(size, {32, 64}).Fill(cv::Mat(size, CV_8UC1, cv::Scalar(9)), &input);
    EXPECT_EQ(input.size(), cv::Size(32, 64));
  }
}

}  // namespace
}  // namespace viaduct::hailo_lpr
