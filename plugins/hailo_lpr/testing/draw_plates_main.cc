// draw_plates: pictures or a video of drawn plates, for tests that start real nodes.
//
//   draw_plates picture OUT.jpg TEXT [WIDTH HEIGHT]
//   draw_plates kind grey|cmyk|deep|turned|cut|huge OUT TEXT
//   draw_plates video OUT.avi FPS PICTURES EMPTY WIDTH HEIGHT TEXT...
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "opencv2/imgcodecs.hpp"
#include "opencv2/imgproc.hpp"
#include "opencv2/videoio.hpp"
#include "plugins/hailo_lpr/testing/drawn_plates.h"
#include "plugins/hailo_lpr/testing/pictures.h"

namespace {

using viaduct::hailo_lpr::testing::CmykJpegOf;
using viaduct::hailo_lpr::testing::DrawPasses;
using viaduct::hailo_lpr::testing::DrawStreet;
using viaduct::hailo_lpr::testing::JpegOf;
using viaduct::hailo_lpr::testing::PngOf;
using viaduct::hailo_lpr::testing::WithClaimedSize;
using viaduct::hailo_lpr::testing::WithExif;

cv::Mat DrawOne(const std::string& text, cv::Size size) {
  return DrawStreet(size, {{text, {size.width / 2, size.height * 2 / 3}, size.width / 5}});
}

int DrawPicture(const std::vector<std::string>& words) {
  const bool sized = words.size() == 5;
  const cv::Size size(sized ? std::atoi(words[3].c_str()) : 1280,
                      sized ? std::atoi(words[4].c_str()) : 720);
  return cv::imwrite(words[1], DrawOne(words[2], size)) ? 0 : 1;
}

// A file as few cameras make it, or as a bad one does.
std::string KindOf(const std::string& kind, const cv::Mat& street) {
  cv::Mat made = street;
  if (kind == "cmyk") return CmykJpegOf(street);
  if (kind == "grey") cv::cvtColor(street, made, cv::COLOR_BGR2GRAY);
  if (kind == "deep") {  // 16 bits a colour.
    constexpr double kMore = 257;
    street.convertTo(made, CV_16U, kMore);
    return PngOf(made);
  }
  if (kind == "turned") {  // EXIF says that the camera was held so.
    constexpr int kTurnClockwise = 6;
    cv::rotate(street, made, cv::ROTATE_90_COUNTERCLOCKWISE);
    return WithExif(JpegOf(made), kTurnClockwise, "", "");
  }
  const std::string jpeg = JpegOf(made);
  if (kind == "cut") return jpeg.substr(0, jpeg.size() / 2);
  constexpr int kHugeSide = 20'000;
  return kind == "huge" ? WithClaimedSize(jpeg, kHugeSide, kHugeSide) : jpeg;
}

int DrawKind(const std::vector<std::string>& words) {
  std::ofstream file(words[2], std::ios::binary);
  file << KindOf(words[1], DrawOne(words[3], {1280, 720}));
  return file.good() ? 0 : 1;
}

int DrawVideo(const std::vector<std::string>& words) {
  const cv::Size size(std::atoi(words[5].c_str()), std::atoi(words[6].c_str()));
  cv::VideoWriter writer(words[1], cv::VideoWriter::fourcc('M', 'J', 'P', 'G'),
                         std::atof(words[2].c_str()), size);
  if (!writer.isOpened()) return 1;
  const std::vector<std::string> texts(words.begin() + 7, words.end());
  const int pictures = std::atoi(words[3].c_str());
  const int empty = std::atoi(words[4].c_str());
  for (const cv::Mat& picture : DrawPasses(size, texts, pictures, empty)) writer.write(picture);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() >= 3 && words[0] == "picture") return DrawPicture(words);
  if (words.size() >= 8 && words[0] == "video") return DrawVideo(words);
  if (words.size() == 4 && words[0] == "kind") return DrawKind(words);
  std::cerr << "draw_plates picture OUT.jpg TEXT [WIDTH HEIGHT]\n"
               "draw_plates kind grey|cmyk|deep|turned|cut|huge OUT TEXT\n"
               "draw_plates video OUT.avi FPS PICTURES EMPTY WIDTH HEIGHT TEXT...\n";
  return 2;
}
