// The gateway and its spool as the configuration wants them.
#pragma once

#include <memory>
#include <vector>

#include "core/config/node_config.h"
#include "core/gateway/dispatcher.h"
#include "core/gateway/network_monitor.h"
#include "core/gateway/selector.h"
#include "core/spool/spool.h"
#include "host/node/roads.h"

namespace viaduct {

std::unique_ptr<Selector> MakeSelector(const GatewayOptions& gateway);
SpoolOptions MakeSpoolOptions(const NodeConfig& config);
DispatcherOptions MakeDispatcherOptions(const GatewayOptions& gateway);
NetworkMonitor::Options MakeMonitorOptions(const GatewayOptions& gateway);
std::vector<Roads::Configured> ConfiguredRoads(const NodeConfig& config);

}  // namespace viaduct
