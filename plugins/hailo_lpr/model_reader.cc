#include "plugins/hailo_lpr/model_reader.h"

#include <algorithm>
#include <cmath>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "opencv2/imgproc.hpp"

namespace viaduct::hailo_lpr {
namespace {

constexpr float kSameRow = 0.5F;  // Of the height of a character: so far apart are one row's.

// Level plates keep their colours.
cv::Mat Crop(const cv::Mat& picture, const Detection& plate) {
  if (plate.slope != 0) return CropUpright(picture, plate);
  const cv::Rect whole(0, 0, picture.cols, picture.rows);
  const auto round = [](float value) { return static_cast<int>(std::lround(value)); };
  const cv::Point from(round(plate.box.left), round(plate.box.top));
  const cv::Point to(round(plate.box.right), round(plate.box.bottom));
  return picture(cv::Rect(from, to) & whole);
}

// Some recognisers leave several rows of scores: their mean is one.
void AverageRows(Tensor* output) {
  std::vector<int>& sizes = output->shape.sizes;
  if (sizes.size() != 4 || output->values.size() != output->shape.elements()) return;
  const size_t row_axis = output->channels_last ? 1 : 2;
  const auto rows = static_cast<size_t>(sizes[row_axis]);
  if (rows < 2) return;
  size_t inner = 1;  // Values between one row and the next.
  for (size_t i = row_axis + 1; i < sizes.size(); ++i) inner *= static_cast<size_t>(sizes[i]);
  std::vector<float> means(output->values.size() / rows);
  for (size_t i = 0; i < output->values.size(); ++i) {
    const size_t block = i / (inner * rows);
    means[block * inner + i % inner] += output->values[i] / static_cast<float>(rows);
  }
  output->values = std::move(means);
  sizes[row_axis] = 1;
}

float Middle(const Detection& one) { return (one.box.top + one.box.bottom) / 2; }

}  // namespace

Reading JoinCharacters(std::vector<Detection> found, const std::vector<std::string>& alphabet) {
  std::sort(found.begin(), found.end(),
            [](const Detection& a, const Detection& b) { return Middle(a) < Middle(b); });
  int row = 0;
  std::vector<std::pair<int, const Detection*>> placed;
  for (const Detection& one : found) {
    const Detection* above = placed.empty() ? nullptr : placed.back().second;
    if (above != nullptr && Middle(one) - Middle(*above) > kSameRow * above->box.height()) ++row;
    placed.emplace_back(row, &one);
  }
  std::stable_sort(placed.begin(), placed.end(), [](const auto& a, const auto& b) {
    if (a.first != b.first) return a.first < b.first;
    return a.second->box.left < b.second->box.left;
  });
  Reading reading;
  reading.confidence = 1;
  for (const auto& [at, one] : placed) {
    const auto label = static_cast<size_t>(one->label);
    if (label >= alphabet.size()) continue;
    reading.characters.push_back({alphabet[label], one->score});
    reading.confidence *= std::min(one->score, 1.0F);
  }
  if (reading.characters.empty()) reading.confidence = 0;
  return reading;
}

absl::StatusOr<std::unique_ptr<ModelReader>> ModelReader::Create(std::unique_ptr<Runner> runner,
                                                                 const ReaderOptions& options) {
  if (options.alphabet.empty())
    return absl::InvalidArgumentError("model: a reader wants characters");
  auto reader = absl::WrapUnique(new ModelReader(std::move(runner), options));
  if (absl::Status chosen = reader->Choose(); !chosen.ok()) return chosen;
  return reader;
}

absl::Status ModelReader::Choose() {
  const std::string& output = options_.output;
  const bool automatic = output == "auto";
  const std::vector<TensorInfo>& outputs = runner_->outputs();
  const bool boxes = outputs.size() > 1 || outputs[0].form != TensorForm::kPlain;
  if (output == "characters" || (automatic && boxes)) {
    const std::vector<int>& sizes = runner_->input().sizes;
    const auto kind = ChooseOutputKind("auto", outputs, {sizes[3], sizes[2]});
    if (!kind.ok()) return kind.status();
    kind_ = Kind::kCharacters;
    boxes_ = *kind;
    return absl::OkStatus();
  }
  if (boxes) return absl::InvalidArgumentError("model: a reader has one output, no boxes");
  ctc_ = {options_.alphabet, options_.blank, false, options_.logits, options_.temperature};
  const absl::Status fits = FitCtc(outputs[0], &ctc_);
  if (output == "ctc" || (automatic && fits.ok())) return fits;
  kind_ = Kind::kSlots;
  const size_t elements = outputs[0].shape.elements();
  if ((automatic || output == "slots") && elements % options_.alphabet.size() == 0) {
    return absl::OkStatus();
  }
  if (automatic || output == "slots") return fits;
  return absl::InvalidArgumentError(
      absl::StrCat("model: output ", output, ": is not one of auto, ctc, slots, characters"));
}

absl::Status ModelReader::Read(const cv::Mat& picture, const Detection& plate,
                               std::vector<Reading>* readings) {
  readings->clear();
  const cv::Mat crop = Crop(picture, plate);
  if (crop.empty()) return absl::OkStatus();
  const std::vector<int>& sizes = runner_->input().sizes;
  cv::resize(crop, fitted_, cv::Size(sizes[3], sizes[2]), 0, 0, cv::INTER_LINEAR);
  const absl::Status run = runner_->RunPicture(fitted_, &outputs_);
  if (!run.ok()) return run;
  switch (kind_) {
    case Kind::kCharacters:
      return ReadCharacters(readings);
    case Kind::kSlots:
      return DecodeSlots(outputs_[0], {options_.alphabet, options_.padding}, readings);
    case Kind::kCtc:
      break;
  }
  AverageRows(&outputs_[0]);
  return DecodeCtc(outputs_[0], ctc_, readings);
}

absl::Status ModelReader::ReadCharacters(std::vector<Reading>* readings) {
  const std::vector<int>& sizes = runner_->input().sizes;
  std::vector<Detection> found;
  absl::Status decoded = DecodeOutputs(boxes_, {sizes[3], sizes[2]}, /*logits=*/false,
                                       options_.decode, &outputs_, &found);
  if (!decoded.ok()) return decoded;
  Reading reading = JoinCharacters(std::move(found), options_.alphabet);
  if (!reading.characters.empty()) readings->push_back(std::move(reading));
  return absl::OkStatus();
}

}  // namespace viaduct::hailo_lpr
