#include "core/vision/detection.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/json_writer.h"
#include "core/lpr/payload.h"
#include "core/message/json_scanner.h"
#include "core/store/image_data.h"

namespace viaduct {
namespace {

constexpr std::string_view kType = "type";
constexpr std::string_view kCheckpoint = "checkpoint_id";
constexpr std::string_view kAnnotated = "annotated_image";
constexpr std::string_view kPlates = "cropped_plates";
constexpr std::string_view kStages = "stages";
// Quotes, commas and the names of what is added to a result.
constexpr size_t kAddedBytes = 512;
constexpr double kMaxStageMs = 86'400'000;  // A day: no step takes longer.

// As a JSON string, until the room is used up. Thread-compatible.
class ImageWriter {
 public:
  explicit ImageWriter(size_t room) : room_(room) {}
  // "" where the crop is no picture or there is no room for it.
  std::string Write(const InferCrop& crop) {
    const std::string_view octets = crop.buffer.octets();
    const size_t size = (octets.size() + 2) / 3 * 4 + 3;
    if (size > room_ || RecognizeImage(octets).empty()) {
      ++left_out_;
      return "";
    }
    room_ -= size;
    return absl::StrCat("\"", absl::Base64Escape(AbslView(octets)), "\"");
  }
  size_t left_out() const { return left_out_; }

 private:
  size_t room_;
  size_t left_out_ = 0;
};

// The place of "plate_7"; false for another name, and for one beyond what a detection may have.
bool PlateIndex(std::string_view name, size_t* index) {
  if (name.substr(0, kPlateCropPrefix.size()) != kPlateCropPrefix) return false;
  const std::string_view digits = name.substr(kPlateCropPrefix.size());
  uint32_t number = 0;
  if (!absl::SimpleAtoi(AbslView(digits), &number)) return false;
  *index = number;
  return *index + 1 < kMaxImagesPerDetection;  // One place is the annotated image's.
}

struct Images {
  std::string annotated;  // JSON; "" for none.
  std::string plates;
  size_t left_out = 0;
};

// Plates first: they are smaller, and what a person looks at to believe a reading.
Images WriteImages(absl::Span<const InferCrop> crops, size_t room) {
  Images images;
  ImageWriter writer(room);
  std::vector<std::string> plates;
  for (const InferCrop& crop : crops) {
    size_t index = 0;
    if (!PlateIndex(crop.name, &index)) continue;
    std::string image = writer.Write(crop);
    if (image.empty()) continue;
    plates.resize(std::max(plates.size(), index + 1));
    plates[index] = std::move(image);
  }
  for (const InferCrop& crop : crops) {
    if (crop.name == kAnnotatedCrop) images.annotated = writer.Write(crop);
  }
  for (const std::string& plate : plates) {
    absl::StrAppend(&images.plates, images.plates.empty() ? "[" : ",",
                    plate.empty() ? "null" : plate);
  }
  if (!plates.empty()) images.plates.push_back(']');
  images.left_out = writer.left_out();
  return images;
}

bool Has(const std::vector<JsonMember>& members, std::string_view key) {
  return std::any_of(members.begin(), members.end(), [&](const JsonMember& member) {
    return member.key == key && member.value.type != JsonType::kNull && member.value.text != "\"\"";
  });
}

std::string WritePayload(const std::vector<JsonMember>& members, const Images& images,
                         const DetectionFacts& facts) {
  std::vector<std::pair<std::string_view, std::string>> added;
  const auto add = [&](std::string_view key, std::string json) {
    if (!json.empty() && !Has(members, key)) added.emplace_back(key, std::move(json));
  };
  const auto text = [](std::string_view value) {
    std::string json;
    if (!value.empty()) AppendJsonString(value, &json);
    return json;
  };
  add(kType, text(kDetectionType));
  add(kCheckpoint, text(facts.checkpoint));
  add(kAnnotated, images.annotated);
  add(kPlates, images.plates);
  JsonWriter json;
  json.BeginObject();
  for (const JsonMember& member : members) {
    const bool replaced = std::any_of(added.begin(), added.end(),
                                      [&](const auto& one) { return one.first == member.key; });
    if (!replaced) json.Key(member.key).Raw(member.value.text);
  }
  for (const auto& [key, value] : added) json.Key(key).Raw(value);
  json.EndObject();
  return json.Take();
}

std::string WriteExtra(const DetectionFacts& facts) {
  JsonWriter json;
  json.BeginObject().Key("vision").BeginObject();
  json.Field("source", std::string_view(facts.source));
  if (!facts.stream.empty()) json.Field("stream", std::string_view(facts.stream));
  json.Field("instance", std::string_view(facts.instance));
  if (facts.sequence != 0) json.Field("sequence", static_cast<int64_t>(facts.sequence));
  json.EndObject().EndObject();
  return json.Take();
}

}  // namespace

absl::StatusOr<bool> FindsSomething(std::string_view result_json, size_t max_message_bytes) {
  PayloadOptions options;
  options.max_bytes = max_message_bytes;
  DetectionPayload read;
  const absl::Status status = ReadDetection(result_json, options, &read);
  if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat("result: ", status.message()));
  return read.vehicles() > 0 || read.plate_count() > 0 || !read.plates.empty();
}

absl::StatusOr<MadeDetection> MakeDetection(std::string_view result_json,
                                            absl::Span<const InferCrop> crops,
                                            const DetectionFacts& facts, size_t max_message_bytes) {
  JsonScanLimits limits;
  limits.max_bytes = max_message_bytes;
  std::vector<JsonMember> members;
  const absl::Status scanned = JsonScanner(result_json, limits).ScanObject(&members);
  if (!scanned.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("result: ", scanned.message()));
  }
  MadeDetection made;
  made.envelope.metadata.extra_json = WriteExtra(facts);
  const size_t used = result_json.size() + kEnvelopeFrameBytes + kAddedBytes +
                      facts.checkpoint.size() + made.envelope.metadata.extra_json.size();
  const Images images = WriteImages(crops, max_message_bytes - std::min(max_message_bytes, used));
  made.images_left_out = images.left_out;
  made.envelope.message_id = facts.message_id;
  made.envelope.timestamp = facts.captured;
  made.envelope.protocol = "rest";
  made.envelope.edge_device_id = facts.device;
  made.envelope.data_type = DataType::kDetection;
  made.envelope.payload_json = WritePayload(members, images, facts);
  made.envelope.metadata.priority = facts.priority;
  return made;
}

std::vector<std::pair<std::string, double>> StagesOf(std::string_view result_json) {
  std::vector<std::pair<std::string, double>> stages;
  std::vector<JsonMember> members;
  if (!JsonScanner(result_json, {}).ScanObject(&members).ok()) return stages;
  for (const JsonMember& member : members) {
    if (member.key != kStages || member.value.type != JsonType::kObject) continue;
    std::vector<JsonMember> steps;
    if (!JsonScanner(member.value.text, {}).ScanObject(&steps).ok()) return stages;
    for (const JsonMember& step : steps) {
      double milliseconds = 0;
      if (stages.size() < kMaxStages && step.value.type == JsonType::kNumber &&
          absl::SimpleAtod(AbslView(step.value.text), &milliseconds) && milliseconds >= 0 &&
          milliseconds <= kMaxStageMs) {
        stages.emplace_back(step.key, milliseconds);
      }
    }
  }
  return stages;
}

}  // namespace viaduct
