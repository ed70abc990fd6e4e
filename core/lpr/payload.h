// The flat payloads that cameras in the field send (docs/WIRE.md section 2), read strictly where a
// mistake would poison the data and tolerantly where devices differ.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/store/records.h"

namespace viaduct {

struct PayloadOptions {
  absl::TimeZone naive_zone = absl::UTCTimeZone();
  size_t max_bytes = 32u << 20;
  int max_depth = 63;        // One less than an envelope, whose payload this may become.
  bool keep_images = false;  // Fill the image members and payload_json.
};

// `type` of the flat payloads.
inline constexpr std::string_view kDetectionType = "detection_result";
inline constexpr std::string_view kHealthType = "health_check";

inline constexpr size_t kMaxPlatesPerDetection = 256;
inline constexpr size_t kMaxImagesPerDetection = 64;
inline constexpr int64_t kMaxObjectsPerDetection = 1'000'000;
inline constexpr size_t kMaxPlateBytes = 128;
inline constexpr size_t kMaxNameBytes = 256;  // component, hostname, ...
inline constexpr size_t kMaxMessageBytes = 4096;

// What every payload may have. Members that are absent, null or "" are empty.
struct PayloadHeader {
  std::string type;
  std::string camera_id;  // By any of its aliases.
  std::string checkpoint_id;
  std::string message_id;
  std::optional<absl::Time> timestamp;
};

struct DetectionPayload {
  PayloadHeader header;
  std::optional<int32_t> vehicles_count;
  std::optional<int32_t> plates_count;
  size_t vehicles_listed = 0;  // Length of vehicle_detections.
  size_t plates_listed = 0;
  std::vector<PlateRead> plates;
  // With PayloadOptions::keep_images:
  std::string annotated_image;              // As sent: base64 or a data URL.
  std::vector<std::string> cropped_plates;  // The same; "" where one is missing.
  std::string payload_json;                 // The payload with null in the images' places.
  bool has_images = false;

  int32_t vehicles() const;
  int32_t plate_count() const;
};

struct HealthPayload {
  PayloadHeader header;
  std::string component;
  std::string status;  // "healthy", "warning", "error"; "" when absent.
  std::string message;
};

struct RegistrationPayload {
  PayloadHeader header;
  std::optional<std::string> camera_name;
  std::optional<std::string> hostname;
  std::optional<std::string> ip_address;
  std::optional<double> latitude;
  std::optional<double> longitude;
};

// Each fails with INVALID_ARGUMENT: "at byte 17: ..." when the text is no JSON object or passes a
// limit, "<field>: <what>, <detail>" when a member is wrong. A missing member is no error here.
absl::Status ReadDetection(std::string_view json, const PayloadOptions& options,
                           DetectionPayload* out);
absl::Status ReadHealth(std::string_view json, const PayloadOptions& options, HealthPayload* out);
absl::Status ReadRegistration(std::string_view json, const PayloadOptions& options,
                              RegistrationPayload* out);
// Only the header.
absl::Status ReadHeader(std::string_view json, const PayloadOptions& options, PayloadHeader* out);

// 0..100 becomes 0..1; nothing for what is no confidence.
std::optional<double> ScaleConfidence(double value);

}  // namespace viaduct
