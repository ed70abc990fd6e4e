// What an instance finds and reads with, made from its options.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "plugins/hailo_lpr/detection.h"
#include "plugins/hailo_lpr/grammar.h"
#include "plugins/hailo_lpr/options.h"
#include "plugins/hailo_lpr/plate_reader.h"
#include "plugins/hailo_lpr/runner.h"

namespace viaduct::hailo_lpr {

struct Models {
  std::unique_ptr<Detector> vehicles;  // Null: none.
  bool vehicles_by_motion = false;     // It wants the pictures of one fixed camera, in order.
  std::vector<std::string> vehicle_labels;
  std::unique_ptr<Detector> plates;
  std::unique_ptr<Recogniser> reader;
  // Below it a reading is a guess, as calibration found.
  float reject_below = 0;
  std::vector<Grammar> grammars;
  // Of what is above, to ask how they are; they live as long.
  std::vector<const Runner*> runners;
};

// NOT_FOUND: a file is missing; INVALID_ARGUMENT: it is not what it should be; UNAVAILABLE: the
// device that is to run it is away. Names the file.
absl::StatusOr<Models> LoadModels(const ModelOptions& options);

// What a model's own file, `reader.yaml` beside `reader.onnx`, says of it.
struct ReaderFacts {
  // "": a reader of training/. Else a model of a user's, and how it says what it reads
  // (model_reader.h).
  std::string output;
  std::string padding = "_";
  size_t blank = 0;
  int channels = 1;
  int width = 0;
  int height = 0;
  float temperature = 1;
  float reject_below = 0;
  std::vector<std::string> alphabet;
};
absl::StatusOr<ReaderFacts> ParseReaderFacts(std::string_view yaml);

// The folder with models and grammars that belongs to the program that runs:
// <its folder>/../share/viaduct/hailo_lpr.
std::string DataFolder();

}  // namespace viaduct::hailo_lpr
