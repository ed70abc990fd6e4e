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
  std::string_view action;
};
constexpr std::array<TopicRow, 12> kRows = {{
    {"lpr/data/edge/", "", TopicKind::kData, false, "publish lpr/data/edge/{device_id}"},
    {"system/status/", "", TopicKind::kStatus, false, "publish system/status/{device_id}"},
    {"system/control/", "", TopicKind::kControl, true, "publish system/control/{device_id}"},
    {"lprserver/cameras/", "/detection", TopicKind::kDetection, true,
     "publish lprserver/cameras/{id}/detection"},
    {"lprserver/cameras/", "/health", TopicKind::kHealth, false,
     "publish lprserver/cameras/{id}/health"},
    {"lprserver/cameras/", "/config", TopicKind::kConfig, false,
     "publish lprserver/cameras/{id}/config"},
    {"lprserver/cameras/", "/control", TopicKind::kControl, true,
     "publish lprserver/cameras/{id}/control"},
    {"camera/", "/status", TopicKind::kStatus, false, "publish camera/{id}/status"},
    {"camera/", "/health", TopicKind::kHealth, false, "publish camera/{id}/health"},
    {"camera/", "/detections", TopicKind::kDetection, false, "publish camera/{id}/detections"},
    {"aicamera/device/", "/health", TopicKind::kHealth, false,
     "publish aicamera/device/{id}/health"},
    {"aicamera/edge/device/", "/health", TopicKind::kHealth, false,
     "publish aicamera/edge/device/{id}/health"},
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
  if (topic == "lpr/data") return {TopicKind::kData, "", false, "publish lpr/data"};
  if (topic == "file/transfer/request") {
    return {TopicKind::kFile, "", false, "publish file/transfer/request"};
  }
  if (topic == "file/transfer/status") {
    return {TopicKind::kFile, "", false, "publish file/transfer/status"};
  }
  for (const TopicRow& row : kRows) {
    std::string_view device;
    if (Fits(row, topic, &device)) return {row.kind, device, row.acknowledged, row.action};
  }
  return {};
}

}  // namespace viaduct
