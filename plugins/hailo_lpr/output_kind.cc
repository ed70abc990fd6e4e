#include "plugins/hailo_lpr/output_kind.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr int kSideChannels = 64;  // Of a head of YOLOv8: four distances of 16 bins.
constexpr int kBoxSides = 4;
constexpr std::array<int, 2> kTinyStrides = {32, 16};
constexpr int kAnchors = 3;
constexpr int kLeastAnchorFields = 6;

bool IsGrid(const TensorInfo& output) {
  return output.form == TensorForm::kPlain && output.shape.sizes.size() == 4 &&
         output.shape.sizes[0] == 1;
}

int Rows(const TensorInfo& grid) { return grid.shape.sizes[grid.channels_last ? 1 : 2]; }
int Channels(const TensorInfo& grid) { return grid.shape.sizes[grid.channels_last ? 3 : 1]; }

bool IsNms(const std::vector<TensorInfo>& outputs) {
  return outputs.size() == 1 && outputs[0].form != TensorForm::kPlain;
}

// 1 x (4 + classes) x boxes, perhaps with a size of 1 more.
bool IsYolo8(const std::vector<TensorInfo>& outputs) {
  if (outputs.size() != 1 || outputs[0].form != TensorForm::kPlain) return false;
  const std::vector<int>& sizes = outputs[0].shape.sizes;
  return sizes.size() == 3 && sizes[0] == 1 && sizes[1] > kBoxSides && sizes[2] > 0;
}

bool IsYolo8Heads(const std::vector<TensorInfo>& outputs) {
  return outputs.size() >= 2 && std::all_of(outputs.begin(), outputs.end(), IsGrid) &&
         std::any_of(outputs.begin(), outputs.end(),
                     [](const TensorInfo& one) { return Channels(one) == kSideChannels; });
}

bool IsTinyYolo4(const std::vector<TensorInfo>& outputs, cv::Size input) {
  const size_t strides = kTinyStrides.size();
  const bool in_parts = outputs.size() == strides * kTinyParts || outputs.size() == kTinyParts;
  if (outputs.empty() || (outputs.size() > strides && !in_parts)) return false;
  return std::all_of(outputs.begin(), outputs.end(), [&](const TensorInfo& one) {
    const bool whole = TinyPartOf(one.name) == TinyPart::kWhole;
    return IsGrid(one) && Rows(one) > 0 && whole != in_parts && Channels(one) % kAnchors == 0 &&
           (in_parts || Channels(one) / kAnchors >= kLeastAnchorFields) &&
           std::count(kTinyStrides.begin(), kTinyStrides.end(), input.height / Rows(one));
  });
}

// The anchors can not be seen in an output; Hailo's names begin with that of the model.
bool IsHailosPlates(const std::vector<TensorInfo>& outputs) {
  return std::all_of(outputs.begin(), outputs.end(), [](const TensorInfo& one) {
    return absl::StrContains(one.name, "license_plate");
  });
}

std::string Describe(const std::vector<TensorInfo>& outputs) {
  return absl::StrJoin(outputs, ", ", [](std::string* out, const TensorInfo& one) {
    absl::StrAppend(out, one.name, " ",
                    one.form == TensorForm::kPlain ? absl::StrJoin(one.shape.sizes, "x") : "NMS");
  });
}

// The decoders read rows x columns x channels.
void PutChannelsLast(Tensor* tensor) {
  if (tensor->channels_last || !IsGrid(*tensor)) return;
  const std::vector<int>& sizes = tensor->shape.sizes;
  const auto channels = static_cast<size_t>(sizes[1]);
  const size_t cells = tensor->values.size() / std::max<size_t>(channels, 1);
  std::vector<float> turned(tensor->values.size());
  for (size_t channel = 0; channel < channels; ++channel) {
    for (size_t cell = 0; cell < cells; ++cell) {
      turned[cell * channels + channel] = tensor->values[channel * cells + cell];
    }
  }
  tensor->values = std::move(turned);
  tensor->shape.sizes = {1, sizes[2], sizes[3], sizes[1]};
  tensor->channels_last = true;
}

absl::Status DecodeNms(const Tensor& output, cv::Size input, const DecodeOptions& options,
                       std::vector<Detection>* found) {
  const absl::Status decoded =
      output.form == TensorForm::kNmsByScore
          ? DecodeNmsByScore(output.octets, options, found)
          : DecodeNmsByClass(output.values, output.classes, output.most_of_a_class, options, found);
  const auto width = static_cast<float>(input.width);
  const auto height = static_cast<float>(input.height);
  for (Detection& one : *found) {
    one.box = {one.box.left * width, one.box.top * height, one.box.right * width,
               one.box.bottom * height};
  }
  return decoded;
}

}  // namespace

absl::StatusOr<OutputKind> ChooseOutputKind(const std::string& configured,
                                            const std::vector<TensorInfo>& outputs,
                                            cv::Size input) {
  struct Known {
    const char* word;
    OutputKind kind;
    bool fits;
  };
  const bool automatic = configured == "auto";
  const bool tiny = IsTinyYolo4(outputs, input);
  const std::array<Known, 5> known = {
      {{"nms", OutputKind::kNms, IsNms(outputs)},
       {"yolo8", OutputKind::kYolo8, IsYolo8(outputs)},
       {"yolo8_heads", OutputKind::kYolo8Heads, IsYolo8Heads(outputs)},
       {"yolo4_tiny_plates", OutputKind::kTinyYolo4Plates,
        tiny && (!automatic || IsHailosPlates(outputs))},
       {"yolo4_tiny", OutputKind::kTinyYolo4, tiny}}};
  bool is_known = automatic;
  for (const Known& one : known) {
    if ((automatic || configured == one.word) && one.fits) return one.kind;
    is_known = is_known || configured == one.word;
  }
  if (!is_known) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model: output ", configured,
        ": is not one of auto, nms, yolo8, yolo8_heads, yolo4_tiny, yolo4_tiny_plates"));
  }
  return absl::InvalidArgumentError(absl::StrCat("model: outputs ", Describe(outputs),
                                                 ": are not those of ",
                                                 automatic ? "a known detector" : configured));
}

absl::Status DecodeOutputs(OutputKind kind, cv::Size input, bool logits,
                           const DecodeOptions& options, std::vector<Tensor>* outputs,
                           std::vector<Detection>* found) {
  found->clear();
  if (outputs->empty()) return absl::InvalidArgumentError("model: it has no output");
  switch (kind) {
    case OutputKind::kNms:
      return DecodeNms(outputs->front(), input, options, found);
    case OutputKind::kYolo8:
      return DecodeYolo8(outputs->front(), options, found);
    case OutputKind::kYolo8Heads:
    case OutputKind::kTinyYolo4:
    case OutputKind::kTinyYolo4Plates:
      break;
  }
  for (Tensor& output : *outputs) PutChannelsLast(&output);
  if (kind == OutputKind::kYolo8Heads) {
    return DecodeYolo8Heads(*outputs, input, logits, options, found);
  }
  const TinyAnchors anchors =
      kind == OutputKind::kTinyYolo4Plates ? TinyAnchors::kHailoPlates : TinyAnchors::kAuthors;
  return DecodeTinyYolo4(*outputs, input, anchors, options, found);
}

absl::Status FitCtc(const TensorInfo& output, CtcOptions* options) {
  const auto classes = static_cast<int>(options->alphabet.size()) + 1;
  const std::vector<int>& sizes = output.shape.sizes;
  const bool plain = output.form == TensorForm::kPlain && !sizes.empty();
  // A single place is both.
  if (plain && sizes.back() == classes && (output.channels_last || sizes.size() < 4)) {
    options->classes_first = false;
    return absl::OkStatus();
  }
  if (plain && sizes.size() >= 2 && sizes[1] == classes) {
    options->classes_first = true;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("model: output ", output.name, " is ",
                                                 absl::StrJoin(sizes, "x"), ", not of ", classes,
                                                 " classes"));
}

}  // namespace viaduct::hailo_lpr
