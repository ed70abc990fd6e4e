#include "plugins/hailo_lpr/picture_input.h"

#include <array>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "opencv2/imgproc.hpp"

namespace viaduct::hailo_lpr {
namespace {

constexpr int kMostSide = 4096;  // Of an input, in pixels.

absl::Status WrongSize(const cv::Mat& given, const TensorShape& input) {
  std::vector<int> sizes(given.size.p, given.size.p + given.dims);
  return absl::InvalidArgumentError(absl::StrCat("model: input of ", absl::StrJoin(sizes, "x"),
                                                 " and type ", given.type(), ", wanted ",
                                                 absl::StrJoin(input.sizes, "x")));
}

// In the channels of `input`, its colours as RGB; into the memory of `out` where that fits.
absl::Status InChannels(const cv::Mat& picture, const TensorShape& input, cv::Mat* out) {
  const std::vector<int>& sizes = input.sizes;
  const bool fits = picture.dims == 2 && picture.depth() == CV_8U && picture.rows == sizes[2] &&
                    picture.cols == sizes[3] &&
                    (picture.channels() == 1 || picture.channels() == 3);
  if (!fits) return WrongSize(picture, input);
  if (picture.channels() == 3) {
    cv::cvtColor(picture, *out, sizes[1] == 3 ? cv::COLOR_BGR2RGB : cv::COLOR_BGR2GRAY);
  } else if (sizes[1] == 3) {
    cv::cvtColor(picture, *out, cv::COLOR_GRAY2RGB);
  } else {
    picture.copyTo(*out);
  }
  return absl::OkStatus();
}

// The planes of a 1 x channels x rows x columns, sharing its memory.
std::vector<cv::Mat> Planes(const cv::Mat& tensor, const TensorShape& input) {
  std::vector<cv::Mat> planes;
  for (int channel = 0; channel < input.sizes[1]; ++channel) {
    const std::array<int, 2> at = {0, channel};
    // OpenCV has no constant header over memory of others.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast)
    auto* values = const_cast<float*>(tensor.ptr<float>(at[0], at[1]));
    planes.emplace_back(input.sizes[2], input.sizes[3], CV_32F, values);
  }
  return planes;
}

}  // namespace

absl::Status CheckInput(const TensorShape& input) {
  const std::vector<int>& sizes = input.sizes;
  const auto side = [](int size) { return size >= 1 && size <= kMostSide; };
  if (sizes.size() == 4 && sizes[0] == 1 && (sizes[1] == 1 || sizes[1] == 3) && side(sizes[2]) &&
      side(sizes[3])) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("model: input of ", absl::StrJoin(sizes, "x"),
                                                 ", wanted 1 x (1 or 3) x rows x columns, at most ",
                                                 kMostSide));
}

absl::Status FillPlanes(const cv::Mat& picture, const TensorShape& input,
                        const Normalisation& normalisation, cv::Mat* planes) {
  cv::Mat pixels;
  if (absl::Status fits = InChannels(picture, input, &pixels); !fits.ok()) return fits;
  planes->create(4, input.sizes.data(), CV_32F);
  std::vector<cv::Mat> out = Planes(*planes, input);
  const double scale = 1 / static_cast<double>(normalisation.deviation);
  cv::Mat normalised;
  pixels.convertTo(normalised, CV_32F, scale, -normalisation.mean * scale);
  cv::split(normalised, out);
  return absl::OkStatus();
}

absl::Status FillPixels(const cv::Mat& picture, const TensorShape& input,
                        std::vector<uint8_t>* pixels) {
  pixels->resize(input.elements());
  cv::Mat out(input.sizes[2], input.sizes[3], CV_8UC(input.sizes[1]), pixels->data());
  return InChannels(picture, input, &out);
}

absl::Status PlanesToPixels(const cv::Mat& planes, const TensorShape& input,
                            const Normalisation& normalisation, std::vector<uint8_t>* pixels) {
  const bool fits = planes.dims == 4 && planes.type() == CV_32F && planes.isContinuous() &&
                    std::vector<int>(planes.size.p, planes.size.p + 4) == input.sizes;
  if (!fits) return WrongSize(planes, input);
  cv::Mat merged;
  cv::merge(Planes(planes, input), merged);
  pixels->resize(input.elements());
  cv::Mat out(input.sizes[2], input.sizes[3], CV_8UC(input.sizes[1]), pixels->data());
  merged.convertTo(out, out.type(), normalisation.deviation, normalisation.mean);
  return absl::OkStatus();
}

absl::Status CheckModelFile(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (error) return absl::NotFoundError(absl::StrCat("model: ", path, ": ", error.message()));
  if (!std::filesystem::is_regular_file(status)) {
    return absl::InvalidArgumentError(absl::StrCat("model: ", path, ": is no plain file"));
  }
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  if (error) return absl::NotFoundError(absl::StrCat("model: ", path, ": ", error.message()));
  if (bytes == 0 || bytes > static_cast<std::uintmax_t>(kMaxModelBytes)) {
    return absl::InvalidArgumentError(absl::StrCat("model: ", path, ": has ", bytes, " bytes"));
  }
  return absl::OkStatus();
}

}  // namespace viaduct::hailo_lpr
