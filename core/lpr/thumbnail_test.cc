#include "core/lpr/thumbnail.h"

#include <cstdio>
#include <cstdlib>
// jpeglib.h needs FILE and size_t from the lines above.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <jpeglib.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "core/lpr/testing/jpeg_picture.h"

namespace viaduct {
namespace {

using testing::HasSubstr;

struct Pixels {
  unsigned width = 0;
  unsigned height = 0;
  std::vector<uint8_t> rgb;
  int At(unsigned x, unsigned y, unsigned channel) const {
    return rgb[(y * width + x) * 3 + channel];
  }
};

// With libjpeg's own error handler: it ends the test program.
Pixels Decode(const std::string& jpeg) {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&info);
  const std::vector<unsigned char> octets(jpeg.begin(), jpeg.end());
  jpeg_mem_src(&info, octets.data(), octets.size());
  jpeg_read_header(&info, TRUE);
  jpeg_start_decompress(&info);
  Pixels pixels{info.output_width, info.output_height, {}};
  pixels.rgb.resize(size_t{pixels.width} * pixels.height * 3);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = pixels.rgb.data() + size_t{info.output_scanline} * pixels.width * 3;
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  return pixels;
}

void ExpectThePicture(const std::string& jpeg, unsigned width, unsigned height) {
  const Pixels pixels = Decode(jpeg);
  ASSERT_EQ(pixels.width, width);
  ASSERT_EQ(pixels.height, height);
  for (const unsigned y : {0U, height / 2, height - 1}) {
    EXPECT_GT(pixels.At(2, y, 0), 235);
    EXPECT_LT(pixels.At(2, y, 2), 20);
    EXPECT_LT(pixels.At(width - 3, y, 0), 20);
    EXPECT_GT(pixels.At(width - 3, y, 2), 235);
  }
}

TEST(ThumbnailTest, HasTheWidthAndTheProportionsOfThePicture) {
  for (const bool progressive : {false, true}) {
    const std::string picture = JpegPicture(1280, 720, progressive);
    for (const int width : {80, 160, 320, 640}) {
      const auto made = MakeThumbnail(picture, width, {});
      ASSERT_TRUE(made.ok()) << made.status();
      ExpectThePicture(*made, static_cast<unsigned>(width), static_cast<unsigned>(width * 9 / 16));
    }
  }
  const auto odd = MakeThumbnail(JpegPicture(333, 77), 80, {});
  ASSERT_TRUE(odd.ok()) << odd.status();
  ExpectThePicture(*odd, 80, 18);
}

TEST(ThumbnailTest, IsNeverWiderThanThePicture) {
  EXPECT_EQ(*MakeThumbnail(JpegPicture(320, 200), 320, {}), "");
  EXPECT_EQ(*MakeThumbnail(JpegPicture(100, 2000), 640, {}), "");
  EXPECT_EQ(ThumbnailWidth(1), 80);
  EXPECT_EQ(ThumbnailWidth(80), 80);
  EXPECT_EQ(ThumbnailWidth(81), 160);
  EXPECT_EQ(ThumbnailWidth(5000), 1280);
}

TEST(ThumbnailTest, RefusesBombsBeforeDecodingThem) {
  const std::string small = JpegPicture(64, 64);
  const auto bomb = MakeThumbnail(WithJpegSize(small, 65000, 65000), 80, {});
  EXPECT_EQ(bomb.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(bomb.status().message()), HasSubstr("65000 x 65000"));
  const auto tower = MakeThumbnail(WithJpegSize(small, 90, 65000), 80, {});
  EXPECT_EQ(tower.status().code(), absl::StatusCode::kResourceExhausted);
  // All coefficients of a progressive picture are in memory at once.
  ThumbnailLimits limits;
  limits.max_memory_bytes = 1 << 20;
  const std::string progressive = JpegPicture(1280, 720, true);
  const auto large = MakeThumbnail(progressive, 80, limits);
  EXPECT_EQ(large.status().code(), absl::StatusCode::kInvalidArgument) << large.status();
  limits = {};
  limits.max_scans = 2;
  const auto scans = MakeThumbnail(progressive, 80, limits);
  EXPECT_THAT(std::string(scans.status().message()), HasSubstr("more than 2 scans"));
}

TEST(ThumbnailTest, RefusesWhatIsCutShortOrNoJpeg) {
  for (const bool progressive : {false, true}) {
    const std::string picture = JpegPicture(640, 480, progressive);
    for (size_t size = 0; size < picture.size() - 2; size += 97) {
      const auto made = MakeThumbnail(picture.substr(0, size), 80, {});
      EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument) << size;
    }
  }
  EXPECT_FALSE(MakeThumbnail("\x89PNG\r\n\x1a\n", 80, {}).ok());
}

TEST(ThumbnailTest, SurvivesEveryChangedOctetOfItsHeader) {
  const std::string picture = JpegPicture(320, 240);
  for (size_t at = 0; at < std::min<size_t>(picture.size(), 700); ++at) {
    std::string changed = picture;
    changed[at] = static_cast<char>(changed[at] ^ 0x5a);
    MakeThumbnail(changed, 80, {}).status().IgnoreError();  // Anything but a crash.
  }
}

TEST(ThumbnailCacheTest, KeepsWhatWasAskedForLastWithinItsBound) {
  ThumbnailCache cache(3 * (1000 + ThumbnailCache::kEntryBytes + 1));
  const auto octets = std::make_shared<const std::string>(1000, 'x');
  for (const char* key : {"a", "b", "c"}) cache.Put(key, octets);
  EXPECT_NE(cache.Get("a"), nullptr);
  cache.Put("d", octets);
  EXPECT_EQ(cache.Get("b"), nullptr);
  EXPECT_NE(cache.Get("a"), nullptr);
  EXPECT_LE(cache.bytes(), 3 * (1000 + ThumbnailCache::kEntryBytes + 1));
  cache.Put("large", std::make_shared<const std::string>(10'000, 'x'));
  EXPECT_EQ(cache.Get("large"), nullptr);
  EXPECT_NE(cache.Get("c"), nullptr);
}

}  // namespace
}  // namespace viaduct
