// The topics that this plugin knows itself: commands to devices, and what they answer.
#pragma once

#include <string_view>

namespace viaduct::mqtt {

inline constexpr int kMaxQos = 2;

// What a server says of a file, to whoever sends it.
inline constexpr std::string_view kFileStatusTopic = "file/transfer/status";

// Of a command to the device that is a level of `topic`.
bool IsCommandTopic(std::string_view topic);

// Of an answer to one. Only these: a device may be named "response", and its data is data.
bool IsResponseTopic(std::string_view topic);

// The QoS of a topic or filter: docs/WIRE.md has 2 for orders to cameras and their answers, an
// order is to have its effect once. Everything else that is published here has 1.
int QosOf(std::string_view topic);

}  // namespace viaduct::mqtt
