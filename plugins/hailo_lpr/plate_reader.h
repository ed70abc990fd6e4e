// Reads the picture of a plate with the model of training/: lines of characters, CTC.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "opencv2/core.hpp"
#include "plugins/hailo_lpr/ctc.h"
#include "plugins/hailo_lpr/detection.h"
#include "plugins/hailo_lpr/province_reader.h"
#include "plugins/hailo_lpr/reading.h"
#include "plugins/hailo_lpr/runner.h"

namespace viaduct::hailo_lpr {

// Reads what a detector found. One thread at a time.
class Recogniser {
 public:
  virtual ~Recogniser() = default;
  // The likeliest readings first, none where there is nothing to read. `picture` as the detector
  // had it.
  virtual absl::Status Read(const cv::Mat& picture, const Detection& plate,
                            std::vector<Reading>* readings) = 0;
  // Adds to readings of the plate, the one that was chosen first, what else is written on it.
  virtual absl::Status AddProvince(const cv::Mat& /*picture*/, const Detection& /*plate*/,
                                   std::vector<Reading>* /*readings*/) {
    return absl::OkStatus();
  }
};

// Brings a grey or coloured crop to the size of a model's input, standardised as in
// training/net.py. `input` keeps its memory.
void FillInput(const cv::Mat& crop, const TensorShape& shape, cv::Mat* input);

// The picture of a plate, upright and grey: what lies around `plate` turned by its slope. Empty if
// it lies outside of `picture`.
cv::Mat CropUpright(const cv::Mat& picture, const Detection& plate);

class PlateReader final : public Recogniser {
 public:
  // `runner` takes one grey channel. With `province` plates whose first reading may be Thai have
  // the province that stands below it.
  PlateReader(std::unique_ptr<Runner> runner, CtcOptions options,
              std::unique_ptr<ProvinceReader> province = nullptr)
      : runner_(std::move(runner)), options_(std::move(options)), province_(std::move(province)) {}

  absl::Status Read(const cv::Mat& picture, const Detection& plate,
                    std::vector<Reading>* readings) override;
  // The same for a picture that is the plate.
  absl::Status ReadCrop(const cv::Mat& crop, std::vector<Reading>* readings);
  absl::Status AddProvince(const cv::Mat& picture, const Detection& plate,
                           std::vector<Reading>* readings) override;

 private:
  const std::unique_ptr<Runner> runner_;
  absl::Status ReadLook(const cv::Mat& picture, const Detection& look,
                        std::vector<Reading>* readings);
  absl::Status ReadStack(const cv::Mat& picture, const std::vector<Detection>& lines,
                         std::vector<Reading>* readings);

  const CtcOptions options_;
  const std::unique_ptr<ProvinceReader> province_;
  cv::Mat input_;
  std::vector<Tensor> outputs_;
};

// The likeliest first, and kMostReadings at most.
void KeepLikeliest(std::vector<Reading>* readings);

// The classes of the model in models/, in order: digits, Latin capitals, Thai consonants.
std::vector<std::string> ReaderAlphabet();

}  // namespace viaduct::hailo_lpr
