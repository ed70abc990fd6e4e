#include "plugins/hailo_lpr/plate_reader.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "opencv2/imgproc.hpp"

namespace viaduct::hailo_lpr {
namespace {

constexpr float kLevel = 0.02F;        // A slope below it is left.
constexpr double kLeastDeviation = 8;  // A flat crop stays flat; as in training/net.py.

cv::Mat Grey(const cv::Mat& picture) {
  if (picture.channels() == 1) return picture;
  cv::Mat grey;
  cv::cvtColor(picture, grey, cv::COLOR_BGR2GRAY);
  return grey;
}

}  // namespace

std::vector<std::string> ReaderAlphabet() {
  std::vector<std::string> alphabet;
  for (const char* characters :
       {"0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "กขคฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ"}) {
    for (const char* at = characters; *at != '\0';) {
      const size_t octets = (static_cast<unsigned char>(*at) & 0x80U) == 0 ? 1 : 3;
      alphabet.emplace_back(at, octets);
      at += octets;
    }
  }
  return alphabet;
}

cv::Mat CropUpright(const cv::Mat& picture, const Detection& plate) {
  const cv::Rect whole(0, 0, picture.cols, picture.rows);
  const auto round = [](float value) { return static_cast<int>(std::lround(value)); };
  const cv::Rect box = cv::Rect(cv::Point(round(plate.box.left), round(plate.box.top)),
                                cv::Point(round(plate.box.right), round(plate.box.bottom))) &
                       whole;
  if (box.empty()) return {};
  if (std::abs(plate.slope) < kLevel) return Grey(picture(box));
  // The line of a box with a slope is as much lower as the slope over its width adds.
  const auto width = static_cast<float>(box.width);
  const float height =
      std::max(static_cast<float>(box.height) - std::abs(plate.slope) * width, width / 8);
  const cv::Point2f middle(static_cast<float>(box.x) + width / 2,
                           static_cast<float>(box.y) + static_cast<float>(box.height) / 2);
  // x and y of the crop to those of the picture: sheared, not turned, as the boxes are.
  const cv::Matx23f map(1, 0, middle.x - width / 2,  //
                        plate.slope, 1, middle.y - height / 2 - plate.slope * width / 2);
  cv::Mat crop;
  cv::warpAffine(Grey(picture), crop, map, cv::Size(box.width, std::max(round(height), 1)),
                 cv::INTER_LINEAR | cv::WARP_INVERSE_MAP, cv::BORDER_REPLICATE);
  return crop;
}

absl::Status PlateReader::Read(const cv::Mat& picture, const Detection& plate,
                               std::vector<Reading>* readings) {
  return ReadCrop(CropUpright(picture, plate), readings);
}

absl::Status PlateReader::ReadCrop(const cv::Mat& crop, std::vector<Reading>* readings) {
  readings->clear();
  if (crop.empty()) return absl::OkStatus();
  const std::vector<int>& sizes = runner_->input().sizes;
  const cv::Size size(sizes[3], sizes[2]);
  const bool smaller = crop.cols > size.width && crop.rows > size.height;
  cv::resize(Grey(crop), fitted_, size, 0, 0, smaller ? cv::INTER_AREA : cv::INTER_LINEAR);
  cv::Scalar mean;
  cv::Scalar deviation;
  cv::meanStdDev(fitted_, mean, deviation);
  const double scale = 1 / std::max(deviation[0], kLeastDeviation);
  input_.create(4, sizes.data(), CV_32F);
  cv::Mat plane(size, CV_32F, input_.ptr<float>());
  fitted_.convertTo(plane, CV_32F, scale, -mean[0] * scale);
  const absl::Status run = runner_->Run(input_, &outputs_);
  if (!run.ok()) return run;
  return DecodeCtc(outputs_[0], options_, readings);
}

}  // namespace viaduct::hailo_lpr
