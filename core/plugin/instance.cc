#include "core/plugin/instance.h"

#include <algorithm>

#include "viaduct/abi/abi.h"

namespace viaduct {

std::string_view InstanceStateName(InstanceState state) {
  switch (state) {
    case InstanceState::kCreated:
      return "created";
    case InstanceState::kConfigured:
      return "configured";
    case InstanceState::kStarting:
      return "starting";
    case InstanceState::kStarted:
      return "started";
    case InstanceState::kDraining:
      return "draining";
    case InstanceState::kStopping:
      return "stopping";
    case InstanceState::kStopped:
      return "stopped";
    case InstanceState::kFailed:
      return "failed";
  }
  return "unknown";
}

std::string_view InstanceHealthName(InstanceHealth health) {
  switch (health) {
    case InstanceHealth::kUnknown:
      return "unknown";
    case InstanceHealth::kHealthy:
      return "healthy";
    case InstanceHealth::kDegraded:
      return "degraded";
    case InstanceHealth::kUnhealthy:
      return "unhealthy";
  }
  return "unknown";
}

bool Offers(const InstanceInfo& info, std::string_view id) {
  return std::find(info.interfaces.begin(), info.interfaces.end(), id) != info.interfaces.end();
}

InstanceRoles RolesOf(const InstanceInfo& info) {
  return {info.link, info.publishes, Offers(info, VD_FILE_1), Offers(info, VD_SOURCE_1),
          Offers(info, VD_INFER_1)};
}

}  // namespace viaduct
