#include "plugins/hailo_lpr/hailo/testing/hailort_double_model.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "absl/memory/memory.h"
#include "opencv2/imgproc.hpp"
#include "plugins/hailo_lpr/decoders.h"
#include "plugins/hailo_lpr/opencv_runner.h"

namespace viaduct::hailo_lpr::hailort {
namespace {

template <typename T>
void Append(const T& value, std::vector<uint8_t>* octets) {
  std::array<uint8_t, sizeof(T)> raw;
  std::memcpy(raw.data(), &value, sizeof(T));
  octets->insert(octets->end(), raw.begin(), raw.end());
}

std::vector<uint8_t> ChannelsLast(const Tensor& tensor, const std::vector<uint32_t>& shape) {
  const size_t channels = shape[2];
  const size_t cells = size_t{shape[0]} * shape[1];
  std::vector<uint8_t> octets;
  for (size_t cell = 0; cell < cells; ++cell) {
    for (size_t channel = 0; channel < channels; ++channel) {
      Append(tensor.values[channel * cells + cell], &octets);
    }
  }
  return octets;
}

void AppendBox(const Detection& one, const TensorShape& input, std::vector<uint8_t>* octets) {
  const auto rows = static_cast<float>(input.sizes[2]);
  const auto columns = static_cast<float>(input.sizes[3]);
  for (const float value : {one.box.top / rows, one.box.left / columns, one.box.bottom / rows,
                            one.box.right / columns, one.score}) {
    Append(value, octets);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<RunningModel>> RunningModel::Load(const DoubleModel& model) {
  auto running = absl::WrapUnique(new RunningModel(model));
  auto runner = OpenCvRunner::Load(model.onnx, model.input, model.normalisation);
  if (!runner.ok()) return runner.status();
  running->runner_ = *std::move(runner);
  return running;
}

std::vector<uint32_t> RunningModel::shape(size_t at) const {
  std::vector<uint32_t> sizes;
  for (const int size : runner_->outputs()[at].shape.sizes) {
    sizes.push_back(static_cast<uint32_t>(size));
  }
  sizes.resize(4, 1);
  return {sizes[2], sizes[3], sizes[1]};
}

size_t RunningModel::frame_octets(size_t at) const {
  switch (form_) {
    case TensorForm::kNmsByClass:
      return classes_ * (1 + 5 * most_of_a_class_) * sizeof(float);
    case TensorForm::kNmsByScore:
      return sizeof(uint16_t) +
             classes_ * most_of_a_class_ * (5 * sizeof(float) + sizeof(uint16_t));
    case TensorForm::kPlain:
      break;
  }
  return runner_->outputs()[at].shape.elements() * sizeof(float);
}

absl::Status RunningModel::Infer(const std::vector<uint8_t>& pixels) {
  const std::vector<int>& sizes = input_.sizes;
  // OpenCV has no constant header over memory of others.
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast)
  const cv::Mat given(sizes[2], sizes[3], CV_8UC(sizes[1]), const_cast<uint8_t*>(pixels.data()));
  cv::Mat picture = given;
  if (sizes[1] == 3) cv::cvtColor(given, picture, cv::COLOR_RGB2BGR);
  std::vector<Tensor> outputs;
  if (absl::Status run = runner_->RunPicture(picture, &outputs); !run.ok()) return run;
  if (form_ != TensorForm::kPlain) return WriteBoxes(outputs);
  frames_.resize(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) frames_[i] = ChannelsLast(outputs[i], shape(i));
  return absl::OkStatus();
}

// The frame of HailoRT is as long as the most that it can hold; what lies behind the boxes is not
// cleared.
absl::Status RunningModel::WriteBoxes(const std::vector<Tensor>& outputs) {
  std::vector<Detection> found;
  DecodeOptions options;
  options.least_score = 0.05F;
  absl::Status decoded = DecodeYolo8(outputs[0], options, &found);
  std::vector<uint8_t> frame;
  if (form_ == TensorForm::kNmsByScore) {
    Append(static_cast<uint16_t>(found.size()), &frame);
    for (const Detection& one : found) {
      AppendBox(one, input_, &frame);
      Append(static_cast<uint16_t>(one.label), &frame);
    }
  }
  for (size_t label = 0; form_ == TensorForm::kNmsByClass && label < classes_; ++label) {
    std::vector<uint8_t> boxes;
    for (const Detection& one : found) {
      if (one.label == static_cast<int>(label)) AppendBox(one, input_, &boxes);
    }
    const size_t count = boxes.size() / (5 * sizeof(float));
    Append(static_cast<float>(count), &frame);
    frame.insert(frame.end(), boxes.begin(), boxes.end());
  }
  frame.resize(frame_octets(0), 0xff);
  frames_ = {std::move(frame)};
  return decoded;
}

}  // namespace viaduct::hailo_lpr::hailort
