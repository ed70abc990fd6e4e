#include "plugins/hailo_lpr/plate_reader.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "opencv2/imgproc.hpp"

namespace viaduct::hailo_lpr {
namespace {

constexpr float kLevel = 0.02F;   // A slope below it is left.
constexpr float kCertain = 0.9F;  // A reading as certain needs no other look.
// A line of so many characters is all of its plate's, and cut closer than an outline.
constexpr size_t kComplete = 6;
constexpr size_t kLorryDigits = 6;
constexpr double kLeastDeviation = 8;  // A flat crop stays flat; as in training/net.py.

cv::Mat Grey(const cv::Mat& picture) {
  if (picture.channels() == 1) return picture;
  cv::Mat grey;
  cv::cvtColor(picture, grey, cv::COLOR_BGR2GRAY);
  return grey;
}

bool HasThai(const Reading& reading) {
  return std::any_of(reading.characters.begin(), reading.characters.end(),
                     [](const Character& character) { return character.text.size() > 1; });
}

// Thai lorries and buses have no letter.
bool HasOnlyDigits(const Reading& reading) {
  return reading.characters.size() == kLorryDigits &&
         std::all_of(reading.characters.begin(), reading.characters.end(),
                     [](const Character& character) {
                       return character.text.size() == 1 && character.text[0] >= '0' &&
                              character.text[0] <= '9';
                     });
}

// Of two looks at one plate the more certain one counts for each text. That there is nothing to
// read in one of them says nothing.
void Merge(std::vector<Reading> more, std::vector<Reading>* readings) {
  for (Reading& reading : more) {
    const auto same = std::find_if(readings->begin(), readings->end(), [&](const Reading& other) {
      return other.text() == reading.text();
    });
    if (same == readings->end()) {
      readings->push_back(std::move(reading));
    } else if (same->confidence < reading.confidence) {
      *same = std::move(reading);
    }
  }
  const auto nothing = [](const Reading& reading) { return reading.characters.empty(); };
  if (!std::all_of(readings->begin(), readings->end(), nothing)) {
    readings->erase(std::remove_if(readings->begin(), readings->end(), nothing), readings->end());
  }
  KeepLikeliest(readings);
}

// A plate and its other looks in the order in which they are read.
std::vector<const Detection*> LooksOf(const Detection& plate) {
  std::vector<const Detection*> looks = {&plate};
  for (const Detection& look : plate.looks) looks.push_back(&look);
  std::stable_partition(looks.begin(), looks.end(),
                        [](const Detection* look) { return look->characters >= kComplete; });
  return looks;
}

}  // namespace

void KeepLikeliest(std::vector<Reading>* readings) {
  std::stable_sort(readings->begin(), readings->end(),
                   [](const Reading& a, const Reading& b) { return a.confidence > b.confidence; });
  if (readings->size() > kMostReadings) readings->resize(kMostReadings);
}

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
  // x and y of the crop to those of the box: sheared, not turned, as the boxes are.
  const auto x = static_cast<float>(box.x);
  const auto y = static_cast<float>(box.y);
  const cv::Matx23f map(1, 0, middle.x - x - width / 2,  //
                        plate.slope, 1, middle.y - y - height / 2 - plate.slope * width / 2);
  cv::Mat crop;
  cv::warpAffine(Grey(picture(box)), crop, map, cv::Size(box.width, std::max(round(height), 1)),
                 cv::INTER_LINEAR | cv::WARP_INVERSE_MAP, cv::BORDER_REPLICATE);
  return crop;
}

void FillInput(const cv::Mat& crop, const TensorShape& shape, cv::Mat* input) {
  const cv::Size size(shape.sizes[3], shape.sizes[2]);
  const bool smaller = crop.cols > size.width && crop.rows > size.height;
  cv::Mat fitted;
  cv::resize(Grey(crop), fitted, size, 0, 0, smaller ? cv::INTER_AREA : cv::INTER_LINEAR);
  cv::Scalar mean;
  cv::Scalar deviation;
  cv::meanStdDev(fitted, mean, deviation);
  const double scale = 1 / std::max(deviation[0], kLeastDeviation);
  input->create(4, shape.sizes.data(), CV_32F);
  cv::Mat plane(size, CV_32F, input->ptr<float>());
  fitted.convertTo(plane, CV_32F, scale, -mean[0] * scale);
}

absl::Status PlateReader::Read(const cv::Mat& picture, const Detection& plate,
                               std::vector<Reading>* readings) {
  readings->clear();
  for (const Detection* look : LooksOf(plate)) {
    std::vector<Reading> more;
    const absl::Status read = ReadLook(picture, *look, &more);
    if (!read.ok()) return read;
    Merge(std::move(more), readings);
    if (!readings->empty() && readings->front().confidence >= kCertain) break;
  }
  return absl::OkStatus();
}

absl::Status PlateReader::ReadLook(const cv::Mat& picture, const Detection& look,
                                   std::vector<Reading>* readings) {
  if (!look.lines.empty()) return ReadStack(picture, look.lines, readings);
  return ReadCrop(CropUpright(picture, look), readings);
}

// The lines one after the other, from above to below. How likely a text is as a whole is the
// product of its lines.
absl::Status PlateReader::ReadStack(const cv::Mat& picture, const std::vector<Detection>& lines,
                                    std::vector<Reading>* readings) {
  readings->clear();
  std::vector<Reading> whole(1);
  whole[0].confidence = 1;
  for (const Detection& line : lines) {
    std::vector<Reading> parts;
    const absl::Status read = ReadCrop(CropUpright(picture, line), &parts);
    if (!read.ok()) return read;
    std::vector<Reading> longer;
    for (const Reading& begin : whole) {
      for (const Reading& part : parts) {
        if (part.characters.empty()) continue;
        Reading both = begin;
        both.confidence *= part.confidence;
        both.characters.insert(both.characters.end(), part.characters.begin(),
                               part.characters.end());
        longer.push_back(std::move(both));
      }
    }
    KeepLikeliest(&longer);
    whole = std::move(longer);
  }
  *readings = std::move(whole);
  return absl::OkStatus();
}

absl::Status PlateReader::AddProvince(const cv::Mat& picture, const Detection& plate,
                                      std::vector<Reading>* readings) {
  const auto has_province = [](const Reading& reading) {
    return HasThai(reading) || HasOnlyDigits(reading);
  };
  if (province_ == nullptr || readings->empty() || !has_province(readings->front())) {
    return absl::OkStatus();
  }
  Province province;
  const absl::Status read = province_->Read(picture, plate, &province);
  if (!read.ok()) return read;
  for (Reading& reading : *readings) {
    if (!has_province(reading)) continue;
    reading.province = province.name;
    reading.province_confidence = province.confidence;
  }
  return absl::OkStatus();
}

absl::Status PlateReader::ReadCrop(const cv::Mat& crop, std::vector<Reading>* readings) {
  readings->clear();
  if (crop.empty()) return absl::OkStatus();
  FillInput(crop, runner_->input(), &input_);
  const absl::Status run = runner_->Run(input_, &outputs_);
  if (!run.ok()) return run;
  return DecodeCtc(outputs_[0], options_, readings);
}

}  // namespace viaduct::hailo_lpr
