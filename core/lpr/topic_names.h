// The topics of docs/WIRE.md: what each is about and whose it is.
#pragma once

#include <cstdint>
#include <string_view>

namespace viaduct {

enum class TopicKind : uint8_t {
  kNone,
  kData,       // Envelopes or a flat payload whose type says what it is.
  kDetection,  // A flat detection.
  kHealth,     // A flat health report.
  kStatus,     // How a device is: retained.
  kConfig,     // How a camera is configured: retained.
  kControl,    // A command to a device.
  kFile,       // A file transfer is asked for, or how it goes.
};

struct TopicMatch {
  TopicKind kind = TopicKind::kNone;
  std::string_view device;    // In the topic; "" where it names none. A slice of the topic.
  bool acknowledged = false;  // Answered on the topic itself with "/ack" or "/response" behind it.
  std::string_view action;    // In core/security's table.
};

TopicMatch MatchTopic(std::string_view topic);

}  // namespace viaduct
