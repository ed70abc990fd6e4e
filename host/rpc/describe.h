// Descriptions of the core as messages of the control plane.
#pragma once

#include "core/config/plan.h"
#include "core/config/revision_store.h"
#include "core/config/validate.h"
#include "core/observe/alerts.h"
#include "core/observe/health_tree.h"
#include "core/observe/log_hub.h"
#include "core/plugin/instance.h"
#include "core/plugin/registry.h"
#include "viaduct/control/v1/common.pb.h"
#include "viaduct/control/v1/config.pb.h"
#include "viaduct/control/v1/instances.pb.h"
#include "viaduct/control/v1/logs.pb.h"
#include "viaduct/control/v1/plugins.pb.h"
#include "viaduct/control/v1/stats.pb.h"

namespace viaduct::rpc {

control::v1::Health ToProto(HealthState state);
control::v1::Alert ToProto(const Alert& alert);
control::v1::Component ToProto(const ComponentHealth& component);
control::v1::Instance ToProto(const InstanceInfo& info);
control::v1::Plugin ToProto(const PluginInfo& info);
control::v1::Finding ToProto(const Finding& finding);
control::v1::Effect ToProto(const Effect& effect);
control::v1::Revision ToProto(const Revision& revision);
control::v1::LogLevel ToProto(LogLevel level);
control::v1::LogRecord ToProto(const LogRecord& record);

// False for UNSPECIFIED and numbers that are none.
bool FromProto(control::v1::LogLevel level, LogLevel* out);

}  // namespace viaduct::rpc
