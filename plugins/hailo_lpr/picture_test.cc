#include "plugins/hailo_lpr/picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "opencv2/imgproc.hpp"
#include "plugins/hailo_lpr/testing/pictures.h"

namespace viaduct::hailo_lpr {
namespace {

using testing::CmykJpegOf;
using ::testing::HasSubstr;
using testing::JpegOf;
using testing::PngOf;
using testing::WithClaimedSize;
using testing::WithExif;

// Blue on the left, red on the right, 64 x 32.
cv::Mat TwoColours() {
  cv::Mat pixels(32, 64, CV_8UC3, cv::Scalar(230, 20, 20));
  pixels.colRange(32, 64).setTo(cv::Scalar(20, 20, 230));
  return pixels;
}

absl::StatusOr<Picture> Decode(const std::string& octets) {
  return DecodePicture(octets, PictureLimits(), absl::UTCTimeZone());
}

std::string WhyNot(const std::string& octets) {
  const absl::StatusOr<Picture> picture = Decode(octets);
  EXPECT_TRUE(absl::IsInvalidArgument(picture.status())) << picture.status();
  return std::string(picture.status().message());
}

void ExpectLike(const cv::Mat& pixels, const cv::Mat& wanted) {
  ASSERT_EQ(pixels.size(), wanted.size());
  ASSERT_EQ(pixels.type(), wanted.type());
  EXPECT_LT(cv::norm(pixels, wanted, cv::NORM_L1) / static_cast<double>(wanted.total()), 10);
}

TEST(DecodePicture, JpegInColourAndGrey) {
  const absl::StatusOr<Picture> colour = Decode(JpegOf(TwoColours()));
  ASSERT_TRUE(colour.ok()) << colour.status();
  ExpectLike(colour->pixels, TwoColours());
  EXPECT_FALSE(colour->taken.has_value());
  cv::Mat grey;
  cv::cvtColor(TwoColours(), grey, cv::COLOR_BGR2GRAY);
  const absl::StatusOr<Picture> decoded = Decode(JpegOf(grey));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ExpectLike(decoded->pixels, grey);
}

TEST(DecodePicture, JpegOfFourInks) {
  const absl::StatusOr<Picture> picture = Decode(CmykJpegOf(TwoColours()));
  ASSERT_TRUE(picture.ok()) << picture.status();
  ExpectLike(picture->pixels, TwoColours());
}

TEST(DecodePicture, PngOfEightAndSixteenBitsWithAndWithoutColour) {
  for (const int depth : {CV_8U, CV_16U}) {
    cv::Mat colour;
    TwoColours().convertTo(colour, depth, depth == CV_16U ? 257 : 1);
    const absl::StatusOr<Picture> picture = Decode(PngOf(colour));
    ASSERT_TRUE(picture.ok()) << picture.status();
    ExpectLike(picture->pixels, TwoColours());
    cv::Mat one;
    cv::extractChannel(colour, one, 0);
    cv::Mat expected;
    cv::extractChannel(TwoColours(), expected, 0);
    const absl::StatusOr<Picture> grey = Decode(PngOf(one));
    ASSERT_TRUE(grey.ok()) << grey.status();
    ASSERT_EQ(grey->pixels.channels(), 1);
    if (depth == CV_8U) ExpectLike(grey->pixels, expected);
  }
}

TEST(DecodePicture, TurnsWhatTheCameraSaysItHeldTurned) {
  const std::string jpeg = JpegOf(TwoColours());
  const cv::Mat upright = TwoColours();
  cv::Mat clockwise;
  cv::rotate(upright, clockwise, cv::ROTATE_90_CLOCKWISE);
  cv::Mat counter;
  cv::rotate(upright, counter, cv::ROTATE_90_COUNTERCLOCKWISE);
  cv::Mat half;
  cv::rotate(upright, half, cv::ROTATE_180);
  cv::Mat mirrored;
  cv::flip(upright, mirrored, 1);
  const std::pair<int, cv::Mat> kCases[] = {{1, upright},   {2, mirrored}, {3, half},
                                            {6, clockwise}, {8, counter},  {9, upright}};
  for (const auto& [orientation, wanted] : kCases) {
    const absl::StatusOr<Picture> picture = Decode(WithExif(jpeg, orientation, "", ""));
    ASSERT_TRUE(picture.ok()) << picture.status();
    SCOPED_TRACE(orientation);
    ExpectLike(picture->pixels, wanted);
  }
}

TEST(DecodePicture, TimeOfCaptureOfTheCameraInItsZone) {
  const std::string jpeg = JpegOf(TwoColours());
  const absl::Time utc = absl::FromUnixSeconds(1705314600);  // 2024-01-15 10:30:00
  const absl::StatusOr<Picture> naive = Decode(WithExif(jpeg, 1, "2024:01:15 10:30:00", ""));
  ASSERT_TRUE(naive.ok());
  EXPECT_EQ(naive->taken, utc);
  const absl::StatusOr<Picture> zoned = Decode(WithExif(jpeg, 1, "2024:01:15 17:30:00", "+07:00"));
  ASSERT_TRUE(zoned.ok());
  EXPECT_EQ(zoned->taken, utc);
  const absl::StatusOr<Picture> elsewhere = DecodePicture(
      WithExif(jpeg, 1, "2024:01:15 17:30:00", ""), PictureLimits(), absl::FixedTimeZone(7 * 3600));
  ASSERT_TRUE(elsewhere.ok());
  EXPECT_EQ(elsewhere->taken, utc);
  const absl::StatusOr<Picture> nonsense = Decode(WithExif(jpeg, 1, "0000:00:00 00:00:00", ""));
  ASSERT_TRUE(nonsense.ok());
  EXPECT_FALSE(nonsense->taken.has_value());
}

TEST(DecodePicture, SaysWhatIsWrong) {
  const std::string jpeg = JpegOf(TwoColours());
  const std::string png = PngOf(TwoColours());
  EXPECT_THAT(WhyNot(""), HasSubstr("no octets"));
  EXPECT_THAT(WhyNot("GIF89a"), HasSubstr("neither JPEG nor PNG"));
  EXPECT_THAT(WhyNot(jpeg.substr(0, 2)), HasSubstr("JPEG"));
  EXPECT_THAT(WhyNot(jpeg.substr(0, 40)), HasSubstr("JPEG"));
  const std::string large = JpegOf(cv::Mat(500, 500, CV_8UC3, cv::Scalar(1, 2, 3)));
  EXPECT_THAT(WhyNot(large.substr(0, large.size() * 3 / 4)), HasSubstr("cut short"));
  EXPECT_THAT(WhyNot(png.substr(0, 20)), HasSubstr("PNG"));
  EXPECT_THAT(WhyNot(png.substr(0, png.size() / 2)), HasSubstr("broken PNG"));
  std::string noise = jpeg.substr(0, 2);
  for (int i = 0; i < 5000; ++i) noise.push_back(static_cast<char>(i * 7919 >> 3));
  WhyNot(noise);
}

// A bomb is known by its header: nothing of that size is reserved.
TEST(DecodePicture, SidesOfTwentyThousandPixelsAreRefusedByTheHeader) {
  const std::string jpeg = JpegOf(TwoColours());
  EXPECT_THAT(WhyNot(WithClaimedSize(jpeg, 20'000, 20'000)), HasSubstr("20000x20000"));
  EXPECT_THAT(WhyNot(WithClaimedSize(jpeg, 16'000, 16'000)), HasSubstr("max_pixels"));
  EXPECT_THAT(WhyNot(JpegOf(cv::Mat(8, 20'000, CV_8UC1, cv::Scalar(0)))), HasSubstr("20000x8"));
  EXPECT_THAT(WhyNot(PngOf(cv::Mat(8, 20'000, CV_8UC1, cv::Scalar(0)))), HasSubstr("20000x8"));
  PictureLimits small;
  small.max_pixels = 64 * 32;
  EXPECT_TRUE(DecodePicture(jpeg, small, absl::UTCTimeZone()).ok());
  small.max_pixels -= 1;
  EXPECT_FALSE(DecodePicture(jpeg, small, absl::UTCTimeZone()).ok());
}

TEST(DecodePicture, EveryOctetThatIsWrongEndsWell) {
  const std::string jpeg = WithExif(JpegOf(TwoColours()), 6, "2024:01:15 10:30:00", "+07:00");
  for (size_t i = 0; i < jpeg.size(); ++i) {
    std::string broken = jpeg;
    broken[i] = static_cast<char>(broken[i] ^ 0x55);
    static_cast<void>(Decode(broken).ok());
  }
}

TEST(EncodeJpeg, CanBeRead) {
  const absl::StatusOr<Picture> picture = Decode(EncodeJpeg(TwoColours(), 90));
  ASSERT_TRUE(picture.ok()) << picture.status();
  ExpectLike(picture->pixels, TwoColours());
  EXPECT_EQ(EncodeJpeg(cv::Mat(), 90), "");
}

}  // namespace
}  // namespace viaduct::hailo_lpr
