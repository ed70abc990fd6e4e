// One picture: vehicles, plates and what they say.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "opencv2/core.hpp"
#include "plugins/hailo_lpr/models.h"
#include "plugins/hailo_lpr/options.h"
#include "plugins/hailo_lpr/reading.h"

namespace viaduct::hailo_lpr {

struct Vehicle {
  Box box;
  float score = 0;
  std::string label;
};

struct PlateSeen {
  Detection plate;
  // The one that was chosen first, then the likeliest; none where nothing could be read.
  std::vector<Reading> readings;
  std::string grammar;    // That the first one has a form of; "": none.
  bool accepted = false;  // It is no guess.
};

// Milliseconds.
struct StageTimes {
  double decode = 0;
  double vehicles = 0;
  double plates = 0;
  double read = 0;
  double encode = 0;

  double total() const { return decode + vehicles + plates + read + encode; }
};

struct Analysis {
  cv::Size size;
  std::vector<Vehicle> vehicles;
  std::vector<PlateSeen> plates;  // Also those that are not accepted, the best box first.
  float min_confidence = 0;
  StageTimes times;
};

// Bounded memory. One thread at a time.
class Analyser {
 public:
  static constexpr size_t kMostPlates = 16;

  struct Request {
    std::optional<float> min_confidence;
    bool own_source = false;  // Its pictures follow each other: what moves can be told.
  };

  Analyser(Models models, PlateOptions options)
      : models_(std::move(models)), options_(std::move(options)) {}

  // Leaves times.decode and times.encode as they are.
  absl::Status Analyse(const cv::Mat& picture, const Request& request, Analysis* out);

 private:
  bool UsesVehicles(bool own_source) const;
  absl::Status FindVehicles(const cv::Mat& picture, Analysis* out);
  absl::Status FindPlates(const cv::Mat& picture, bool in_vehicles, Analysis* out);
  absl::Status FindPlatesIn(const cv::Mat& picture, const cv::Rect& part,
                            std::vector<Detection>* found);
  bool Counts(const Detection& plate, const cv::Size& size) const;
  absl::Status Read(const cv::Mat& picture, Analysis* out);
  absl::Status LookAgainAtDoubted(const cv::Mat& picture, Analysis* out);
  void Choose(PlateSeen* seen) const;
  void DoubtUnusual(PlateSeen* seen) const;

  Models models_;
  const PlateOptions options_;
  std::vector<Detection> found_;
};

}  // namespace viaduct::hailo_lpr
