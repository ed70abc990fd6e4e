#include "plugins/mqtt/topics.h"

namespace viaduct::mqtt {
namespace {

constexpr std::string_view kSystem = "system/control/";
constexpr std::string_view kCameras = "lprserver/cameras/";

// `topic` is one level between the two.
bool HasOneLevelBetween(std::string_view topic, std::string_view before, std::string_view after) {
  if (topic.size() <= before.size() + after.size()) return false;
  if (topic.substr(0, before.size()) != before) return false;
  if (topic.substr(topic.size() - after.size()) != after) return false;
  const size_t level = topic.size() - before.size() - after.size();
  return topic.substr(before.size(), level).find('/') == std::string_view::npos;
}

}  // namespace

bool IsCommandTopic(std::string_view topic) {
  return HasOneLevelBetween(topic, kSystem, "") || HasOneLevelBetween(topic, kCameras, "/control");
}

bool IsResponseTopic(std::string_view topic) {
  return HasOneLevelBetween(topic, kSystem, "/response") ||
         HasOneLevelBetween(topic, kCameras, "/control/response");
}

int QosOf(std::string_view topic) {
  const bool order = HasOneLevelBetween(topic, kCameras, "/control") ||
                     HasOneLevelBetween(topic, kCameras, "/control/response");
  return order ? 2 : 1;
}

}  // namespace viaduct::mqtt
