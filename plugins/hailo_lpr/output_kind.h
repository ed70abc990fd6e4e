// How a model says what it found: told by its outputs, or by the configuration. One place for all
// libraries that run models.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "opencv2/core.hpp"
#include "plugins/hailo_lpr/ctc.h"
#include "plugins/hailo_lpr/decoders.h"
#include "plugins/hailo_lpr/tensor.h"

namespace viaduct::hailo_lpr {

enum class OutputKind {
  kNms,              // The boxes themselves, chosen by the device or HailoRT.
  kYolo8,            // One tensor, as its authors export it.
  kYolo8Heads,       // Before the last step.
  kTinyYolo4,        // Two grids with anchors, or the four parts of each.
  kTinyYolo4Plates,  // The same with the anchors of Hailo's detector of plates.
};

// `configured`: "nms", "yolo8", "yolo8_heads", "yolo4_tiny", "yolo4_tiny_plates", or "auto".
// INVALID_ARGUMENT: another word, or outputs that do not fit; the text has their names and shapes.
absl::StatusOr<OutputKind> ChooseOutputKind(const std::string& configured,
                                            const std::vector<TensorInfo>& outputs, cv::Size input);

// Boxes in pixels of the input. `logits`: the scores of kYolo8Heads have not been through a
// sigmoid. The outputs may come out with their axes turned.
absl::Status DecodeOutputs(OutputKind kind, cv::Size input, bool logits,
                           const DecodeOptions& options, std::vector<Tensor>* outputs,
                           std::vector<Detection>* found);

// Sets classes_first as the output of a recogniser has it: an ONNX has its classes first, a HEF
// last. INVALID_ARGUMENT: it has not as many classes as the alphabet and the blank.
absl::Status FitCtc(const TensorInfo& output, CtcOptions* options);

}  // namespace viaduct::hailo_lpr
