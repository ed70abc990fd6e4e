// Reads the picture of a plate with a model of a user's.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "plugins/hailo_lpr/ctc.h"
#include "plugins/hailo_lpr/decoders.h"
#include "plugins/hailo_lpr/output_kind.h"
#include "plugins/hailo_lpr/plate_reader.h"
#include "plugins/hailo_lpr/runner.h"
#include "plugins/hailo_lpr/slots.h"

namespace viaduct::hailo_lpr {

struct ReaderOptions {
  // How the model says what it reads: "ctc" (LPRNet and its like), "slots" (fast-plate-ocr and its
  // like), "characters" (a detector of characters), or "auto": by its outputs and the alphabet.
  std::string output = "auto";
  std::vector<std::string> alphabet;  // Classes in order; of "ctc" but for the blank.
  std::string padding = "_";          // Of "slots": what fills up; one of the alphabet.
  size_t blank = 0;                   // Of "ctc": the class of "nothing".
  bool logits = true;                 // Of "ctc": not been through a softmax.
  float temperature = 1;              // Of logits.
  DecodeOptions decode;               // Of "characters".
};

class ModelReader final : public Recogniser {
 public:
  // `runner` takes the crop as it is, stretched to its input. INVALID_ARGUMENT: outputs that do not
  // fit the alphabet.
  static absl::StatusOr<std::unique_ptr<ModelReader>> Create(std::unique_ptr<Runner> runner,
                                                             const ReaderOptions& options);

  absl::Status Read(const cv::Mat& picture, const Detection& plate,
                    std::vector<Reading>* readings) override;

 private:
  enum class Kind { kCtc, kSlots, kCharacters };

  ModelReader(std::unique_ptr<Runner> runner, ReaderOptions options)
      : runner_(std::move(runner)), options_(std::move(options)) {}
  absl::Status Choose();
  absl::Status ReadCharacters(std::vector<Reading>* readings);

  const std::unique_ptr<Runner> runner_;
  const ReaderOptions options_;
  Kind kind_ = Kind::kCtc;
  OutputKind boxes_ = OutputKind::kNms;  // Of kCharacters.
  CtcOptions ctc_;
  cv::Mat fitted_;
  std::vector<Tensor> outputs_;
};

// What a detector of characters found, as a text: rows from above, each from the left. Labels that
// are not in the alphabet are left out.
Reading JoinCharacters(std::vector<Detection> found, const std::vector<std::string>& alphabet);

}  // namespace viaduct::hailo_lpr
