#include "core/vision/picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/lpr/testing/jpeg_picture.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;

PictureFacts Raw(const std::string& format, uint32_t width, uint32_t height,
                 std::vector<vd_plane> planes = {}) {
  PictureFacts facts;
  facts.format = format;
  facts.width = width;
  facts.height = height;
  facts.planes = std::move(planes);
  return facts;
}

std::string Refusal(const PictureFacts& facts, const std::string& octets) {
  const auto frame = MakePicture(facts, octets);
  EXPECT_EQ(frame.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(frame.status().message());
}

TEST(PictureTest, AJpegHasTheSizeOfItsHeader) {
  const std::string jpeg = JpegPicture(64, 48);
  const auto frame = MakePicture({}, jpeg);
  ASSERT_TRUE(frame.ok()) << frame.status();
  EXPECT_EQ(frame->fourcc, VD_FOURCC_JPEG);
  EXPECT_EQ(frame->width, 64u);
  EXPECT_EQ(frame->height, 48u);
  ASSERT_EQ(frame->planes.size(), 1u);
  EXPECT_EQ(frame->planes[0].size, jpeg.size());
  EXPECT_EQ(frame->buffer.octets(), jpeg);
  EXPECT_TRUE(MakePicture(Raw("JPEG", 64, 48), jpeg).ok());
  EXPECT_THAT(Refusal(Raw("JPEG", 64, 49), jpeg), HasSubstr("width: the JPEG has 64 x 48"));
  EXPECT_TRUE(MakePicture(Raw("JPEG", 0, 0, {{3, jpeg.size(), 0, 0}}), "abc" + jpeg).ok());
}

TEST(PictureTest, AJpegThatIsNoneOrABombIsRefusedByItsHeader) {
  EXPECT_THAT(Refusal({}, "this is no picture"), HasSubstr("data: image: cannot be decoded"));
  EXPECT_THAT(Refusal({}, ""), HasSubstr("data: empty"));
  EXPECT_THAT(Refusal({}, JpegPicture(64, 48).substr(0, 20)), HasSubstr("data: "));
  // The header of a small picture, and what it would be with sides of 20,000 and 65,500 pixels.
  const std::string jpeg = JpegPicture(64, 48);
  for (const unsigned side : {20'000u, 65'500u, 16'000u}) {
    const std::string bomb = WithJpegSize(jpeg, side, side);
    ASSERT_FALSE(bomb.empty());
    EXPECT_THAT(Refusal({}, bomb), HasSubstr("width: too "));
  }
}

TEST(PictureTest, RawPicturesMayBePackedOrDescribed) {
  EXPECT_TRUE(MakePicture(Raw("NV12", 4, 4), std::string(24, 'x')).ok());
  EXPECT_TRUE(MakePicture(Raw("NV12", 5, 5), std::string(25 + 6 * 3, 'x')).ok());
  EXPECT_TRUE(MakePicture(Raw("YU12", 4, 4), std::string(24, 'x')).ok());
  EXPECT_TRUE(MakePicture(Raw("YUYV", 3, 2), std::string(16, 'x')).ok());
  EXPECT_TRUE(MakePicture(Raw("R8", 4, 4), std::string(16, 'x')).ok());
  const auto frame = MakePicture(Raw("BG24", 4, 2, {{8, 28, 16, 0}}), std::string(36, 'x'));
  ASSERT_TRUE(frame.ok()) << frame.status();
  EXPECT_EQ(frame->planes[0].offset, 8u);
  EXPECT_EQ(frame->planes[0].stride, 16u);
}

TEST(PictureTest, PlanesOutsideOfTheOctetsAreRefused) {
  constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
  const std::string octets(48, 'x');
  EXPECT_THAT(Refusal(Raw("XR24", 4, 4), octets), HasSubstr("planes[0]: outside"));
  EXPECT_THAT(Refusal(Raw("GREY", 4, 4, {{40, 16, 4, 0}}), octets),
              HasSubstr("planes[0]: outside"));
  EXPECT_THAT(Refusal(Raw("GREY", 4, 4, {{kHuge, 16, 4, 0}}), octets), HasSubstr("outside"));
  EXPECT_THAT(Refusal(Raw("GREY", 4, 4, {{16, kHuge, 4, 0}}), octets), HasSubstr("outside"));
  EXPECT_THAT(Refusal(Raw("GREY", 4, 4, {{0, 16, 3, 0}}), octets), HasSubstr("stride 3"));
  EXPECT_THAT(Refusal(Raw("GREY", 4, 4, {{0, 15, 4, 0}}), octets), HasSubstr("needs 16 octets"));
  EXPECT_THAT(Refusal(Raw("GREY", 4, 4, {{0, 40, 4294967295u, 0}}), octets), HasSubstr("needs"));
  EXPECT_THAT(Refusal(Raw("NV12", 4, 4, {{0, 16, 4, 0}}), octets), HasSubstr("has 2, not 1"));
  EXPECT_THAT(Refusal(Raw("GREY", 1, 1, std::vector<vd_plane>(5, vd_plane{0, 1, 1, 0})), octets),
              HasSubstr("planes: too many"));
}

TEST(PictureTest, SidesAndFormatsThatCannotBeAreRefused) {
  const std::string octets(16, 'x');
  EXPECT_THAT(Refusal(Raw("GREY", 0, 4), octets), HasSubstr("both sides are needed"));
  EXPECT_THAT(Refusal(Raw("GREY", 16385, 1), octets), HasSubstr("too large"));
  EXPECT_THAT(Refusal(Raw("GREY", 16384, 16384), octets), HasSubstr("too many pixels"));
  EXPECT_THAT(Refusal(Raw("PNG", 16385, 1), octets), HasSubstr("too large"));
  EXPECT_THAT(Refusal(Raw("", 4, 4), octets), HasSubstr("not a FourCC"));
  EXPECT_THAT(Refusal(Raw("NV12X", 4, 4), octets), HasSubstr("not a FourCC"));
  EXPECT_THAT(Refusal(Raw("NV\n2", 4, 4), octets), HasSubstr("not a FourCC"));
  // The plugin knows what it is.
  EXPECT_TRUE(MakePicture(Raw("PNG", 0, 0), octets).ok());
}

TEST(PictureTest, LargerOnesThanAMessageAreRefused) {
  EXPECT_THAT(Refusal(Raw("GREY", 4, 4), std::string(kMaxPictureBytes + 1, 'x')),
              HasSubstr("data: 32505857 octets, at most 32505856"));
}

}  // namespace
}  // namespace viaduct
