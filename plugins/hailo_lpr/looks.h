// A plate that is read more than once, cut a little otherwise each time: the cut of a detector is
// never quite right, and what only one cut says is hardly to be believed.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "opencv2/core.hpp"
#include "plugins/hailo_lpr/detection.h"
#include "plugins/hailo_lpr/plate_reader.h"
#include "plugins/hailo_lpr/reading.h"

namespace viaduct::hailo_lpr {

// So many further looks at a plate at most: turned either way, and lower.
inline constexpr size_t kMoreLooks = 3;

// `readings`, what `reader` said of `plate`, become the mean of that and of the further looks, of
// which there are fewer where the first ones leave no doubt. A text counts as 0 in a look that has
// not got it.
absl::Status LookAgain(const cv::Mat& picture, const Detection& plate, Recogniser* reader,
                       std::vector<Reading>* readings);

}  // namespace viaduct::hailo_lpr
