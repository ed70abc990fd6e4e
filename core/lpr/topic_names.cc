#include "core/lpr/topic_names.h"

#include <array>

namespace viaduct {
namespace {

// `before` and `after` stand around the device.
struct TopicRow {
  std::string_view before;
  std::string_view after;
  TopicKind kind;
  bool acknowledged;
};
constexpr std::array<TopicRow, 12> kRows = {{
    {"lpr/data/edge/", "", TopicKind::kData, false},
    {"system/status/", "", TopicKind::kStatus, false},
    {"system/control/", "", TopicKind::kControl, true},
    {"lprserver/cameras/", "/detection", TopicKind::kDetection, true},
    {"lprserver/cameras/", "/health", TopicKind::kHealth, false},
    {"lprserver/cameras/", "/config", TopicKind::kConfig, false},
    {"lprserver/cameras/", "/control", TopicKind::kControl, true},
    {"camera/", "/status", TopicKind::kStatus, false},
    {"camera/", "/health", TopicKind::kHealth, false},
    {"camera/", "/detections", TopicKind::kDetection, false},
    {"aicamera/device/", "/health", TopicKind::kHealth, false},
    {"aicamera/edge/device/", "/health", TopicKind::kHealth, false},
}};

bool Fits(const TopicRow& row, std::string_view topic, std::string_view* device) {
  if (topic.size() <= row.before.size() + row.after.size()) return false;
  if (topic.substr(0, row.before.size()) != row.before) return false;
  if (topic.substr(topic.size() - row.after.size()) != row.after) return false;
  *device = topic.substr(row.before.size(), topic.size() - row.before.size() - row.after.size());
  return device->find('/') == std::string_view::npos;
}

}  // namespace

TopicMatch MatchTopic(std::string_view topic) {
  if (topic == "lpr/data") return {TopicKind::kData, "", false};
  if (topic == "file/transfer/request" || topic == "file/transfer/status") {
    return {TopicKind::kFile, "", false};
  }
  for (const TopicRow& row : kRows) {
    std::string_view device;
    if (Fits(row, topic, &device)) return {row.kind, device, row.acknowledged};
  }
  return {};
}

}  // namespace viaduct
