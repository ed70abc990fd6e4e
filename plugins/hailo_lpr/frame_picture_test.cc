#include "plugins/hailo_lpr/frame_picture.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "opencv2/imgproc.hpp"

namespace viaduct::hailo_lpr {
namespace {

uint32_t FourCc(const char* name) {
  uint32_t code = 0;
  for (int i = 3; i >= 0; --i) code = code << 8 | static_cast<unsigned char>(name[i]);
  return code;
}

// Blue on the left, orange on the right.
cv::Mat Scene() {
  cv::Mat pixels(16, 32, CV_8UC3, cv::Scalar(200, 60, 40));
  pixels.colRange(16, 32).setTo(cv::Scalar(30, 120, 220));
  return pixels;
}

std::string OctetsOf(const cv::Mat& mat) {
  return std::string(static_cast<const char*>(static_cast<const void*>(mat.data)),
                     mat.total() * mat.elemSize());
}

FrameForm Form(const char* fourcc, const std::string& octets) {
  FrameForm form;
  form.fourcc = FourCc(fourcc);
  form.width = 32;
  form.height = 16;
  form.plane_count = 1;
  form.planes[0].size = octets.size();
  return form;
}

std::string Yuv420(int conversion) {
  cv::Mat planar;
  cv::cvtColor(Scene(), planar, conversion);
  return OctetsOf(planar);
}

// From I420: both chroma planes in turns.
std::string Nv12(bool nv21) {
  const std::string planar = Yuv420(cv::COLOR_BGR2YUV_I420);
  const size_t luma = 32 * 16;
  const size_t quarter = luma / 4;
  std::string out = planar.substr(0, luma);
  for (size_t i = 0; i < quarter; ++i) {
    const char u = planar[luma + i];
    const char v = planar[luma + quarter + i];
    out.push_back(nv21 ? v : u);
    out.push_back(nv21 ? u : v);
  }
  return out;
}

std::string Packed(bool uyvy) {
  const std::string planar = Yuv420(cv::COLOR_BGR2YUV_I420);
  std::string out;
  for (size_t y = 0; y < 16; ++y) {
    for (size_t x = 0; x < 32; x += 2) {
      const size_t chroma = 32 * 16 + y / 2 * 16 + x / 2;
      const char y0 = planar[y * 32 + x];
      const char y1 = planar[y * 32 + x + 1];
      const char u = planar[chroma];
      const char v = planar[chroma + 128];
      const char yuyv[] = {y0, u, y1, v};
      const char other[] = {u, y0, v, y1};
      out.append(uyvy ? other : yuyv, 4);
    }
  }
  return out;
}

void ExpectScene(const FrameForm& form, const std::string& octets) {
  const absl::Status checked = CheckFrame(form, octets.size(), PictureLimits());
  ASSERT_TRUE(checked.ok()) << checked;
  const absl::StatusOr<cv::Mat> pixels = ReadFrame(form, octets);
  ASSERT_TRUE(pixels.ok()) << pixels.status();
  cv::Mat wanted = Scene();
  if (pixels->channels() == 1) cv::cvtColor(wanted, wanted, cv::COLOR_BGR2GRAY);
  ASSERT_EQ(pixels->size(), wanted.size());
  EXPECT_LT(cv::norm(*pixels, wanted, cv::NORM_L1) / static_cast<double>(wanted.total()), 8);
}

TEST(ReadFrame, EveryFormat) {
  cv::Mat rgb;
  cv::Mat bgra;
  cv::Mat rgba;
  cv::Mat grey;
  cv::cvtColor(Scene(), rgb, cv::COLOR_BGR2RGB);
  cv::cvtColor(Scene(), bgra, cv::COLOR_BGR2BGRA);
  cv::cvtColor(Scene(), rgba, cv::COLOR_BGR2RGBA);
  cv::cvtColor(Scene(), grey, cv::COLOR_BGR2GRAY);
  const std::pair<const char*, std::string> kCases[] = {
      {"R8  ", OctetsOf(grey)},
      {"GREY", OctetsOf(grey)},
      {"RG24", OctetsOf(Scene())},
      {"BG24", OctetsOf(rgb)},
      {"XR24", OctetsOf(bgra)},
      {"AR24", OctetsOf(bgra)},
      {"XB24", OctetsOf(rgba)},
      {"AB24", OctetsOf(rgba)},
      {"NV12", Nv12(false)},
      {"NV21", Nv12(true)},
      {"YU12", Yuv420(cv::COLOR_BGR2YUV_I420)},
      {"YV12", Yuv420(cv::COLOR_BGR2YUV_YV12)},
      {"YUYV", Packed(false)},
      {"UYVY", Packed(true)},
  };
  for (const auto& [name, octets] : kCases) {
    SCOPED_TRACE(name);
    ExpectScene(Form(name, octets), octets);
  }
}

TEST(ReadFrame, PlanesWithGapsBetweenTheirRows) {
  const std::string packed = Nv12(false);
  std::string octets(7, 'x');
  for (size_t y = 0; y < 24; ++y) octets += packed.substr(y * 32, 32) + std::string(8, '!');
  FrameForm form = Form("NV12", octets);
  form.plane_count = 2;
  form.planes[0] = {7, 16 * 40, 40};
  form.planes[1] = {7 + 16 * 40, 8 * 40, 40};
  ExpectScene(form, octets);
  // The gap behind the last row may be missing.
  octets.resize(octets.size() - 8);
  form.planes[1].size -= 8;
  ExpectScene(form, octets);
}

TEST(CheckFrame, RefusesWhatIsNotThere) {
  const std::string octets = OctetsOf(Scene());
  const auto wrong = [&](auto change) {
    FrameForm form = Form("RG24", octets);
    change(&form);
    const absl::Status status = CheckFrame(form, octets.size(), PictureLimits());
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  };
  wrong([](FrameForm* form) { form->plane_count = 0; });
  wrong([](FrameForm* form) { form->plane_count = 5; });
  wrong([](FrameForm* form) { form->plane_count = 2; });
  wrong([](FrameForm* form) { form->fourcc = FourCc("H264"); });
  wrong([](FrameForm* form) { form->modifier = 1; });
  wrong([](FrameForm* form) { form->width = 0; });
  wrong([](FrameForm* form) { form->width = 33; });
  wrong([](FrameForm* form) { form->height = 17; });
  wrong([](FrameForm* form) { form->width = form->height = 20'000; });
  wrong([](FrameForm* form) { form->width = form->height = 0xffffffff; });
  wrong([](FrameForm* form) { form->planes[0].offset = 1; });
  wrong([](FrameForm* form) { form->planes[0].offset = ~uint64_t{0}; });
  wrong([](FrameForm* form) { form->planes[0].size = ~uint64_t{0}; });
  wrong([](FrameForm* form) { form->planes[0].size -= 1; });
  wrong([](FrameForm* form) { form->planes[0].stride = 95; });
  wrong([](FrameForm* form) { form->planes[0].stride = 0xffffffff; });
  wrong([](FrameForm* form) { form->fourcc = FourCc("NV12"), form->width = 31; });
  wrong([](FrameForm* form) { form->fourcc = FourCc("NV12"), form->height = 15; });
  wrong([](FrameForm* form) { form->fourcc = FourCc("JPEG"), form->planes[0].size += 1; });
  FrameForm nv12 = Form("NV12", octets);
  nv12.height = 64;  // The second plane would lie behind the end.
  EXPECT_FALSE(CheckFrame(nv12, octets.size(), PictureLimits()).ok());
}

}  // namespace
}  // namespace viaduct::hailo_lpr
