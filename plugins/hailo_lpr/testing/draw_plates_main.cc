// draw_plates: pictures or a video of drawn plates, for tests that start real nodes.
//
//   draw_plates picture OUT.jpg TEXT [WIDTH HEIGHT]
//   draw_plates video OUT.avi FPS PICTURES EMPTY WIDTH HEIGHT TEXT...
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "opencv2/imgcodecs.hpp"
#include "opencv2/videoio.hpp"
#include "plugins/hailo_lpr/testing/drawn_plates.h"

namespace {

using viaduct::hailo_lpr::testing::DrawPasses;
using viaduct::hailo_lpr::testing::DrawStreet;

int DrawPicture(const std::vector<std::string>& words) {
  const bool sized = words.size() == 5;
  const cv::Size size(sized ? std::atoi(words[3].c_str()) : 1280,
                      sized ? std::atoi(words[4].c_str()) : 720);
  const cv::Mat street =
      DrawStreet(size, {{words[2], {size.width / 2, size.height * 2 / 3}, size.width / 5}});
  return cv::imwrite(words[1], street) ? 0 : 1;
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
  std::cerr << "draw_plates picture OUT.jpg TEXT [WIDTH HEIGHT]\n"
               "draw_plates video OUT.avi FPS PICTURES EMPTY WIDTH HEIGHT TEXT...\n";
  return 2;
}
