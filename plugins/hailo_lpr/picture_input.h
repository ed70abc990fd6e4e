// Pictures as the inputs of models; one place for every library that runs them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "opencv2/core.hpp"
#include "plugins/hailo_lpr/runner.h"

namespace viaduct::hailo_lpr {

// A size that pictures can have: one picture, one or three channels, bounded.
absl::Status CheckInput(const TensorShape& input);
// `picture` (8 bits, grey or BGR, the rows and columns of `input`) as planes of floats, RGB.
absl::Status FillPlanes(const cv::Mat& picture, const TensorShape& input,
                        const Normalisation& normalisation, cv::Mat* planes);
// The same as pixels of octets, RGB.
absl::Status FillPixels(const cv::Mat& picture, const TensorShape& input,
                        std::vector<uint8_t>* pixels);
// Planes of floats as the octets that would have been normalised to them; what is beyond an octet
// is cut.
absl::Status PlanesToPixels(const cv::Mat& planes, const TensorShape& input,
                            const Normalisation& normalisation, std::vector<uint8_t>* pixels);

// Models larger than that are none.
inline constexpr int64_t kMaxModelBytes = 512LL << 20;
// NOT_FOUND, or INVALID_ARGUMENT: no plain file, empty, or too large.
absl::Status CheckModelFile(const std::string& path);

}  // namespace viaduct::hailo_lpr
