// The unified message of docs/WIRE.md section 1: what travels between nodes over every protocol.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace viaduct {

enum class DataType : uint8_t { kDetection, kHealth, kConfig, kControl };
enum class Priority : uint8_t { kHigh = 0, kNormal = 1, kLow = 2 };

std::string_view DataTypeName(DataType type);  // "detection", ...
std::string_view PriorityName(Priority priority);
absl::StatusOr<DataType> ParseDataType(std::string_view name);
absl::StatusOr<Priority> ParsePriority(std::string_view name);

struct Metadata {
  std::string protocol_version = "1.0";
  bool compression = false;
  bool encryption = false;
  Priority priority = Priority::kNormal;  // JSON "priority": "high" | "normal" | "low"
  // Every other member of the metadata object as JSON object text; "{}" when there is none.
  std::string extra_json = "{}";
};

struct Envelope {
  std::string message_id;  // The key of exactly-once effect across all protocols.
  absl::Time timestamp;    // Capture time, kept to the millisecond.
  std::string protocol;    // "websocket" | "rest" | "mqtt"; "rest_api" is read as "rest".
  std::string edge_device_id;
  DataType data_type = DataType::kDetection;
  std::string payload_json = "{}";  // Always one JSON object, as text.
  Metadata metadata;
};

struct ParseLimits {
  size_t max_bytes = 32u << 20;  // One JSON document.
  int max_depth = 64;            // Nested arrays and objects.
  size_t max_id_bytes = 128;     // message_id, edge_device_id.
};

struct ParseOptions {
  ParseLimits limits;
  absl::TimeZone naive_zone = absl::UTCTimeZone();  // What a timestamp without a zone means.
};

// Strict: every field is checked, the error names the field or the byte position, e.g.
// "envelope: /timestamp: not a timestamp, \"yesterday\"". INVALID_ARGUMENT, or RESOURCE_EXHAUSTED
// when a limit is passed. Accepts any JSON text, hostile or not.
absl::StatusOr<Envelope> ParseEnvelope(std::string_view json, const ParseOptions& options);

// The same rules for an envelope that arrived as fields (gRPC): payload_json must be a JSON object.
absl::Status ValidateEnvelope(const Envelope& envelope, const ParseOptions& options);

// What WriteEnvelope adds around payload and extra metadata, at most.
inline constexpr size_t kEnvelopeFrameBytes = 1024;

// RESOURCE_EXHAUSTED when WriteEnvelope might give more than `max_bytes`: the next node would not
// take it.
absl::Status CheckWrittenSize(const Envelope& envelope, size_t max_bytes);

// One line of JSON, UTC with milliseconds. The envelope must be valid.
std::string WriteEnvelope(const Envelope& envelope);

// The payload member of what WriteEnvelope wrote, a slice of it; "" where there is none. Looks only
// for where the member ends: a text of another making gives any slice of itself or "".
std::string_view PayloadOf(std::string_view envelope_json);

// ISO 8601 with `Z`, an offset or naive; fraction optional; in the years 0001 to 9999 of UTC.
// INVALID_ARGUMENT names the text.
absl::StatusOr<absl::Time> ParseTimestamp(std::string_view text, absl::TimeZone naive_zone);
std::string FormatTimestamp(absl::Time time);  // 2024-01-15T10:30:00.000Z
// FormatTimestamp has four digits for the year.
absl::Status CheckTimestampRange(absl::Time time);

}  // namespace viaduct
