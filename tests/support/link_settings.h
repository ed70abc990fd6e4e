// What a link does to the packets of each direction, and how that is written in JSON:
//
//   {"delay_ms": 40, "jitter_ms": 5, "reorder": false, "rate_kbit": 2000, "queue_bytes": 65536,
//    "loss_percent": 1, "up": {"rate_kbit": 256}, "down": {"loss_percent": 3}}
//
// A field at the top is meant for both directions, one below "up" or "down" for that alone. Fields
// that are not given stay as they are.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace viaduct::support {

enum Direction { kUp = 0, kDown = 1 };  // Up: from the first end of a link to the second.
inline constexpr const char* kDirectionNames[] = {"up", "down"};

inline constexpr size_t kPacketBytes = 1500;  // The MTU of every link.
inline constexpr double kMaxDelayMs = 60'000;
inline constexpr double kMaxRateKbit = 10e6;
inline constexpr int64_t kMinQueueBytes = kPacketBytes;
inline constexpr int64_t kMaxQueueBytes = 16 << 20;

// Of one direction.
struct ShaperSettings {
  double delay_ms = 0;   // One way, from the end of the sending to the arrival.
  double jitter_ms = 0;  // Each packet's delay is uniform in delay_ms -/+ this, never < 0.
  bool reorder = false;  // With jitter, packets may overtake each other.
  double rate_kbit = 0;  // 1000 bits of IP packets a second; 0: no bound.
  int64_t queue_bytes = 256 << 10;  // What may wait for the rate; more is dropped at the tail.
  double loss_percent = 0;          // Of the packets of this direction.
};

struct LinkSettings {
  ShaperSettings directions[2];
};

// INVALID_ARGUMENT, and *settings as it was: a field is unknown, of a wrong type or out of bounds.
absl::Status ApplySettings(const nlohmann::json& fields, LinkSettings* settings);

nlohmann::json SettingsJson(const ShaperSettings& settings);

// What JSON objects of tests are read with; `what` names the object in the error.
// An error unless `object` is one and has no keys but these.
absl::Status CheckKeys(const nlohmann::json& object, std::initializer_list<std::string_view> keys,
                       const std::string& what);
// Leaves *out as it is where the key is missing. Bounds are whole numbers.
absl::Status ReadNumber(const nlohmann::json& object, const char* key, double min, double max,
                        double* out);
absl::Status ReadText(const nlohmann::json& object, const char* key, std::string* out);

}  // namespace viaduct::support
