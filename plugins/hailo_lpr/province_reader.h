// The province of a Thai plate: a line of small letters below its characters, told apart as a
// whole.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "opencv2/core.hpp"
#include "plugins/hailo_lpr/detection.h"
#include "plugins/hailo_lpr/runner.h"

namespace viaduct::hailo_lpr {

// What lies beside the model: models/province.yaml.
struct ProvinceOptions {
  static constexpr size_t kMostNames = 1000;
  static constexpr size_t kMaxFileBytes = 1u << 20;
  static constexpr int kMaxSide = 4096;  // Of the input, in pixels.

  // INVALID_ARGUMENT names what is wrong, NOT_FOUND: no such file.
  static absl::StatusOr<ProvinceOptions> Load(const std::string& path);

  TensorShape input;               // 1 x 1 x rows x columns.
  std::vector<std::string> names;  // Classes of the model but the first, which is "none of them".
  float temperature = 1;           // Logits are divided by it; what calibration found.
  float reject_below = 0;          // A province that is less certain is not given.
};

struct Province {
  std::string name;      // Empty: there is none, or it is not certain enough.
  float confidence = 0;  // Of the likeliest name, also where it is not given.
};

// What several crops of one line say together. A crop that is cut badly is unsure of many names,
// and seldom of the same as another; so the cubes of the probabilities count.
class ProvinceVotes {
 public:
  // Classes: the first is "none of them", which is no vote.
  explicit ProvinceVotes(size_t classes) : votes_(classes), surest_(classes) {}

  void Add(const std::vector<float>& probabilities);
  // A crop was so certain that no other need be asked.
  bool IsCertain() const;
  // The class with the most votes; 0 where there is none at all.
  size_t best() const;
  // What the surest crop says of that class, less the more votes others have.
  float confidence() const;

 private:
  std::vector<float> votes_;   // Of each class.
  std::vector<float> surest_;  // The highest probability of each class.
};

// One thread at a time.
class ProvinceReader {
 public:
  // `runner` takes options.input.
  ProvinceReader(std::unique_ptr<Runner> runner, ProvinceOptions options)
      : runner_(std::move(runner)), options_(std::move(options)) {}

  // `plate` as a detector found it in `picture`. All cuts of its words have a vote.
  absl::Status Read(const cv::Mat& picture, const Detection& plate, Province* province);
  // The same for a picture that is the line of the province.
  absl::Status ReadCrop(const cv::Mat& crop, Province* province);

 private:
  absl::Status Add(const cv::Mat& crop, ProvinceVotes* votes);
  Province Elected(const ProvinceVotes& votes) const;

  const std::unique_ptr<Runner> runner_;
  const ProvinceOptions options_;
  cv::Mat input_;
  std::vector<Tensor> outputs_;
};

// Pictures, upright and grey, that may be the line below `line` and above `next` (which may be
// null), the likeliest first; at most three.
std::vector<cv::Mat> LinesBelow(const cv::Mat& picture, const Detection& line,
                                const Detection* next);

// The same for all lines of a plate, after the parts of it in which words may stand.
std::vector<cv::Mat> WordsOf(const cv::Mat& picture, const Detection& plate);

}  // namespace viaduct::hailo_lpr
