// What an inference instance found, as the detection that the rest of the node and its server take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/message/envelope.h"
#include "core/plugin/frames.h"

namespace viaduct {

// What of a detection is not in the result.
struct DetectionFacts {
  std::string message_id;
  std::string device;
  std::string checkpoint;  // Where the result has none; "" for none.
  absl::Time captured;
  Priority priority = Priority::kNormal;
  std::string source;  // Of the picture, and the stream of the source that it is of.
  std::string stream;
  std::string instance;  // That looked at it.
  uint64_t sequence = 0;
};

struct MadeDetection {
  Envelope envelope;
  size_t images_left_out = 0;  // No pictures, or no room for them.
};

// Whether the result says that there is a vehicle or a plate. INVALID_ARGUMENT: it is no payload of
// a detection.
absl::StatusOr<bool> FindsSomething(std::string_view result_json, size_t max_message_bytes);

// Names of crops that become images of the detection.
inline constexpr std::string_view kAnnotatedCrop = "image";
inline constexpr std::string_view kPlateCropPrefix = "plate_";  // And a number.

// The payload is the result as it is, with `annotated_image`, `cropped_plates`, `type` and
// `checkpoint_id` added where it has none. An image that would make the message larger than
// `max_message_bytes` is left out. INVALID_ARGUMENT: the result is no JSON object.
absl::StatusOr<MadeDetection> MakeDetection(std::string_view result_json,
                                            absl::Span<const InferCrop> crops,
                                            const DetectionFacts& facts, size_t max_message_bytes);

// Milliseconds by name that a result tells of its own steps: its member `stages`, the first
// kMaxStages of it.
inline constexpr size_t kMaxStages = 32;
std::vector<std::pair<std::string, double>> StagesOf(std::string_view result_json);

}  // namespace viaduct
