#include "plugins/hailo_lpr/models.h"

#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "plugins/hailo_lpr/character_lines.h"
#include "plugins/hailo_lpr/model_detector.h"
#include "plugins/hailo_lpr/model_reader.h"
#include "plugins/hailo_lpr/motion_detector.h"
#include "plugins/hailo_lpr/output_kind.h"
#include "plugins/hailo_lpr/runners.h"

namespace viaduct::hailo_lpr {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFactsBytes = 64 << 10;
constexpr int kMostSide = 4096;  // Of a reader's input.
constexpr size_t kMostClasses = 4096;
constexpr size_t kMostVehicles = 16;
// What a Hailo makes of octets for the nets of training/, which want a mean of 0 and a deviation of
// 1 (BACKENDS.md).
constexpr Normalisation kReaderNormalisation = {128, 32};

// Characters of a text in UTF-8.
std::vector<std::string> Characters(const std::string& text) {
  std::vector<std::string> out;
  for (const char octet : text) {
    const bool goes_on = (static_cast<unsigned char>(octet) & 0xc0U) == 0x80U;
    if (!goes_on || out.empty()) out.emplace_back();
    out.back() += octet;
  }
  return out;
}

// reader.yaml of reader.onnx.
std::string FactsPathOf(const std::string& model) {
  return fs::path(model).replace_extension(".yaml").string();
}

absl::StatusOr<ReaderFacts> LoadReaderFacts(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("model: ", path, ": cannot be read"));
  std::string text(kMaxFactsBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  absl::StatusOr<ReaderFacts> facts = ParseReaderFacts(text);
  if (facts.ok()) return facts;
  return absl::Status(facts.status().code(),
                      absl::StrCat("model: ", path, ": ", facts.status().message()));
}

// The runner of one model; `models` will know it.
absl::StatusOr<std::unique_ptr<Runner>> Load(const ModelOptions& options, ModelSpec spec,
                                             Models* models) {
  spec.backend = options.backend;
  spec.library = options.library;
  spec.threads = options.threads;
  spec.timeout_ms = static_cast<int>(absl::ToInt64Milliseconds(options.timeout));
  absl::StatusOr<std::unique_ptr<Runner>> runner = MakeRunner(spec);
  if (runner.ok()) models->runners.push_back(runner->get());
  return runner;
}

absl::Status Tried(const std::string& path, const absl::Status& tried) {
  if (tried.ok()) return tried;
  return absl::Status(tried.code(), absl::StrCat("model: ", path, ": ", tried.message()));
}

// The output must fit the alphabet before the first plate shows that it does not.
absl::Status TryReader(const std::string& path, Recogniser* reader, int width, int height) {
  Detection whole;
  whole.box = {0, 0, static_cast<float>(width), static_cast<float>(height)};
  std::vector<Reading> readings;
  const cv::Mat blank(height, width, CV_8UC1, cv::Scalar(0));
  return Tried(path, reader->Read(blank, whole, &readings));
}

// The model for provinces that comes with the reader's data; null: it has none.
absl::StatusOr<std::unique_ptr<ProvinceReader>> LoadProvince(const ModelOptions& options,
                                                             const std::string& data,
                                                             Models* models) {
  ModelSpec spec;
  spec.path = absl::StrCat(data, "/models/province.onnx");
  std::error_code error;
  if (!fs::exists(spec.path, error)) return nullptr;
  absl::StatusOr<ProvinceOptions> province = ProvinceOptions::Load(FactsPathOf(spec.path));
  if (!province.ok()) return province.status();
  spec.input = province->input;
  spec.normalisation = kReaderNormalisation;
  absl::StatusOr<std::unique_ptr<Runner>> runner = Load(options, spec, models);
  if (!runner.ok()) return runner.status();
  return std::make_unique<ProvinceReader>(*std::move(runner), *std::move(province));
}

// One of training/, with its provinces.
absl::StatusOr<std::unique_ptr<Recogniser>> LoadOwnReader(const ModelOptions& options,
                                                          const std::string& data, ModelSpec spec,
                                                          const ReaderFacts& facts,
                                                          Models* models) {
  spec.normalisation = kReaderNormalisation;
  absl::StatusOr<std::unique_ptr<Runner>> runner = Load(options, spec, models);
  if (!runner.ok()) return runner.status();
  CtcOptions ctc;
  ctc.alphabet = facts.alphabet;
  ctc.temperature = facts.temperature;
  const absl::Status fits = Tried(spec.path, FitCtc((*runner)->outputs()[0], &ctc));
  if (!fits.ok()) return fits;
  absl::StatusOr<std::unique_ptr<ProvinceReader>> province = LoadProvince(options, data, models);
  if (!province.ok()) return province.status();
  return std::make_unique<PlateReader>(*std::move(runner), ctc, *std::move(province));
}

absl::StatusOr<std::unique_ptr<Recogniser>> LoadUsersReader(const ModelOptions& options,
                                                            const ModelSpec& spec,
                                                            const ReaderFacts& facts,
                                                            Models* models) {
  absl::StatusOr<std::unique_ptr<Runner>> runner = Load(options, spec, models);
  if (!runner.ok()) return runner.status();
  ReaderOptions reader;
  reader.output = facts.output;
  reader.alphabet = facts.alphabet;
  reader.padding = facts.padding;
  reader.blank = facts.blank;
  reader.temperature = facts.temperature;
  absl::StatusOr<std::unique_ptr<ModelReader>> made =
      ModelReader::Create(*std::move(runner), reader);
  if (!made.ok()) return Tried(spec.path, made.status());
  return std::unique_ptr<Recogniser>(*std::move(made));
}

absl::Status LoadReader(const ModelOptions& options, const std::string& data, Models* models) {
  ModelSpec spec;
  spec.path = options.reader.empty() ? absl::StrCat(data, "/models/reader.onnx") : options.reader;
  const absl::StatusOr<ReaderFacts> facts = LoadReaderFacts(FactsPathOf(spec.path));
  if (!facts.ok()) return facts.status();
  spec.input.sizes = {1, facts->channels, facts->height, facts->width};
  absl::StatusOr<std::unique_ptr<Recogniser>> reader =
      facts->output.empty() ? LoadOwnReader(options, data, spec, *facts, models)
                            : LoadUsersReader(options, spec, *facts, models);
  if (!reader.ok()) return reader.status();
  models->reader = *std::move(reader);
  models->reject_below = facts->reject_below;
  return TryReader(spec.path, models->reader.get(), facts->width, facts->height);
}

absl::StatusOr<std::unique_ptr<Detector>> LoadDetector(const ModelOptions& options,
                                                       const std::string& path, cv::Size input,
                                                       const DetectorOptions& detector,
                                                       Models* models) {
  ModelSpec spec;
  spec.path = path;
  spec.input.sizes = {1, 3, input.height, input.width};
  spec.nms_score = detector.decode.least_score;
  spec.nms_overlap = detector.decode.most_common;
  absl::StatusOr<std::unique_ptr<Runner>> runner = Load(options, spec, models);
  if (!runner.ok()) return runner.status();
  absl::StatusOr<std::unique_ptr<ModelDetector>> made =
      ModelDetector::Create(*std::move(runner), detector);
  if (!made.ok()) return Tried(path, made.status());
  // As with the reader.
  std::vector<Detection> found;
  const cv::Mat blank(input, CV_8UC3, cv::Scalar::all(0));
  const absl::Status tried = Tried(path, (*made)->Detect(blank, &found));
  if (!tried.ok()) return tried;
  return std::unique_ptr<Detector>(*std::move(made));
}

absl::Status LoadPlates(const ModelOptions& options, Models* models) {
  if (options.plate_model.empty()) {
    models->plates = std::make_unique<CharacterLines>();
    return absl::OkStatus();
  }
  DetectorOptions detector;
  detector.output = options.plate_output;
  detector.decode.least_score = options.min_plate_score;
  detector.decode.limit = CharacterLines::kMostFound;
  absl::StatusOr<std::unique_ptr<Detector>> made = LoadDetector(
      options, options.plate_model, {options.plate_width, options.plate_height}, detector, models);
  if (!made.ok()) return made.status();
  models->plates = *std::move(made);
  return absl::OkStatus();
}

absl::Status LoadVehicles(const ModelOptions& options, Models* models) {
  if (options.vehicle_finder == VehicleFinder::kNone) return absl::OkStatus();
  if (options.vehicle_finder == VehicleFinder::kMotion) {
    models->vehicles = std::make_unique<MotionDetector>();
    models->vehicles_by_motion = true;
    return absl::OkStatus();
  }
  models->vehicle_labels = options.vehicle_labels;
  DetectorOptions detector;
  detector.output = options.vehicle_output;
  detector.classes = options.vehicle_labels.size();
  detector.decode.least_score = options.min_vehicle_score;
  detector.decode.limit = kMostVehicles;
  absl::StatusOr<std::unique_ptr<Detector>> made =
      LoadDetector(options, options.vehicle_model, {options.vehicle_width, options.vehicle_height},
                   detector, models);
  if (!made.ok()) return made.status();
  models->vehicles = *std::move(made);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ReaderFacts> ParseReaderFacts(std::string_view yaml) {
  ReaderFacts facts;
  try {
    const YAML::Node document = YAML::Load(std::string(yaml));
    facts.output = document["output"].as<std::string>("");
    facts.padding = document["padding"].as<std::string>("_");
    facts.blank = document["blank"].as<size_t>(0);
    facts.channels = document["channels"].as<int>(1);
    facts.width = document["width"].as<int>();
    facts.height = document["height"].as<int>();
    facts.temperature = document["temperature"].as<float>(1);
    facts.reject_below = document["reject_below"].as<float>();
    facts.alphabet = Characters(document["characters"].as<std::string>());
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
  if (facts.channels != 1 && facts.channels != 3) {
    return absl::InvalidArgumentError("channels: neither 1 nor 3");
  }
  if (facts.width < 1 || facts.width > kMostSide || facts.height < 1 || facts.height > kMostSide) {
    return absl::InvalidArgumentError("width or height: out of range");
  }
  if (!(facts.temperature > 0) || !(facts.reject_below >= 0 && facts.reject_below <= 1)) {
    return absl::InvalidArgumentError("temperature or reject_below: out of range");
  }
  if (facts.alphabet.empty() || facts.alphabet.size() > kMostClasses) {
    return absl::InvalidArgumentError("characters: none, or too many");
  }
  return facts;
}

std::string DataFolder() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path folder = error ? fs::path("/usr/bin") : program.parent_path();
  return (folder.parent_path() / "share/viaduct/hailo_lpr").string();
}

absl::StatusOr<Models> LoadModels(const ModelOptions& options) {
  const std::string data = options.data.empty() ? DataFolder() : options.data;
  Models models;
  absl::Status loaded = LoadReader(options, data, &models);
  if (loaded.ok()) loaded = LoadPlates(options, &models);
  if (loaded.ok()) loaded = LoadVehicles(options, &models);
  if (!loaded.ok()) return loaded;
  for (const std::string& name : options.grammars) {
    absl::StatusOr<Grammar> grammar =
        Grammar::Load(absl::StrCat(data, "/grammars/", name, ".yaml"));
    if (!grammar.ok()) return grammar.status();
    models.grammars.push_back(*std::move(grammar));
  }
  return models;
}

}  // namespace viaduct::hailo_lpr
