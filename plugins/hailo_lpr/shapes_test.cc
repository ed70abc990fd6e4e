#include "plugins/hailo_lpr/shapes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "opencv2/imgproc.hpp"

namespace viaduct::hailo_lpr {
namespace {

using Five = std::tuple<int, int, int, int, int>;

std::vector<Five> Sorted(const std::vector<ShapeFinder::Extent>& shapes) {
  std::vector<Five> out;
  for (const auto& one : shapes) {
    out.emplace_back(one.left, one.top, one.right, one.bottom, one.area);
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<Five> OfOpenCv(const cv::Mat& mask) {
  cv::Mat labels;
  cv::Mat stats;
  cv::Mat centres;
  const int count = cv::connectedComponentsWithStats(mask, labels, stats, centres, 8, CV_32S);
  std::vector<Five> out;
  for (int i = 1; i < count; ++i) {
    const int* s = stats.ptr<int>(i);
    out.emplace_back(s[0], s[1], s[0] + s[2], s[1] + s[3], s[4]);
  }
  std::sort(out.begin(), out.end());
  return out;
}

TEST(ShapeFinder, FindsWhatOpenCvFinds) {
  ShapeFinder finder;
  cv::RNG random(3);
  for (const cv::Size size : {cv::Size(1, 1), cv::Size(7, 3), cv::Size(8, 8), cv::Size(33, 1),
                              cv::Size(1, 33), cv::Size(97, 61), cv::Size(160, 120)}) {
    for (const int level : {20, 90, 128, 200, 250}) {
      cv::Mat mask(size, CV_8UC1);
      random.fill(mask, cv::RNG::UNIFORM, 0, 256);
      cv::threshold(mask, mask, level, 255, cv::THRESH_BINARY);
      EXPECT_EQ(Sorted(finder.Find(mask)), OfOpenCv(mask)) << size << " at " << level;
      cv::Mat values(size, CV_8UC1);  // Whatever is not 0 is set.
      random.fill(values, cv::RNG::UNIFORM, 1, 256);
      cv::min(mask, values, mask);
      EXPECT_EQ(Sorted(finder.Find(mask)), OfOpenCv(mask)) << size << " at " << level;
    }
  }
}

TEST(ShapeFinder, JoinsWhatMeetsFurtherDown) {
  cv::Mat mask(40, 60, CV_8UC1, cv::Scalar(0));
  for (int i = 0; i < 20; ++i) {  // A V, whose sides meet by corners only.
    mask.at<uint8_t>(i, 10 + i) = 255;
    mask.at<uint8_t>(i, 50 - i) = 255;
  }
  ShapeFinder finder;
  const auto& found = finder.Find(mask);
  ASSERT_EQ(found.size(), 2u);
  mask.at<uint8_t>(20, 30) = 255;
  ASSERT_EQ(finder.Find(mask).size(), 1u);
  EXPECT_EQ(Sorted(finder.Find(mask)), OfOpenCv(mask));
}

TEST(ShapeFinder, FindsNothingInNothingAndOneInAll) {
  ShapeFinder finder;
  EXPECT_TRUE(finder.Find(cv::Mat(20, 30, CV_8UC1, cv::Scalar(0))).empty());
  const auto& all = finder.Find(cv::Mat(20, 30, CV_8UC1, cv::Scalar(1)));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].area, 600);
  EXPECT_TRUE(finder.Find(cv::Mat()).empty());
}

}  // namespace
}  // namespace viaduct::hailo_lpr
