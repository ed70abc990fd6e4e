// The gRPC services of one node, together.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "host/services/auth_service.h"
#include "host/services/backup_service.h"
#include "host/services/config_service.h"
#include "host/services/envelope_convert.h"
#include "host/services/fleet_service.h"
#include "host/services/gateway_service.h"
#include "host/services/instances_service.h"
#include "host/services/logs_service.h"
#include "host/services/node_service.h"
#include "host/services/plugins_service.h"
#include "host/services/privacy_service.h"
#include "host/services/spool_service.h"
#include "host/services/stats_service.h"
#include "host/services/transfers_service.h"

namespace viaduct {

// Thread-safe.
struct NodeServices {
  NodeServices(const ServiceDeps* deps, const std::string& node_id, SendFn send, MessageFeed* feed,
               Fleet* devices, Store* store, FleetService::ToldFn told)
      : reader(node_id, deps->clock),
        gateway(deps->gate, std::move(send), &reader, feed, deps->transfers, deps->vision),
        node(deps),
        plugins(deps),
        instances(deps),
        config(deps),
        stats(deps),
        spool(deps),
        transfers(deps),
        privacy(deps),
        logs(deps),
        auth(deps),
        backup(deps),
        fleet(deps, devices, store, std::move(told)) {}

  std::vector<grpc::Service*> All() {
    return {&gateway,   &node,    &plugins, &instances, &config, &stats, &spool,
            &transfers, &privacy, &logs,    &auth,      &backup, &fleet};
  }

  EnvelopeReader reader;
  GatewayService gateway;
  NodeService node;
  PluginsService plugins;
  InstancesService instances;
  ConfigService config;
  StatsService stats;
  SpoolService spool;
  TransfersService transfers;
  PrivacyService privacy;
  LogsService logs;
  AuthService auth;
  BackupService backup;
  FleetService fleet;
};

}  // namespace viaduct
